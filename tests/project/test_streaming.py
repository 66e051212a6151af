"""The page on data of any size: its TFRecord files give the bits of the arrays in them."""

import re

import numpy as np
import tensorflow as tf
from runs import digests

from data.fake_digits import fake_digits
from models import MODELS, make_model
from models.mnist import MNIST
from training.files import PROJECT

CONFIG = {
    "model_name": "Digits",
    "batch_size": 50,
    "hidden1": 8,
    "jit": "off",
    "random_seed": 5,
    "max_iter": 60,
    "save_every": 30,
}


def write_digits(folder):
    """Made-up digits in TFRecord files, two of each split."""
    for split in ("train", "valid", "test"):
        arrays = fake_digits(split)
        for number in range(2):
            with tf.io.TFRecordWriter(str(folder / f"{split}-{number}.tfrecord")) as writer:
                for i in np.array_split(np.arange(len(arrays["labels"])), 2)[number]:
                    example = tf.train.Example()
                    features = example.features.feature
                    features["image"].bytes_list.value.append(arrays["images"][i].tobytes())
                    features["label"].int64_list.value.append(arrays["labels"][i])
                    writer.write(example.SerializeToString())


def test_the_page_on_data_gives_the_bits_of_arrays_in_memory(tmp_path, monkeypatch):
    write_digits(tmp_path)
    page = (PROJECT / "docs" / "data.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names = {"MNIST": MNIST, "FOLDER": tmp_path}
    exec(code, names)

    class InMemory(MNIST):
        def inputs(self, split):
            return fake_digits(split)

    InMemory.__name__ = "Digits"
    results = {}
    for kind, model in (("stream", names["Digits"]), ("device", InMemory)):
        monkeypatch.setitem(MODELS, "Digits", model)
        with make_model(CONFIG | {"result_dir": str(tmp_path / kind)}) as made:
            results[kind] = made.train()
            assert made.config["data"] == kind
    assert digests(tmp_path / "stream") == digests(tmp_path / "device")
    for split in ("train_sample", "valid", "test"):
        assert results["stream"][split] == results["device"][split]
