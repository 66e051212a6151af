"""Whatever is in a file or on the command line, the answer is one clear line.

Hypothesis makes up the input: other input in each run, and it remembers what failed.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import train

import command_line
import main
from models import MODELS, ConfigError
from training.checkpoints import Checkpoints
from training.metrics import Metrics
from training.provenance import read_provenance, recorded_config, recorded_inputs
from training.status import Status

# Fixtures are shared by the examples of a test: each example writes all that it reads.
relaxed = settings(suppress_health_check=list(HealthCheck), deadline=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def assert_one_line(error):
    assert str(error).strip() and "\n" not in str(error)


# --- files of a run folder ------------------------------------------------------------------


def run_folder_of(tmp_path, config=b'{"config": {"model_name": "MNIST"}}'):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_bytes(config)
    return folder


def as_bytes(draw):
    return draw if isinstance(draw, bytes) else json.dumps(draw).encode()


@relaxed
@given(
    content=st.binary(max_size=100)
    | json_values
    | st.fixed_dictionaries({"config": json_values})
    | st.fixed_dictionaries({"inputs": json_values})
    | st.fixed_dictionaries(
        {"inputs": st.fixed_dictionaries({"examples": json_values, "arrays": json_values})}
    )
)
def test_any_config_json_is_read_or_refused(tmp_path, content):
    folder = run_folder_of(tmp_path, as_bytes(content))
    for look in (recorded_config, recorded_inputs, read_provenance):
        try:
            look(folder)
        except ValueError as error:
            assert "config.json is damaged" in str(error)


@relaxed
@given(
    settings=st.dictionaries(
        st.sampled_from([s.name for s in MODELS["MNIST"].settings()]), json_values
    )
)
def test_any_recorded_setting_is_checked_as_a_flag_is(tmp_path, settings):
    config = {"config": settings | {"model_name": "MNIST"}}
    folder = run_folder_of(tmp_path, json.dumps(config).encode())
    try:
        MODELS["MNIST"].complete({"result_dir": str(folder)})
    except (ConfigError, ValueError) as error:
        assert "--" in str(error)


suffixes = st.sampled_from(["index", "data-00000-of-00001"]) | st.text()


def line_of_a_checkpoint(record):
    """A line whose files are those of its step, but for the suffixes that were made up."""
    files = record["files"]
    if isinstance(files, dict):
        files = {f"model.ckpt-{record['step']}.{suffix}": v for suffix, v in files.items()}
    record = record | {"files": files, "weights_sha256": "0", "time": 1.0}
    return json.dumps(record).encode() + b"\n"


@relaxed
@given(
    content=st.binary(max_size=200)
    | st.lists(json_values).map(lambda values: b"\n".join(map(as_bytes, values)) + b"\n")
    | st.lists(
        st.fixed_dictionaries(
            {
                "step": st.integers(-1, 5),
                "files": json_values | st.dictionaries(suffixes, st.text()),
            }
        ).map(line_of_a_checkpoint)
    ).map(b"".join)
)
def test_any_checkpoints_jsonl_leads_to_a_checkpoint_or_a_clear_word(tmp_path, content):
    folder = run_folder_of(tmp_path)
    (folder / "checkpoints" / "checkpoints.jsonl").write_bytes(content)
    try:
        assert Checkpoints(folder, {}).newest() is None
    except ValueError as error:
        assert "no usable checkpoint" in str(error)


@relaxed
@given(content=st.binary(max_size=200) | json_values, name=st.sampled_from(["status", "metrics"]))
def test_any_status_and_metrics_are_read_or_left_out(tmp_path, content, name):
    folder = run_folder_of(tmp_path)
    (folder / "status.json").write_bytes(as_bytes(content))
    (folder / "metrics.jsonl").write_bytes(as_bytes(content) + b"\n")
    assert isinstance(Status(folder).holder(), str)
    assert all(record["split"] == "valid" for record in Metrics(folder).records("valid"))


@pytest.mark.parametrize("name", ["config.json", "status.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 200_000, b'{"a": 1e999', b"null\n"])
def test_a_run_with_a_spoilt_file_goes_on_or_says_so_in_one_line(
    copy_of_finished, capsys, name, content
):
    (copy_of_finished / name).write_bytes(content)
    status = main.main(["main.py", f"--result_dir={copy_of_finished}"])
    errors = capsys.readouterr().err
    assert (status, errors.count("\n")) in [(0, 0), (1, 1)]
    assert "Traceback" not in errors
    if name != "config.json":
        assert status == 0 and train({"result_dir": str(copy_of_finished)})["step"] == 120


# --- flags ----------------------------------------------------------------------------------


@relaxed
@given(
    model=st.sampled_from(sorted(MODELS)),
    name=st.sampled_from([s.name for m in MODELS.values() for s in m.settings()]),
    value=st.text() | st.integers().map(str) | st.floats().map(str),
)
def test_any_value_of_a_flag_is_taken_or_refused_by_name(tmp_path, monkeypatch, model, name, value):
    monkeypatch.chdir(tmp_path)
    try:
        model_class, flags = command_line.parse(
            ["main.py", f"--model_name={model}", f"--{name}={value}"]
        )
        model_class.complete(flags)
    except (ConfigError, OSError, ValueError) as error:
        assert name in str(error) or value in str(error)


@given(words=st.lists(st.text(), max_size=4))
def test_any_words_are_taken_or_refused(words):
    try:
        command_line.parse(["main.py", *words])
    except ConfigError as error:
        assert_one_line(error)
