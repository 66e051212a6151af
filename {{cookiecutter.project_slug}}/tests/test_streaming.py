"""Data that is read while training gives the bits of data that lies on the device."""

import numpy as np
import pytest
import tensorflow as tf
from runs import digests, lines, metrics, train
from toy import Toy

from models import MODELS
from training import feeding
from training.batches import WINDOW, batch_rows, checked_inputs
from training.records import records, shards, tfrecords

STEPS = 7  # in a block; saving, logging and the epochs of the toy fall between its ends


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    bytes_of_an_example = 2 * 4 + 1
    monkeypatch.setattr(feeding, "BLOCK_BYTES", STEPS * 16 * bytes_of_an_example)


def write_shards(folder, arrays):
    """Three folders with 20 examples of the toy each; returns their paths."""
    for number in range(3):
        (folder / str(number)).mkdir()
        for name, array in arrays.items():
            np.save(folder / str(number) / f"{name}.npy", array[20 * number :][:20])
    return [folder / str(number) for number in range(3)]


def write_tfrecords(folder, arrays):
    """Two TFRecord files with 30 examples of the toy each; returns their paths."""
    paths = [folder / "0.tfrecord", folder / "1.tfrecord"]
    for number, path in enumerate(paths):
        with tf.io.TFRecordWriter(str(path)) as writer:
            for i in range(30 * number, 30 * (number + 1)):
                example = tf.train.Example()
                example.features.feature["points"].float_list.value.extend(arrays["points"][i])
                example.features.feature["labels"].int64_list.value.append(arrays["labels"][i])
                writer.write(example.SerializeToString())
    return paths


def parse(content):
    """An example of the toy from a record."""
    features = tf.train.Example.FromString(content).features.feature
    points = np.array(features["points"].float_list.value, np.float32)
    return {"points": points, "labels": np.uint8(features["labels"].int64_list.value[0])}


def reader_of(arrays):
    return lambda rows: {name: array[rows] for name, array in arrays.items()}


STORED = {
    "memory map": None,
    "function": lambda folder, arrays: records(
        60, lambda rows: {n: a[rows] for n, a in arrays.items()}
    ),
    "shards": lambda folder, arrays: shards(write_shards(folder, arrays), ["points", "labels"]),
    "TFRecord": lambda folder, arrays: tfrecords(write_tfrecords(folder, arrays), parse),
}


class Stored(Toy):
    """The toy, whose training examples are stored as KIND in FOLDER."""

    kind = folder = None

    def inputs(self, split):
        arrays = super().inputs(split)
        if split != "train" or self.kind is None:
            return arrays
        if self.kind == "memory map":
            for name, array in arrays.items():
                np.save(self.folder / f"{name}.npy", array)
            return {n: np.load(self.folder / f"{n}.npy", mmap_mode="r") for n in arrays}
        return STORED[self.kind](self.folder, arrays)


@pytest.fixture
def straight(small, tmp_path, monkeypatch):
    """The digests and metrics of a run on the device, and a config for the same run elsewhere."""
    monkeypatch.setitem(MODELS, "Stored", Stored)
    monkeypatch.setattr(Stored, "folder", tmp_path / "stored")
    Stored.folder.mkdir()
    small |= {"model_name": "Stored"}
    train(small | {"result_dir": str(tmp_path / "straight"), "data": "device"})
    folder = tmp_path / "straight"
    return digests(folder), metrics(folder), small | {"result_dir": str(tmp_path / "other")}


@pytest.mark.parametrize("kind", STORED)
def test_records_give_the_bits_of_arrays_on_the_device(straight, tmp_path, monkeypatch, kind):
    expected, recorded, config = straight
    monkeypatch.setattr(Stored, "kind", kind)
    assert train(config | {"data": "stream"})["status"] == "complete"
    steps = [r for r in lines(tmp_path / "other" / "metrics.jsonl") if r["split"] == "train"]
    assert steps and all(0 <= record["input_wait"] <= 1 for record in steps)
    assert digests(tmp_path / "other") == expected
    assert metrics(tmp_path / "other") == recorded


def test_records_are_streamed_unless_a_flag_says_otherwise(straight, monkeypatch):
    _, _, config = straight
    for kind, flag, chosen in (
        (None, None, "device"),
        ("shards", None, "stream"),
    ):
        monkeypatch.setattr(Stored, "kind", kind)
        with Stored(config | {"data": flag}) as model:
            model.prepare_steps()
            assert model.config["data"] == chosen


