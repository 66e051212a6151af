"""The number of threads belongs to a run, and is the one that is in force.

TensorFlow creates its threads once, so that this is tried in processes of their own.
"""

import json
import os
import subprocess
import sys

import pytest
from runs import read, train

from models import ConfigError, make_model
from training import processors, provenance
from training.files import PROJECT

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process's threads"
)


def python(*lines):
    """Run lines in a process of their own. Returns (output, the last line of what went wrong)."""
    command = [sys.executable, "-c", "\n".join(lines)]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return answer.stdout, answer.stderr.strip().split("\n")[-1]


def test_a_run_records_the_processors_that_it_may_use(small):
    for config in (small, small | {"threads": 0}):
        with make_model(config) as model:
            assert model.config["threads"] == processors.count()


def test_a_run_keeps_its_number_wherever_it_goes_on(small, tmp_path, shell, monkeypatch):
    train(small, until=40)
    folder, number = small["result_dir"], processors.count()
    assert read(tmp_path / "run", "config.json")["config"]["threads"] == number
    monkeypatch.setattr(processors, "count", lambda: number + 5)
    for config in ({"result_dir": folder}, {"result_dir": folder, "threads": 0},
                   {"from_checkpoint": folder}):  # fmt: skip
        with make_model(config) as model:
            assert model.config["threads"] == number
    for stage in ([], ["--infer"], ["--evaluate"], ["--verify"]):
        assert shell(*stage, f"--result_dir={folder}", f"--threads={number + 1}")[0] == 2
    with pytest.raises(ConfigError, match=rf"threads={number} \(now {number + 1}\)"):
        make_model({"result_dir": folder, "threads": number + 1})


MODEL = """
from models import make_model
import tensorflow as tf

def try_(*numbers):
    for number in numbers:
        try:
            make_model({"threads": number})
            print(number)
        except ValueError as error:
            print(error)
"""
REFUSED = (
    "--threads={}: this process has {} threads already, and TensorFlow creates them once; "
    "use --threads={}, or another process for this model\n"
)


@on_linux
def test_the_number_that_is_asked_for_is_in_force_and_another_is_refused():
    number = processors.affinity() + 1
    output, errors = python(
        MODEL,
        f"try_({number}, {number})",
        "import os",
        "names = [open(f'/proc/self/task/{t}/comm').read() for t in os.listdir('/proc/self/task')]",
        "print(names.count('tf_XLAEigen\\n'))",
        f"try_(77, {number})",
    )
    refused = REFUSED.format(77, number, number)
    assert (output, errors) == (f"{number}\n{number}\n{number}\n{refused}{number}\n", "")


@on_linux
def test_a_session_that_was_opened_before_decides_and_its_number_is_said():
    """Also after another number was refused, and whatever TensorFlow was asked for since."""
    output, errors = python(
        MODEL,
        "config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=3)",
        "session = tf.compat.v1.Session(graph=tf.Graph(), config=config)",
        "try_(5, 3, 5)",
    )
    refused = REFUSED.format(5, 3, 3)
    assert (output, errors) == (f"{refused}3\n{refused}", "")


def test_tensorflow_that_has_begun_keeps_the_number_that_it_was_given():
    begin = "tf.config.threading.set_intra_op_parallelism_threads(3); tf.constant(1) + 1"
    output, errors = python(MODEL, begin, "try_(4, 3)")
    assert (output, errors) == (f"{REFUSED.format(4, 3, 3)}3\n", "")


needs_two_processors = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or processors.count() == 1,
    reason="it takes two processors, and a system that can give a process one of them",
)


@needs_two_processors
def test_evaluate_infer_and_verify_on_one_processor_have_the_threads_of_the_run(copy_of_finished):
    output, errors = python(
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "sys.path.append('tests')",
        "import main, models, toy; models.MODELS['Toy'] = toy.Toy",
        "for stage in ('--evaluate', '--infer', '--verify'):",
        f"    print(main.main(['main.py', stage, '--result_dir={copy_of_finished}']))",
        "from training import device, processors",
        "print(device.pool_size(), processors.count())",
    )
    lines = output.splitlines()
    assert errors == "" and lines[-1] == f"{processors.count()} 1"
    assert lines.count("0") == 3 and "bit-identical at 4 of 4 recorded steps" in lines


