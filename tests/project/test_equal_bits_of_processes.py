"""What must not matter for the bits of a run, tried in processes of their own.

Promised are equal bits for the same versions, the same kind of processor and the same number of
threads. All that is compared here is equal in these three, on any machine. Whether another number
of threads gives other bits depends on the processor, and is not asked: the control is a network
whose loss depends on that number everywhere.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs import digests, metrics, read

from training import processors

PROGRAM = Path(__file__).parent / "bits.py"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "sched_setaffinity") or processors.count() == 1,
        reason="it takes two processors, and a system that can give a process one of them",
    ),
]


def start(*flags, before=(), python=(), cwd=None, processors=None, **variables):
    """Start bits.py. processors: the numbers of those that it may use."""
    return subprocess.Popen(
        [*before, sys.executable, *python, str(PROGRAM), *flags],
        cwd=cwd, env=os.environ | variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: processors and os.sched_setaffinity(0, processors),
    )  # fmt: skip


def found(process):
    """What a process printed: {name: [digest of the graph, digest of all that came out]}."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the first process leaves a run, and a copy of it as it was half-way."""
    return tmp_path_factory.mktemp("else where")


@pytest.fixture(scope="module")
def one():
    return {min(os.sched_getaffinity(0))}


@pytest.fixture(scope="module")
def first(folder, one):
    """What came out of a process on all processors, and one that follows the machine, on one."""
    following = start("--threads=0", "--only=ByThreads", processors=one)
    process = start("--threads=0", f"--run={folder / 'run'}", PYTHONHASHSEED="1")
    return found(process), found(following)


@pytest.fixture(scope="module")
def second(folder, one, first):
    """What comes out if all is different that may be, but for the number of threads.

    One processor, of which others take a part; low priority; the networks in another order, so that
    other models were built before; Python's hashes, no assertions, language, time zone, huge pages,
    another library's threads; and the copy of the run is resumed from another working folder.
    """
    threads = read(folder / "run", "config.json")["config"]["threads"]
    variables = {"PYTHONHASHSEED": "2", "LC_ALL": "C", "TZ": "Pacific/Kiritimati"}
    variables |= {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "OMP_NUM_THREADS": "7"}
    busy = subprocess.Popen(
        [sys.executable, "-c", "while True: pass"],
        preexec_fn=lambda: os.sched_setaffinity(0, one) or os.nice(19),
    )
    try:
        process = start(
            f"--threads={threads}", "--run=copy", "--reverse", processors=one, cwd=folder,
            before=["nice", "-n", "2"], python=["-O"], **variables,
        )  # fmt: skip
        return found(process)
    finally:
        busy.kill()
        busy.wait()


def test_networks_give_the_same_bits_whatever_else_is_different(first, second):
    assert second.keys() == first[0].keys()
    for name in second.keys() - {"ByHash"}:
        assert second[name] == first[0][name], name


def test_threads_that_follow_the_machine_would_be_seen(first):
    on_all, on_one = first
    assert on_all["ByThreads"] != on_one["ByThreads"]


def test_batches_in_another_order_would_be_seen(first):
    (graph, bits), (other_graph, other_bits) = (
        first[0][f"batches in {order}"] for order in ("order", "another order")
    )
    assert graph == other_graph and bits != other_bits


def test_what_differs_between_processes_is_seen_in_the_graph(first, second):
    assert first[0]["ByHash"][0] != second["ByHash"][0]


def test_a_run_that_is_copied_and_goes_on_with_one_processor_elsewhere_is_the_same(folder, second):
    run, copy = folder / "run", folder / "copy"
    (resumed,) = read(copy, "config.json")["resumed"]
    assert "graph_sha256" not in resumed  # it is that of the first start
    assert list(digests(run)) == [0, 20, 40]
    assert (digests(copy), metrics(copy)) == (digests(run), metrics(run))
