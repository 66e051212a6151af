"""What must not matter for the bits of a run, tried in processes of their own.

Promised are equal bits for the same versions, the same kind of processor and the same number of
threads. All that is compared here is equal in these three, on any machine. Whether another number
of threads gives other bits depends on the processor, and is not asked.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runs import digests, metrics, read

from training import processors
from training.files import PROJECT

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).parent / "bits.py"
FEW = 3  # of the shapes, where one process is compared with the fixture's first ones


def start(*flags, processors=None, python=(), before=(), **environment):
    """Start tests/bits.py with two threads; processors: the numbers of those it may use."""
    command = [*before, sys.executable, *python, str(PROGRAM), "--threads=2", *flags]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if processors:
        options["preexec_fn"] = lambda: os.sched_setaffinity(0, processors)
    return subprocess.Popen(command, env=os.environ | environment, **options)


def found(process):
    """What a process printed: {shape: digest}."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output)


@pytest.fixture(scope="module")
def expected():
    """The digests of twenty shapes, trained with nothing in the way."""
    digests = found(start("--shapes=20"))
    assert len(digests) == len(set(digests.values())) == 20
    return digests


def assert_equal_to_the_first(digests, expected):
    assert digests == dict(list(expected.items())[:FEW])


def test_another_order_of_the_batches_would_be_seen(expected):
    spoilt = found(start(f"--shapes={FEW}", "--spoil"))
    assert list(spoilt) == list(expected)[:FEW]
    assert not set(spoilt.values()) & set(expected.values())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_one_processor_or_all_give_the_same_bits(expected):
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("this machine has one processor")
    assert found(start("--shapes=20", processors={min(os.sched_getaffinity(0))})) == expected


def test_models_that_were_built_before_give_the_same_bits(expected):
    assert_equal_to_the_first(found(start(f"--shapes={FEW}", "--built_before")), expected)


def test_hashes_language_time_zone_huge_pages_and_no_assertions_give_the_same_bits(expected):
    variables = {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Pacific/Kiritimati"}
    variables |= {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "OMP_NUM_THREADS": "7"}
    process = start(f"--shapes={FEW}", python=["-O"], **variables)
    assert_equal_to_the_first(found(process), expected)


@pytest.mark.skipif(os.name == "nt", reason="nice is of POSIX")
def test_low_priority_beside_busy_neighbours_gives_the_same_bits(expected):
    busy = [sys.executable, "-c", "while True: pass"]
    neighbours = [subprocess.Popen(busy) for _ in range(os.cpu_count())]
    try:
        process = start(f"--shapes={FEW}", before=["nice", "-n", "2"])
        assert_equal_to_the_first(found(process), expected)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_run_that_is_copied_and_goes_on_with_one_processor_elsewhere_is_the_same(
    process, tmp_path
):
    """Started with all processors, and gone on with in another working folder, with one."""

    def run(folder, *flags, **options):
        answer = process(f"--result_dir={folder}", *flags, **options)
        assert (answer.returncode, answer.stderr) == (0, ""), answer.stderr

    flags = ["--model_name=MNIST", "--fake_data", "--optimizer=adam", "--lr=0.01"]
    flags += ["--batch_size=1000", "--save_every=20", "--eval_every=20", "--log_every=5"]
    run(tmp_path / "begun", *flags, "--random_seed=3", "--max_iter=20")
    shutil.copytree(tmp_path / "begun", tmp_path / "else where" / "copy")
    one = {min(os.sched_getaffinity(0))}
    run(
        "copy", "--max_iter=40", cwd=tmp_path / "else where",
        preexec_fn=lambda: os.sched_setaffinity(0, one),
    )  # fmt: skip
    run(tmp_path / "begun", "--max_iter=40")
    run(tmp_path / "other", *flags, "--random_seed=4", "--max_iter=40")
    folders = [tmp_path / name for name in ("begun", "else where/copy", "other")]
    threads = {read(folder, "config.json")["config"]["threads"] for folder in folders}
    assert threads == {processors.count()}
    begun, copy, other = ((digests(folder), metrics(folder)) for folder in folders)
    assert begun == copy and 40 in begun[0]
    assert begun[0].keys() == other[0].keys()
    assert not set(begun[0].values()) & set(other[0].values()) and begun[1] != other[1]


def test_every_model_builds_the_same_graph_in_every_process():
    program = (
        "import hashlib, sys; from models import MODELS; from training import repeatable\n"
        "for model_class in MODELS.values():\n"
        "    model = model_class({'fake_data': True, 'random_seed': int(sys.argv[1])})\n"
        "    model.build_steps(model.build_data()[0], True)\n"
        "    print(hashlib.sha256(repr(repeatable.operations(model.graph)).encode()).hexdigest())\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, seed], cwd=PROJECT, stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONHASHSEED": hashes},
        )
        for seed, hashes in [("3", "1"), ("3", "2"), ("4", "1")]
    ]  # fmt: skip
    first, again, other = (process.communicate()[0].split() for process in processes)
    assert first == again and len(first) > 1
    assert not set(first) & set(other)