def test_processors_are_those_of_affinity_and_quota(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    mount, groups = tmp_path / "sys/fs/cgroup", tmp_path / "proc/self/cgroup"
    there = processors.affinity()

    def write(**files):
        for name, text in files.items():
            path = mount / name.replace("__", "/").replace("_max", ".max").replace("cfs", ".cfs")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    assert processors.count(tmp_path) == there  # not Linux
    groups.write_text("0::/a/b\n")
    assert processors.count(tmp_path) == there
    write(a__b__cpu_max="max 100000", a__cpu_max=f"{int(there * 1e5)} 100000")
    assert processors.count(tmp_path) == there
    write(a__cpu_max="50000 100000")  # the group above limits, too
    assert processors.count(tmp_path) == 1
    write(a__cpu_max="max 100000", a__b__cpu_max=f"{int((there - 0.5) * 1e5)} 100000")
    assert processors.count(tmp_path) == there  # a part counts as a whole
    groups.write_text("5:cpuacct,cpu:/host\n3:memory:/host\n")  # a container with version 1
    write(cpu__cpucfs_quota_us="-1", cpu__cpucfs_period_us="100000")
    assert processors.count(tmp_path) == there
    write(cpu__cpucfs_quota_us="100000")
    assert processors.count(tmp_path) == 1
    write(cpu__cpucfs_quota_us="damaged")
    assert processors.count(tmp_path) == there


@needs_two_processors
def test_processors_follow_the_affinity_of_the_process():
    one = min(os.sched_getaffinity(0))
    output, _ = python(
        "import os; from training import processors",
        f"os.sched_setaffinity(0, [{one}])",
        "print(processors.count())",
    )
    assert output == "1\n"


def test_the_record_names_the_processor_its_caches_and_what_the_shell_sets(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    about = json.loads(json.dumps(provenance.environment("", [])))
    assert about["variables"]["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false"
    assert "TF_CPP_MIN_LOG_LEVEL" not in about["variables"]
    assert about["processor"] == processors.kind()
    assert about["processor"]["model"] and about["processor"]["features"]


def a_linux(root, *caches, processor=b"model name\t: AMD EPYC\n\n"):
    """Files as Linux has them. caches: (level, type, size or None)."""
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_bytes(processor)
    for number, values in enumerate(caches):
        folder = root / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        folder.mkdir(parents=True)
        for name, value in zip(("level", "type", "size"), values, strict=True):
            if value:
                (folder / name).write_text(value + "\n")
    return processors.kind(root)


def test_caches_and_model_are_read_as_linux_tells_them(tmp_path):
    kind = a_linux(
        tmp_path, ("1", "Data", "32K"), ("1", "Instruction", "64K"), ("2", "Unified", "512K"),
        processor=b"processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 49\nmodel name\t: EPYC\n"
        b"\nprocessor\t: 1\nmodel name\t: another\n\n",
    )  # fmt: skip
    assert kind["model"] == "model name EPYC, vendor_id AuthenticAMD, model 49"
    assert kind["caches"] == {"L1d": "32K", "L2": "512K"}


def test_what_linux_does_not_tell_is_left_out_and_stops_no_run(tmp_path):
    caches = ("1", "Data", None), ("2", "Unified", None), ("3", "Unified", "8192K")
    kind = a_linux(tmp_path, *caches, processor=b"CPU part\t: 0xd0c\nmodel name\t: \xff\n")
    assert kind["model"] == "model name \N{REPLACEMENT CHARACTER}, CPU part 0xd0c"
    assert kind["caches"] == {"L3": "8192K"}


@pytest.mark.skipif(os.name == "nt", reason="a script stands for a command of macOS")
def test_macos_is_asked_and_its_silence_stops_no_run(tmp_path, monkeypatch):
    script = tmp_path / "sysctl"
    script.write_text("#!/bin/sh\n[ $2 = hw.l2cachesize ] && echo 4096 || echo $2 is no name >&2\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert processors.kind(tmp_path)["caches"] == {"L2": "4096"}
    monkeypatch.setenv("PATH", "")
    assert processors.kind(tmp_path)["caches"] == {}
