"""The shell: its flags, its exit status, and one line for each error."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pasted import words
from runs import lines as records_of

import command_line
from models import MODELS
from training.files import PROJECT

COMMON = """
    batch_size best beta1 beta2 board clip_norm compare confirm data debug decay_rate decay_steps
    deterministic device doctor dry_run eta eval_every eval_examples evaluate executor export
    fixed_params force format from_checkpoint fullsearch help infer input jit
    keep_checkpoint_every_n_hours log_every lr lr_points lr_schedule max_hours max_iter
    max_to_keep min_iter model_name momentum nb_process nb_replicas nb_workers optimizer output
    patience plot port
    promote random_seed ranges ray_address result_dir sampler save_checkpoint_secs save_every search
    search_seed sort_by step threads trace_every trials try verify warmup_steps weight_decay
    worker_timeout
""".split()
OWN = {
    "LinearRegression": ["initial_mean", "initial_stddev"],
    "MNIST": ["fake_data", "hidden1", "hidden2"],
}


def assert_refused(answer, *words, status=2):
    """Exit status, one line that holds the words, and no run begun."""
    code, output, errors = answer
    assert code == status, errors
    assert re.fullmatch(r"error: [^\n]+\n", errors), errors
    for word in words:
        assert word in errors
    assert "Step" not in output


@pytest.mark.parametrize("name", OWN)
def test_the_flags_are_these_and_no_others(shell, name):
    status, output, errors = shell(f"--model_name={name}", "--help")
    assert (status, errors) == (0, "")
    assert sorted(re.findall(r"^  --(\w+)", output, re.M)) == sorted(COMMON + OWN[name])


@pytest.mark.parametrize("name", OWN)
def test_every_hyper_parameter_stands_in_the_documents_with_its_default(name):
    page = (PROJECT / "docs" / "runs.md").read_text(encoding="utf-8")
    for setting in MODELS[name].hyperparameters:
        row = rf"^\| `{setting.name}` \|.*`{re.escape(str(setting.default))}`.*\|$"
        assert re.search(row, page, re.M), f"{setting.name} of {name}"


def test_help_says_with_what_a_flag_goes(shell):
    _, output, _ = shell("--help")
    used = r"from 0 to 0\.9999; only with --optimizer=momentum"
    assert re.search(rf"--momentum=0\.9 .* \[{used}\]", output)
    assert re.search(r"--decay_rate=0\.1 .*; only with --lr_schedule=step\]", output)


def test_h_is_help(shell):
    assert shell("-h", "--model_name=MNIST") == shell("--help", "--model_name=MNIST")


def test_help_comes_without_loading_tensorflow():
    code = (
        "import sys, main; status = main.main(['main.py', '--model_name=MNIST', '--help']);"
        "print('loaded:', 'tensorflow.python' in sys.modules); sys.exit(status)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "loaded: False" in answer.stdout and "--hidden1=128" in answer.stdout


@pytest.mark.parametrize(
    "flags, words",
    [
        ("--lr=-1", ["--lr=-1", "from 1e-09 to 1000"]),
        ("--lr=nan", ["--lr=nan", "from"]),
        ("--lr=fast", ["--lr=fast"]),
        ("--batch_size=0", ["--batch_size=0", "from 1"]),
        ("--batch_size=101", ["--batch_size=101", "100 training examples"]),
        ("--batch_size=ten", ["--batch_size=ten"]),
        ("--max_iter=0", ["--max_iter=0", "from 1"]),
        ("--max_iter=1.5", ["--max_iter=1.5"]),
        ("--random_seed=2147483647", ["--random_seed", "2147483646"]),
        ("--optimizer=adamm", ["--optimizer=adamm", "one of sgd, momentum, adam"]),
        ("--model_name=MNIST --fake_data=maybe", ["fake_data", "maybe"]),
        ("--fake_data", ["--fake_data is not a flag of LinearRegression; it is a flag of MNIST"]),
        ("--max_to_keep=0", ["--max_to_keep=0", "at least 1"]),
        ("--nojit", ["--nojit is not a flag of LinearRegression; here it is --jit=off"]),
        ("--jit=yes", ["--jit=yes", "one of loop, step, off"]),
        ("--model_name=MINST", ["--model_name=MINST", "mean MNIST", "LinearRegression"]),
        ("--model_name=mnist", ["mean MNIST"]),
        ("--model_name=", ["--model_name is empty"]),
        ("--result_dir=", ["--result_dir is empty"]),
        ("--lrr=1", ["--lrr", "did you mean lr"]),
        ("--learning_rate=0.1", ["--learning_rate is not a flag", "here it is --lr"]),
        ("--max_steps=9 --train_dir=R", ["here it is --max_iter"]),
        ("--train_dir=R", ["here it is --result_dir"]),
        ("--log_dir=R", ["here it is --result_dir"]),
        ("--model_name=MNIST --input_data_dir=D", ["here it is the model's method inputs"]),
        ("--hidden1=3", ["--hidden1", "a flag of MNIST"]),
        ("--optimizer=sgd --momentum=0.5", ["--momentum=0.5", "--optimizer=momentum, not sgd"]),
        ("--beta1=0.9", ["--beta1=0.9 goes with --optimizer=adam, not sgd"]),
        ("--decay_steps=9", ["--decay_steps=9 goes with --lr_schedule=cosine or step, not const"]),
        ("--lr_schedule=cosine --decay_rate=0.5", ["--lr_schedule=step, not cosine"]),
        ("--lr", ["lr"]),
        ("train", ["'train'", "--name=value"]),
        ("--lr 1 stray", ["'stray'"]),
        ("--infer --evaluate --result_dir=R", ["--infer and --evaluate", "one stage"]),
        ("--infer", ["--infer needs --result_dir"]),
        ("--evaluate", ["--evaluate needs --result_dir"]),
        ("--input=2", ["--input goes with --infer"]),
        ("--output=x.npy", ["--output goes with --infer"]),
        ("--format=csv", ["--format goes with --infer"]),
        ("--export", ["--export needs --result_dir=R, the folder of a trained run"]),
        ("--eval_examples=0", ["--eval_examples=0", "at least 1"]),
        ("--step=2", ["--step goes with"]),
        ("--infer --result_dir=R --step=last", ["--step=last", "neither"]),
        ("--infer --result_dir=R --best", ["--best goes with training"]),
        ("--verify", ["--verify needs --result_dir"]),
        ("--verify --result_dir=R --step=2", ["--step goes with"]),
        ("--from_checkpoint=", ["--from_checkpoint is empty"]),
        ("--from_checkpoint=nowhere", ["nowhere holds no run"]),
        ("--verify --result_dir=R --from_checkpoint=Q", ["--from_checkpoint goes with training"]),
    ],
)
def test_a_wrong_flag_is_named_with_what_is_allowed(shell, flags, words, results):
    assert_refused(shell(*flags.split()), *words)
    assert not results.exists()


def test_to_infer_without_a_trained_run_is_refused(shell, tmp_path):
    answer = shell("--infer", f"--result_dir={tmp_path / 'none'}")
    assert_refused(answer, "holds no run", status=1)
    assert list(tmp_path.iterdir()) == []


def test_a_result_folder_that_is_a_file_is_refused(shell, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert_refused(shell(f"--result_dir={tmp_path / 'file'}"), "is a file", status=1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_result_folder_that_cannot_be_written_is_refused(shell, tmp_path, monkeypatch):
    def read_only(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(tmp_path / "run"))

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)
    answer = shell(f"--result_dir={tmp_path / 'run'}")
    assert_refused(answer, "Permission denied", str(tmp_path / "run"), status=1)


def test_a_run_of_another_model_is_refused(shell, finished):
    answer = shell(f"--result_dir={finished[0]}", "--model_name=LinearRegression")
    assert_refused(answer, "model_name=Toy (now LinearRegression)")


def test_a_damaged_config_is_named(shell, tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert_refused(shell(f"--result_dir={tmp_path}"), "config.json is damaged", status=1)


def test_missing_data_is_refused_with_the_remedy(shell, tmp_path, monkeypatch, results):
    monkeypatch.setattr("data.loaders.FOLDER", tmp_path / "mnist")
    monkeypatch.setenv("MNIST_MIRROR", str(tmp_path / "no mirror"))
    assert_refused(shell("--model_name=MNIST"), "no mirror", status=1)
    assert not results.exists()


def test_debug_shows_how_it_came_to_an_error(shell):
    status, _, errors = shell("--batch_size=101", "--debug")
    assert status == 2 and "Traceback" in errors and errors.endswith("training examples\n")


def test_an_explicit_flag_wins_over_the_best_known(shell, results):
    status, _, errors = shell(
        "--model_name=MNIST", "--best", "--fake_data", "--max_iter=1", "--hidden1=9"
    )
    assert status == 0, errors
    (file,) = results.glob("MNIST/*/config.json")
    config = json.loads(file.read_text())["config"]
    best = MODELS["MNIST"].get_best_config()
    assert config["hidden1"] == 9
    assert {name: config[name] for name in best} == best | {"hidden1": 9}


def test_a_run_is_inferred_from_and_evaluated_and_recorded_once(shell, line_run):
    folder, result = line_run
    status, output, _ = shell("--infer", f"--result_dir={folder}", "--input=2,-1")
    assert status == 0
    first = rf"Step 200 of {re.escape(str(folder))} answers --input=2,-1: x float32 \[2\]\n"
    assert re.fullmatch(rf"{first}x = 2: y = [56]\.\d+\nx = -1: y = -[23]\.\d+\n", output)
    status, output, _ = shell("--infer", f"--result_dir={folder}", "--input=1234.5,20000.5")
    lines = output.split("\n", 1)[1]
    assert re.fullmatch(r"x = 1234\.5: y = 3\d{3}(\.\d+)?\nx = 20000\.5: y = [56]\d{4}.*\n", lines)
    status, output, _ = shell("--infer", f"--result_dir={folder}", "--step=0")
    assert output.startswith(f"Step 0 of {folder} answers examples of valid (no --input): x ")
    before = records_of(folder / "metrics.jsonl")
    for _ in range(2):
        status, output, _ = shell("--evaluate", f"--result_dir={folder}")
        assert status == 0 and output.startswith("test at step 200: loss = ")
    assert records_of(folder / "metrics.jsonl") == before
    status, output, _ = shell("--evaluate", f"--result_dir={folder}", "--step=0")
    assert status == 0 and output.startswith("test at step 0: ")
    records = records_of(folder / "metrics.jsonl")
    assert [(r["step"], r["split"]) for r in records[len(before) :]] == [(0, "test")]
    assert_refused(shell("--infer", f"--result_dir={folder}", "--input=two"), "--input=two")


def test_what_is_best_known_may_hold_what_a_flag_makes_useless(shell, results):
    flags = ["--model_name=MNIST", "--best", "--fake_data", "--max_iter=1", "--jit=off"]
    assert shell(*flags, "--lr_schedule=constant", "--optimizer=sgd")[0] == 0
    (page,) = results.glob("MNIST/*/report.html")
    assert "decay_steps" in MODELS["MNIST"].get_best_config()
    assert "--decay_steps" not in page.read_text(encoding="utf-8")
    status, _, errors = shell(*flags, "--lr_schedule=constant", "--decay_steps=9")
    assert status == 2 and "--decay_steps=9 goes with" in errors


def test_every_bundled_model_has_a_best_known_configuration(shell):
    for name in OWN:
        best = MODELS[name].get_best_config()
        flags = [
            "--best",
            "--max_iter=1",
            "--jit=off",
            *["--fake_data"] * MODELS[name].has_fake_data,
        ]
        status, output, errors = shell(f"--model_name={name}", *flags)
        assert status == 0 and set(best) <= {s.name for s in MODELS[name].hyperparameters}, errors


def test_a_run_that_ends_no_better_than_it_began_says_so(shell, tmp_path):
    said = "Training has not improved "
    flags = ("--random_seed=1", "--jit=off")
    status, output, _ = shell(*flags, "--lr=1.02", f"--result_dir={tmp_path / 'run'}")
    assert status == 0 and output.count(said) == 1 and "Try another --lr" in output
    assert "complete" in (tmp_path / "run" / "status.json").read_text()
    status, output, _ = shell(*flags)
    assert status == 0 and said not in output


def test_main_works_from_any_folder_and_keeps_the_screen_clean(tmp_path):
    command = [sys.executable, PROJECT / "main.py", "--random_seed=4", "--result_dir=here"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
    lines = answer.stdout.splitlines()
    assert lines[:4] == [
        "Importing TensorFlow ...",
        "Compiling the training steps ...",
        "LinearRegression with random_seed 4",
        "Results go to here",
    ]
    numbers = r"loss = [\d.]+, absolute_error = [\d.]+"
    assert re.fullmatch(rf"Step 20: train {numbers} \| valid {numbers}", lines[4])
    assert re.fullmatch(r"Step 100: loss = [\d.]+ \(\d+\.\d\d sec\)", lines[8])
    train, valid, test, report, line, _ = lines[-6:]
    assert report == f"Report: {Path('here', 'report.html')}"
    for split, shown in {"train": train, "valid": valid, "test": test}.items():
        assert re.fullmatch(rf"{split}: {numbers} \(100 examples\)", shown)
    assert (tmp_path / "here" / "fit.png").exists()
    # What it says to do next can be pasted.
    python, *pasted = words(line.removeprefix("Next: "))
    assert python == "python"
    answer = subprocess.run(
        [sys.executable, *pasted], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.startswith("Step 200 of here answers ") and "y = " in answer.stdout
    assert not (PROJECT / "here").exists()


def test_a_contradiction_on_resume_is_told_before_tensorflow_is_imported(line_run):
    code = (
        "import sys, main; status = main.main(['main.py', *sys.argv[1:]]);"
        "print('loaded:', 'tensorflow.python' in sys.modules); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, f"--result_dir={line_run[0]}", "--lr=0.1"]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 2 and "lr=0.5 (now 0.1)" in answer.stderr
    assert answer.stdout == "loaded: False\n"


@pytest.mark.skipif(os.name == "nt", reason="for a POSIX shell")
def test_a_run_whose_output_nobody_reads_goes_on_to_its_end(toy_project, tmp_path):
    command = [sys.executable, "main.py", "--jit=off", f"--result_dir={tmp_path / 'run'}"]
    script = f"set -o pipefail; {shlex.join(command)} 2>&1 | head -1"
    answer = subprocess.run(["bash", "-c", script], cwd=toy_project, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, "Importing TensorFlow ...\n")
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "complete"
    assert "Step 100: loss" in (tmp_path / "run" / "train.log").read_text()


def test_flags_are_the_settings_of_the_tables():
    model_class, given = command_line.parse(["main.py", "--lr=2", "--jit=off", "--threads", "1"])
    assert model_class.__name__ == "LinearRegression"
    assert given == {"lr": 2.0, "jit": "off", "threads": 1}
