"""python main.py --doctor: each fault is named with what to do, and a healthy machine has none."""

import errno
import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

import models
from data import loaders
from models.linear_regression import LinearRegression
from settings import Setting
from training import checks, doctor, folders, tensorflow_checks

TITLES = """
    Python packages TensorBoard git data results disk TensorFlow models GPUs threads XLA
""".split()
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


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


def set_free(monkeypatch, free):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))


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


def has_old_python(monkeypatch, tmp_path):
    text = checks.PYPROJECT.read_text().replace(">=3.10,<3.14", ">=3.98,<3.99")
    checks.PYPROJECT.write_text(text)


def has_version(name, answer):
    """A provocation: importlib.metadata answers this for a package; None: it is missing."""

    def provoke(monkeypatch, tmp_path):
        real = importlib.metadata.version

        def version(asked):
            if not asked.startswith(name):
                return real(asked)
            if answer is None:
                raise importlib.metadata.PackageNotFoundError(asked)
            return answer

        monkeypatch.setattr("importlib.metadata.version", version)

    return provoke


def has_another_tensorflow(monkeypatch, tmp_path):
    monkeypatch.setattr(tf, "__version__", "2.19.0")


def has_no_pkg_resources(monkeypatch, tmp_path):
    def fail():
        raise ModuleNotFoundError("No module named 'pkg_resources'")

    monkeypatch.setattr("tensorboard.default.get_plugins", fail)


def has_damaged_data(monkeypatch, tmp_path):
    np.save(loaders.FOLDER / "valid" / "images.npy", np.zeros([3, 28, 28], np.uint8))


def has_half_of_the_data(monkeypatch, tmp_path):
    shutil.rmtree(loaders.FOLDER / "test")


def has_a_file_for_results(monkeypatch, tmp_path):
    (tmp_path / "results").write_text("mine")


def has_a_bracket_in_the_path(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "RESULTS", tmp_path / "[1]" / "results")


def has_a_kernels_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(folders, "RESULTS", "/proc/results")


def has_a_full_disk(monkeypatch, tmp_path):
    def fail(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("training.files.write_atomically", fail)


def has_locks_for_all(monkeypatch, tmp_path):
    lock = SimpleNamespace(release=lambda: None)
    monkeypatch.setattr(folders, "locked", lambda path, holder: lock)


def has_no_locks(monkeypatch, tmp_path):
    def fail(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", fail)


def has_a_small_disk(monkeypatch, tmp_path):
    set_free(monkeypatch, 99e6)


def has_a_model_with_a_flag_of_ours(monkeypatch, tmp_path):
    class Wrong(LinearRegression):
        hyperparameters = (Setting("doctor", float, 1.0, "of philosophy"),)

    monkeypatch.setitem(models.MODELS, "Wrong", Wrong)


def has_a_gpu_that_is_not_seen(monkeypatch, tmp_path):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    monkeypatch.setattr(sys, "platform", "linux")


def has_a_wrong_product(monkeypatch, tmp_path):
    def multiply(**options):
        raise ArithmeticError("a product was [[0]]")

    monkeypatch.setattr(tensorflow_checks, "multiply", multiply)


PROVOKED = [
    ("Python", has_old_python, [">=3.98,<3.99", ".venv again"]),
    ("packages", has_version("pooch", None), ["pooch missing: pip install -e"]),
    ("packages", has_version("numpy", "1.2"), ["numpy 1.2 must be >=1.26: pip install -e"]),
    ("TensorBoard", has_no_pkg_resources, ["pkg_resources", "pip install --upgrade"]),
    ("data", has_damaged_data, ["valid/images.npy is missing or damaged", "--repair"]),
    ("data", has_half_of_the_data, ["test/images.npy is missing or damaged", "--repair"]),
    ("results", has_a_file_for_results, ["results is a file", "--result_dir"]),
    ("results", has_a_bracket_in_the_path, ["[1]", "--result_dir"]),
    pytest.param("results", has_a_kernels_folder, ["/proc", "--result_dir"], marks=on_linux),
    ("results", has_a_full_disk, ["No space left on device", "--result_dir"]),
    ("results", has_locks_for_all, ["one lock to two processes", "--result_dir"]),
    pytest.param("results", has_no_locks, ["has no locks", "--result_dir"], marks=on_linux),
    ("disk", has_a_small_disk, ["only 99 MB are free", "--result_dir"]),
    ("TensorFlow", has_another_tensorflow, ["it is 2.19.0, not 2.21", "pip uninstall"]),
    (
        "models",
        has_a_model_with_a_flag_of_ours,
        ["Wrong.hyperparameters: the name doctor is taken; choose"],
    ),
    ("GPUs", has_a_gpu_that_is_not_seen, ["there is one", 'pip install "tensorflow[and-cuda]']),
    ("XLA", has_a_wrong_product, ["this check failed: ArithmeticError: a product was [[0]]"]),
]


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
    assert {lines[title][0] for title in ("data", "git", "TensorBoard")} == {"note"}
    assert "python data/download.py" in lines["data"][1]
    assert "python -m tensorboard.main" in lines["TensorBoard"][1]
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
    monkeypatch.setitem(doctor.CHECKS, "git", lambda: {}["nothing\nhere"])
    status, lines = examine()
    assert (status, list(lines)[-1]) == (1, "XLA")
    assert lines["git"] == ("fault", r"this check failed: KeyError: 'nothing\nhere'")


@pytest.mark.parametrize("flag", ["--lr=1", "--model_name=MNIST", "--debug", "--device=cpu"])
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
