"""The number of threads belongs to a run, and is the one that is in force.

TensorFlow makes its threads once, so that what is tried here is tried in processes of their own.
"""

import json
import os
import subprocess
import sys

import pytest
from runs import read, train

import main
from models import ConfigError, make_model
from training import processors
from training.files import PROJECT


def python(*lines, **options):
    """Run lines in a process of their own. Returns (output, the last line of what went wrong)."""
    command = [sys.executable, "-c", "\n".join(lines)]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, **options)
    return answer.stdout, answer.stderr.strip().split("\n")[-1]


def test_a_run_records_the_processors_that_it_may_use(small):
    with make_model(small) as model:
        assert model.config["threads"] == processors.count()
    with make_model(small | {"threads": 0}) as model:
        assert model.config["threads"] == processors.count()


def test_a_run_keeps_its_number_wherever_it_goes_on(small, tmp_path, monkeypatch):
    train(small, until=20)
    number = read(tmp_path / "run", "config.json")["config"]["threads"]
    monkeypatch.setattr(processors, "count", lambda: number + 5)
    with make_model({"result_dir": small["result_dir"]}) as model:
        assert model.config["threads"] == number
    with make_model({"result_dir": small["result_dir"], "threads": 0}) as model:
        assert model.config["threads"] == number
    with make_model({"from_checkpoint": small["result_dir"]}) as model:
        assert model.config["threads"] == number
    for stage in ([], ["--infer"], ["--evaluate"], ["--verify"]):
        flags = [*stage, f"--result_dir={small['result_dir']}", f"--threads={number + 1}"]
        assert main.main(["main.py", *flags]) == 2
    with pytest.raises(ConfigError, match=rf"threads={number} \(now {number + 1}\)"):
        make_model({"result_dir": small["result_dir"], "threads": number + 1})


MODEL = "from models import make_model; import tensorflow as tf"
IN_FORCE = """
def in_force():
    import os
    names = [open(f"/proc/self/task/{t}/comm").read() for t in os.listdir("/proc/self/task")]
    return names.count("tf_XLAEigen\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the threads of a process")
def test_the_number_that_is_recorded_is_the_one_that_is_in_force():
    for number in (1, 3):
        output, errors = python(
            MODEL,
            IN_FORCE,
            f"model = make_model({{'threads': {number}}})",
            "model.prepare_steps()",
            "print(in_force(), model.config['threads'])",
        )
        assert (output, errors) == (f"{number} {number}\n", "")


def test_a_second_number_in_one_process_is_refused_with_what_to_do():
    output, errors = python(
        MODEL,
        "make_model({'threads': 3}); make_model({'threads': 3})",
        "print('twice')",
        "make_model({'threads': 2})",
    )
    assert output == "twice\n"
    assert errors.startswith("models.hyperparameters.ConfigError: --threads=2: ")
    assert "has 3 threads already" in errors and "process of its own" in errors


def test_what_tensorflow_has_begun_with_is_asked_of_tensorflow():
    begin = "tf.config.threading.set_intra_op_parallelism_threads(3); tf.constant(1) + 1"
    output, errors = python(MODEL, begin, "make_model({'threads': 3})", "print('equal')")
    assert (output, errors) == ("equal\n", "")
    output, errors = python(MODEL, begin, "make_model({'threads': 4})", "print('other')")
    assert output == "" and "--threads=4: this process has 3 threads already" in errors
    first = "tf.constant(1) + 1; from training import processors"
    output, errors = python(
        MODEL,
        first,
        "make_model({'threads': processors.affinity()})",
        "make_model({'threads': 77})",
    )
    assert f"--threads=77: this process has {processors.affinity()} threads already" in errors


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the threads of a process")
def test_a_session_that_was_opened_before_is_noticed_every_time():
    output, errors = python(
        MODEL,
        "session = tf.compat.v1.Session(graph=tf.Graph())",
        "try: make_model({'threads': 5})",
        "except ValueError as error: print(error)",
        "make_model({'threads': 5})",
    )
    for said in (output, errors):
        assert "--threads=5: a session that was opened before has made the threads" in said


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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_processors_follow_the_affinity_of_the_process():
    one = min(os.sched_getaffinity(0))
    output, _ = python(
        "import os; from training import processors",
        f"os.sched_setaffinity(0, [{one}])",
        "print(processors.count())",
    )
    assert output == "1\n"


def test_the_record_names_the_processor_its_caches_and_what_the_shell_sets(small, tmp_path):
    variables = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false", "OMP_NUM_THREADS": "3"}
    program = f"from models import make_model; make_model({small!r}).train(until=1)"
    python(program, env=os.environ | variables | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    about = read(tmp_path / "run", "config.json")["environment"]
    assert about["variables"] | variables == about["variables"]
    assert "TF_CPP_MIN_LOG_LEVEL" not in about["variables"]
    assert about["processor"] == json.loads(json.dumps(processors.kind()))
    assert about["processor"]["model"] and about["processor"]["features"]
    if sys.platform == "linux":
        assert about["processor"]["caches"]["L2"] >= about["processor"]["caches"]["L1d"] > 1000


def test_caches_and_model_are_read_as_linux_tells_them(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 49\nmodel name\t: AMD EPYC\n\n"
        "processor\t: 1\nmodel name\t: another\n\n"
    )
    levels = [("1", "Data", "32K"), ("1", "Instruction", "64K"), ("2", "Unified", "512K")]
    for number, values in enumerate(levels):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        folder.mkdir(parents=True)
        for name, value in zip(("level", "type", "size"), values, strict=True):
            (folder / name).write_text(value + "\n")
    kind = processors.kind(tmp_path)
    assert kind["model"] == "model name AMD EPYC, vendor_id AuthenticAMD, model 49"
    assert kind["caches"] == {"L1d": 32768, "L2": 524288}
