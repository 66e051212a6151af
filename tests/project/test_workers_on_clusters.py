"""docs/workers.md: its scripts for SLURM and Kubernetes give each task its TF_CONFIG."""

import os
import re
import subprocess

import pytest
import yaml

import command_line
from models import MODELS
from training.files import PROJECT
from training.tf_config import task_of_environment

PAGE = (PROJECT / "docs" / "workers.md").read_text(encoding="utf-8")
SLURM = re.search(r"^```sh\n(#!/bin/bash\n.*?)^```$", PAGE, re.M | re.S)[1]
SERVICE, JOB = yaml.safe_load_all(re.search(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)[1])
POD = JOB["spec"]["template"]["spec"]
# srun starts a task for each host, with the variables that SLURM sets.
COMMANDS = {
    "scontrol": '[ "$*" = "show hostnames node[1-3]" ] && printf "%s\\n" node1 node2 node3',
    "srun": 'while [[ $1 == --* ]]; do shift; done\nfor i in 0 1 2; do SLURM_PROCID=$i "$@"; done',
    "python": 'printf "%s\\n" "$TF_CONFIG" >> started; printf "%s\\n" "$*" >> flags',
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="for a POSIX shell")


@pytest.fixture
def bash(tmp_path):
    """Run a script where those commands are stubs. Returns the tasks that it started, in order."""
    (tmp_path / "bin").mkdir()
    for name, body in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"

    def call(*command, **variables):
        environment = os.environ | {"PATH": path} | variables
        environment.pop("TF_CONFIG", None)
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        tasks = []
        for line in (tmp_path / "started").read_text().splitlines():
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("TF_CONFIG", line)
                tasks.append(task_of_environment())
        return tasks

    return call


def check_flags(text):
    """main.py takes the flags with which the stub was called."""
    for line in text.splitlines():
        model_class, given = command_line.parse(line.split())
        assert model_class is MODELS["MNIST"] and given["result_dir"]


def test_slurms_script_gives_each_task_its_worker(bash, tmp_path):
    variables = {"SLURM_JOB_NODELIST": "node[1-3]", "SLURM_CPUS_PER_TASK": "4"}
    tasks = bash("bash", "-euo", "pipefail", "-c", SLURM, **variables)
    hosts = ("node1:2222", "node2:2222", "node3:2222")
    assert tasks == [(hosts, index) for index in range(3)]
    check_flags((tmp_path / "flags").read_text())


def test_kubernetes_job_gives_each_pod_its_worker(bash, tmp_path):
    (container,) = POD["containers"]
    count = JOB["spec"]["completions"]
    for index in range(count):  # $(...) of a shell stays, since it is no variable of the pod
        tasks = bash(*container["command"], *container["args"], JOB_COMPLETION_INDEX=str(index))
    hosts = tuple(f"digits-{index}.digits:2222" for index in range(count))
    assert tasks == [(hosts, index) for index in range(count)]
    check_flags((tmp_path / "flags").read_text())


def test_kubernetes_names_are_those_of_the_addresses():
    """A pod of an Indexed Job is called JOB-INDEX, and found as that in the headless Service."""
    name = JOB["metadata"]["name"]
    assert name == "digits" and SERVICE["metadata"]["name"] == POD["subdomain"] == name
    assert SERVICE["spec"]["clusterIP"] == "None"
    assert SERVICE["spec"]["selector"] == {"job-name": name}
    assert JOB["spec"]["completionMode"] == "Indexed"
    assert JOB["spec"]["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}  # the chief's
    assert JOB["spec"]["parallelism"] == JOB["spec"]["completions"]
    assert POD["restartPolicy"] == "Never"  # which podFailurePolicy needs
    (container,) = POD["containers"]
    mounts, volumes = container["volumeMounts"], POD["volumes"]
    assert [m["name"] for m in mounts] == [v["name"] for v in volumes]