def test_a_run_may_go_on_with_the_other_way_in_the_middle_of_a_block(straight, tmp_path):
    expected, recorded, config = straight
    train(config | {"data": "stream"}, until=50)
    train({"result_dir": config["result_dir"], "data": "device"}, until=75)
    train({"result_dir": config["result_dir"], "data": "stream"})
    found = digests(tmp_path / "other")
    assert found.pop(50) and found.pop(75)
    assert found == expected and metrics(tmp_path / "other") == recorded


def test_batches_that_are_read_from_the_wrong_place_are_seen(straight, tmp_path, monkeypatch):
    """The negative control of the tests above."""
    expected, _, config = straight
    rows = feeding.model_rows
    monkeypatch.setattr(feeding, "model_rows", lambda model, step, n: rows(model, step + 1, n))
    train(config | {"data": "stream"})
    found = digests(tmp_path / "other")
    assert found[0] == expected[0] and found[120] != expected[120]


def test_a_value_that_is_not_finite_is_named_when_it_is_read(straight, monkeypatch):
    _, _, config = straight

    def spoilt(folder, arrays):
        def read(rows):
            points = np.where(rows[:, None] == 41, np.nan, arrays["points"][rows])
            return {"points": points.astype(np.float32), "labels": arrays["labels"][rows]}

        return records(60, read)

    monkeypatch.setitem(STORED, "spoilt", spoilt)
    monkeypatch.setattr(Stored, "kind", "spoilt")
    with pytest.raises(ValueError, match=r"points of train: .* not finite, the first at \[41, 0\]"):
        train(config)


@pytest.mark.parametrize("count", [WINDOW * 10 * 3, WINDOW * 10 + 7, 9])
def test_an_epoch_in_blocks_holds_every_example_once_and_mixes_a_window_at_a_time(count):
    rows = batch_rows(1, 0, count, examples=count, batch_size=1, block=10).ravel()
    assert sorted(rows) == list(range(count))
    window = rows[: WINDOW * 10]
    assert len(set(window // 10)) <= WINDOW + 1  # blocks, the last of which may be short
    if count > 10:
        assert np.abs(np.diff(window)).mean() > 20  # neighbours do not stay together
    again = [batch_rows(1, step, 1, count, 1, block=10)[0, 0] for step in range(count)]
    assert again == rows.tolist()
    other_epoch = batch_rows(1, count, count, count, 1, block=10).ravel()
    assert other_epoch.tolist() != rows.tolist()


def test_the_blocks_of_records_determine_the_batches_and_are_recorded(straight, monkeypatch):
    expected, _, config = straight
    for block in (5, 1):
        monkeypatch.setitem(
            STORED, "blocks", lambda _, arrays, block=block: records(60, reader_of(arrays), block)
        )
        monkeypatch.setattr(Stored, "kind", "blocks")
        if block == 5:
            train(config, until=40)
    with pytest.raises(ValueError, match="the training data is not what"):
        train(config)


@pytest.mark.parametrize("damage", [b"", b"short", 20 * b"\xff"])
def test_a_file_that_is_no_tfrecord_is_named(tmp_path, damage):
    (tmp_path / "a.tfrecord").write_bytes(damage)
    with pytest.raises(ValueError, match="a.tfrecord is no TFRecord file"):
        tfrecords([tmp_path / "a.tfrecord"], parse)


def test_the_places_in_a_tfrecord_file_are_found_again_when_it_changes(tmp_path):
    arrays = {"points": np.zeros([60, 2]), "labels": np.arange(60)}
    first, _ = write_tfrecords(tmp_path, arrays)
    assert len(tfrecords([first], parse)["labels"]) == 30
    (tmp_path / "0.tfrecord.index.npy").touch()
    first.write_bytes(2 * first.read_bytes())
    assert tfrecords([first], parse)["labels"][[0, 31, 59]].tolist() == [0, 1, 29]


def test_records_are_not_copied_and_look_like_arrays():
    found = records(1000, lambda rows: {"x": np.stack([rows, -rows], 1)})
    column = checked_inputs("train", found)["x"]
    assert (column.shape, column.dtype, len(column)) == ((1000, 2), np.int64, 1000)
    assert column[998:2000].tolist() == [[998, -998], [999, -999]]


@pytest.mark.parametrize("offset, found", [(0, 2), (1, 1)])
def test_a_block_is_handed_over_without_a_copy(offset, found):
    """What is written afterwards is seen by the variable; of a misaligned array it has a copy."""
    memory = feeding.aligned([100], np.dtype(np.uint8))
    array = memory[offset : 90 + offset].reshape(30, 3)
    array[:] = 1
    with tf.Graph().as_default(), tf.device("CPU:0"), tf.compat.v1.Session() as session:
        variables, fill, placeholders = feeding.on_device({"x": array})
        session.run(fill, {placeholders["x"]: array})
        array[:] = 2
        assert (session.run(variables["x"].variable.read_value()) == found).all()
