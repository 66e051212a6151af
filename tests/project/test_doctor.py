"""python main.py --doctor: each fault is named with what to do, and a healthy machine has none."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from faults import PROVOKED, has_a_gpu_that_is_not_seen, has_version, set_free

from data import loaders
from doctor import checks, examination, tensorflow_checks

TITLES = """
    Python packages TensorBoard git data results disk TensorFlow models GPUs threads XLA
""".split()


@pytest.fixture(autouse=True)
def machine(pristine, tmp_path, monkeypatch):
    """A healthy machine without a GPU: pyproject.toml as rendered, and whole, but small, data."""
    shutil.copy(pristine / "pyproject.toml", tmp_path)
    monkeypatch.setattr(checks, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(tensorflow_checks, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(tensorflow_checks, "nvidia_smi", lambda *arguments: "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(loaders, "FOLDER", tmp_path / "mnist")
    set_free(monkeypatch, 5e9)
    for name in loaders.DIGESTS:
        array = np.ones([3, 28, 28] if "images" in name else 3, np.uint8)
        monkeypatch.setitem(loaders.DIGESTS, name, hashlib.sha256(array).hexdigest())
        (tmp_path / "mnist" / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "mnist" / f"{name}.npy", array)


def parse(output):
    """{title: (kind, text)} of what the doctor prints, and its last line."""
    *lines, last = output.splitlines()
    matches = [re.fullmatch(r"(ok|note|fault) +(.{12}) (.+)", line) for line in lines]
    assert all(matches), output
    return {match[2].strip(): (match[1], match[3]) for match in matches}, last


@pytest.fixture
def examine(shell):
    """Call the doctor: examine() returns (exit status, {title: (kind, text)})."""

    def call(*flags):
        status, output, errors = shell("--doctor", *flags)
        assert errors == ""
        lines, last = parse(output)
        count = [kind for kind, _ in lines.values()].count("fault")
        assert status == (count > 0) and last.startswith(f"{count} fault" if count else "No fault")
        return status, lines

    return call


def test_a_healthy_machine_has_no_fault_and_nothing_is_left_on_it(examine, tmp_path, results):
    (tmp_path / "run").mkdir()
    for flags in ([], [f"--result_dir={tmp_path / 'run'}"], [f"--result_dir={tmp_path}/new/run"]):
        before = sorted(tmp_path.rglob("*"))
        status, lines = examine(*flags)
        assert status == 0 and [title for title in lines if title != "Ray"] == TITLES
        assert sorted(tmp_path.rglob("*")) == before
    assert lines["results"] == ("ok", f"{tmp_path} can be written and locked")
    assert lines["disk"] == ("ok", f"5.0 GB are free in {tmp_path}")
    assert re.match(r"absl-py \d.*, tensorflow\S* 2\.21\.\d+$", lines["packages"][1])
    assert lines["data"] == ("ok", f"MNIST is complete in {tmp_path / 'mnist'}")
    assert lines["models"] == ("ok", "LinearRegression, MNIST, Toy")
    assert lines["GPUs"] == ("note", "none: training runs on the processor")


@pytest.mark.parametrize("title, provoke, words", PROVOKED)
def test_a_fault_is_named_with_what_to_do(examine, monkeypatch, tmp_path, title, provoke, words):
    status, lines = examine()
    assert status == 0 and lines[title][0] != "fault"  # control
    provoke(monkeypatch, tmp_path)
    status, lines = examine()
    assert status == 1 and [t for t, (kind, _) in lines.items() if kind == "fault"] == [title]
    for word in words:
        assert word in lines[title][1]


def test_what_needs_tensorflow_is_not_checked_without_it(examine, monkeypatch, tmp_path):
    has_version("tensorflow", None)(monkeypatch, tmp_path)
    _, lines = examine()
    assert lines["packages"][0] == lines["TensorFlow"][0] == "fault"
    assert lines["TensorFlow"][1].startswith("it is not installed: pip install")
    assert list(lines)[-1] == "the rest" and "GPUs" in lines["the rest"][1]


@pytest.mark.parametrize("free, kind", [(99e6, "fault"), (101e6, "note"), (1e9, "ok")])
def test_a_disk_is_judged_by_what_is_free(examine, monkeypatch, free, kind):
    set_free(monkeypatch, free)
    assert examine()[1]["disk"][0] == kind


def test_what_is_missing_but_not_needed_is_a_note(examine, monkeypatch):
    shutil.rmtree(loaders.FOLDER)
    monkeypatch.setattr("shutil.which", lambda command: None)
    status, lines = examine()
    assert status == 0
    assert {lines[title][0] for title in ("data", "git")} == {"note"}
    assert "python data/download.py" in lines["data"][1]
    assert "it is not installed" in lines["git"][1]


def test_a_gpu_that_is_hidden_on_purpose_is_a_note(examine, monkeypatch, tmp_path):
    has_a_gpu_that_is_not_seen(monkeypatch, tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    status, lines = examine()
    assert status == 0 and "hidden by CUDA_VISIBLE_DEVICES=-1" in lines["GPUs"][1]


def test_xla_that_cannot_compile_is_a_note(examine, monkeypatch):
    def fail(**options):
        raise tf.errors.InternalError(None, None, "libdevice not found at ./libdevice.10.bc")

    monkeypatch.setattr(tensorflow_checks, "multiply", fail)
    status, lines = examine()
    assert status == 0 and lines["XLA"][0] == "note" and "libdevice not found" in lines["XLA"][1]


@pytest.mark.parametrize("used, kind", [(76_000, "fault"), (1_100, "ok")])
def test_memory_of_a_gpu_that_is_taken_at_once_is_a_fault(monkeypatch, used, kind):
    answers = iter(["15, 40960\n600, 81559\n", f"15, 40960\n{used}, 81559\n"])
    monkeypatch.setattr(tensorflow_checks, "nvidia_smi", lambda *arguments: next(answers))
    assert tensorflow_checks.gpu_memory() is None  # control: there is no GPU
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    said = tensorflow_checks.gpu_memory()
    assert said[0] == kind and f"took {used - 600:,} of 81,559 MiB" in said[1]


def test_a_check_that_fails_does_not_stop_the_others(examine, monkeypatch):
    monkeypatch.setitem(examination.CHECKS, "git", lambda: {}["nothing\nhere"])
    status, lines = examine()
    assert (status, list(lines)[-1]) == (1, "XLA")
    assert lines["git"] == ("fault", r"this check failed: KeyError: 'nothing\nhere'")


@pytest.mark.parametrize("flag", ["--lr=1", "--model_name=MNIST", "--device=cpu"])
def test_other_flags_do_not_go_with_it(shell, flag):
    status, output, errors = shell("--doctor", flag)
    assert (status, output) == (2, "") and f"{flag.split('=')[0]} does not go with" in errors


def call(project, *arguments, **options):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, **options)


def test_it_runs_where_no_package_is_installed(project):
    without = "-S"  # Python's flag: no installed packages
    answer = call(project, without, "main.py", "--doctor")
    lines, last = parse(answer.stdout)
    assert (answer.returncode, answer.stderr) == (1, "") and last.startswith("2 faults")
    assert lines["packages"][0] == lines["TensorFlow"][0] == "fault"
    answer = call(project, without, "main.py")
    assert (answer.returncode, answer.stdout) == (1, "")
    said = "error: No module named 'absl'; python main.py --doctor says what is missing\n"
    assert answer.stderr == said
    assert "Traceback" in call(project, without, "main.py", "--debug").stderr


def test_tensorflow_that_cannot_be_imported_is_a_fault(project, tmp_path, monkeypatch):
    (tmp_path / "broken" / "tensorflow").mkdir(parents=True)
    text = "raise ImportError('libcudart.so.12: cannot open shared object file')"
    (tmp_path / "broken" / "tensorflow" / "__init__.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    answer = call(project, "main.py", "--doctor")
    lines, _ = parse(answer.stdout)
    assert (answer.returncode, answer.stderr) == (1, "")
    assert "libcudart.so.12" in lines["TensorFlow"][1] and "pip" in lines["TensorFlow"][1]


def test_a_model_with_an_error_in_its_file_is_a_fault(project):
    (project / "models" / "mnist.py").write_text("def (")
    answer = call(project, "main.py", "--doctor")
    lines, _ = parse(answer.stdout)
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert lines["models"][0] == "fault" and "SyntaxError" in lines["models"][1]
    assert "mnist.py" in lines["models"][1]
    (project / "taken").write_text("")
    lines, _ = parse(call(project, "main.py", "--doctor", "--result_dir=taken").stdout)
    assert lines["results"][0] == "fault" and "taken is a file" in lines["results"][1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_output_that_cannot_be_written_is_said_in_one_line(project):
    with open("/dev/full", "w") as full:
        answer = subprocess.run([sys.executable, "main.py", "--doctor"], cwd=project, stdout=full,
                                stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert answer.returncode == 1 and "No space left on device" in answer.stderr
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1
