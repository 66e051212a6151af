"""A search on a Ray cluster gives the answer of a local one, whatever dies on the way."""

import signal
import sys

import pytest
from searches import assert_same, ledger, search, wait_for_lines

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="Ray has several nodes on one machine on Linux only"
    ),
]


@pytest.fixture
def cluster():
    """Three nodes on this machine: a head without processors, and two with one each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    cluster.workers = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def test_killed_parent_and_killed_node_change_nothing(cluster, tmp_path):
    on_ray = ["--executor=ray", f"--ray_address={cluster.address}"]
    folder = tmp_path / "ray"
    process = search(folder, 2, *on_ray)
    wait_for_lines(folder, 3, process)
    process.kill()
    process.communicate()
    process = search(folder, 2, *on_ray)
    wait_for_lines(folder, 6, process)
    cluster.remove_node(cluster.workers[0], allow_graceful=False)
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "") and "0 diverged, 0 failed" in output

    local, other = search(tmp_path / "local", 1), search(tmp_path / "other", 1, "--search_seed=4")
    for process in (local, other):
        assert process.communicate(timeout=120)[1] == ""
    assert_same(folder, tmp_path / "local")
    assert ledger(folder) != ledger(tmp_path / "other")


def test_sigterm_ends_it_in_good_order(cluster, tmp_path):
    process = search(tmp_path / "ray", 2, "--executor=ray", f"--ray_address={cluster.address}")
    wait_for_lines(tmp_path / "ray", 1, process)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "") and "run the same command to resume" in output


def test_a_cluster_that_is_not_there_is_said_in_one_line(tmp_path):
    process = search(tmp_path / "ray", 2, "--executor=ray", "--ray_address=127.0.0.1:1")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and errors.count("\n") == 1, errors
    assert "--ray_address=127.0.0.1:1" in errors
