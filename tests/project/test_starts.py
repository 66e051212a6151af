"""What a run records of its code, and folders of runs that start at the same time."""

import hashlib
import shutil
import subprocess
import sys
import time

from runs import read

from training.files import PROJECT


def test_eight_processes_that_start_in_the_same_second_have_eight_folders(tmp_path):
    code = (
        "import sys, time, pathlib; from training import folders;"
        "folders.RESULTS = pathlib.Path(sys.argv[1]);"
        "print('ready', flush=True);"
        "time.sleep(float(input()) - time.time());"
        "path = folders.run_folder({'result_dir': None, 'model_name': 'MNIST'});"
        "print(path, int(time.time()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    starts = [subprocess.Popen(command, cwd=PROJECT, **pipes) for _ in range(8)]
    assert [start.stdout.readline() for start in starts] == 8 * ["ready\n"]
    moment = int(time.time()) + 2.1
    for start in starts:
        start.stdin.write(f"{moment}\n")
        start.stdin.flush()
    answers = [start.communicate()[0].rsplit(maxsplit=1) for start in starts]
    assert len({folder for folder, _ in answers}) == 8
    assert len({second for _, second in answers}) == 1


def test_the_source_files_of_a_run_are_recorded_with_what_git_does_not_hold(tmp_path):
    """Also new files, which `git diff` leaves out: the moment when a model is added."""
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns("results", "mnist", "__pycache__", ".venv")
    shutil.copytree(PROJECT, project, ignore=ignored)
    (project / "results").mkdir()
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    registry = project / "models" / "__init__.py"
    text = registry.read_text() + "\nfrom models import added\n"
    registry.write_text(text, encoding="utf-8", newline="\n")
    (project / "models" / "added.py").write_text("NEW = 'ä'\n", encoding="utf-8", newline="\n")
    command = [sys.executable, "main.py", "--max_iter=1", "--jit=off", "--random_seed=1"]
    subprocess.run([*command, "--result_dir=run"], cwd=project, check=True, capture_output=True)
    about = read(project / "run", "config.json")["environment"]
    sources = about["sources"]
    assert {path for path, source in sources.items() if "text" in source} == {
        "models/__init__.py", "models/added.py"
    }  # fmt: skip
    assert sources["models/added.py"]["text"] == "NEW = 'ä'\n"
    assert sources["models/__init__.py"]["text"] == text
    assert {"main.py", "models/basic_model.py", "training/steps.py"} <= sources.keys()
    for path, source in sources.items():
        assert source["sha256"] == hashlib.sha256((project / path).read_bytes()).hexdigest()
    # A resumed run records the files that changed meanwhile, and --verify names them.
    (project / "models" / "added.py").write_text("NEW = 2\n")
    command = [sys.executable, "main.py", "--result_dir=run"]
    subprocess.run([*command, "--max_iter=2"], cwd=project, check=True, capture_output=True)
    (resumed,) = read(project / "run", "config.json")["resumed"]
    assert list(resumed["sources"]) == ["models/added.py"]
    line = project / "models" / "linear_regression.py"
    line.write_text(line.read_text().replace("SLOPE, NOISE = 3.0", "SLOPE, NOISE = 2.0"))
    answer = subprocess.run([*command, "--verify"], cwd=project, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "  code: models/linear_regression.py is not what it was when" in answer.stdout
    assert "  code: models/added.py is not what it was when it was started" in answer.stdout
    assert "models/mnist.py" not in answer.stdout
