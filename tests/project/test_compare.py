"""--compare: what its tables show, its formats read back, and what it refuses."""

import csv
import io
import os
import re
import subprocess
import sys

import pytest
from made_up_runs import make_run, names

from training.files import PROJECT


def test_all_formats_say_the_same(shell, compared, tmp_path):
    for seed in range(3):
        make_run(tmp_path / f'a{seed}|x, "y"', valid=0.1 * (seed + 1), random_seed=seed)
    make_run(tmp_path / "b [red] `*`", lr=0.2, valid=0.15)
    runs = compared(tmp_path)
    status, output, _ = shell("--compare", str(tmp_path), "--format=csv")
    rows = list(csv.DictReader(io.StringIO(output)))
    assert status == 0 and len(rows) == len(runs) == 4
    for row, run in zip(rows, runs, strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in run.items()}
    head, _, *lines = markdown(shell("--compare", str(tmp_path), "--format=markdown")[1])
    first, second = (dict(zip(head, line, strict=True)) for line in lines)
    assert (first["lr"], first["best_loss"], second["best"]) == ("0.2", "0.15", "")
    assert (second["lr"], second["seeds"], second["best_loss"]) == ("0.1", "3", "0.2 ± 0.1")
    assert first["folder"] == "b [red] `*`" and second["folder"] == 'a0|x, "y" and 2 more'
    text = shell("--compare", str(tmp_path))[1]
    assert first["folder"] in text and second["folder"] in text and "0.2 ± 0.1" in text


def markdown(text):
    """The cells of a Markdown table, a list for each line."""
    lines = [line[2:-2] for line in text.splitlines() if line.startswith("|")]
    cells = (re.split(r"(?<!\\) ?\| ?", line) for line in lines)
    return [[re.sub(r"\\(.)", r"\1", cell).strip() for cell in line] for line in cells]


def test_a_model_that_is_not_there_any_more_is_shown_by_loss(compared, shell, tmp_path):
    for score in (0.3, 0.1, 0.2):
        make_run(tmp_path / str(score), valid=score, model_name="Gone", lr=score)
    make_run(tmp_path / "line")
    assert names(compared(tmp_path)) == ["0.1", "0.2", "0.3", "line"]
    output = shell("--compare", str(tmp_path))[1]
    assert "Gone: 3 runs" in output and "LinearRegression: 1 run in" in output


def test_settings_that_differ_are_shown_and_those_without_influence_are_not(compared, tmp_path):
    make_run(tmp_path / "a", from_checkpoint="/r", log_every=5, odd=[1])
    make_run(tmp_path / "b", from_checkpoint="/r", log_every=9)
    first, second = compared(tmp_path, "--sort_by=odd")
    assert (first["odd"], second["odd"], first["group"] == second["group"]) == ("[1]", None, False)
    assert not {"from_checkpoint", "log_every"} & first.keys()
    make_run(tmp_path / "c", from_checkpoint="/r", step="40")
    runs = {os.path.basename(run["folder"]): run for run in compared(tmp_path)}
    assert {run["step"] for run in runs.values()} == {100}
    assert (runs["c"]["setting_step"], runs["b"]["setting_step"]) == ("40", None)


def test_a_seed_that_was_run_twice_counts_once(compared, tmp_path):
    for n, (seed, score) in enumerate([(1, 0.25), (2, 0.75), (2, 0.75)]):
        make_run(tmp_path / str(n), valid=score, random_seed=seed)
    runs = compared(tmp_path)
    assert {(run["seeds"], run["best_loss_mean"]) for run in runs} == {(2, 0.5)}
    make_run(tmp_path / "3", valid=0.5, random_seed=3)
    assert {run["seeds"] for run in compared(tmp_path)} == {3}


@pytest.mark.parametrize("columns", [80, 160])
def test_a_table_fits_the_screen_and_says_what_it_leaves_out(shell, monkeypatch, tmp_path, columns):
    long = "20260101T000000Z-" + "abcdef" * 5
    for n in range(3):
        settings = {"momentum": n / 10, "batch_size": n + 1, "initial_stddev": n / 7}
        make_run(tmp_path / f"{long}{n}", valid=n / 7, lr=n / 1000, **settings)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output = re.sub(r"\x1b\[[\d;]*m", "", shell("--compare", str(tmp_path))[1])
    _, table, remarks = output.split("\n\n")
    table = table.splitlines()
    assert max(map(len, table)) <= columns and not any("…" in line for line in table)
    assert ("No room for " in remarks) == (columns == 80)
    whole = "".join(line.split()[-1] for line in table)
    assert all(f"{long}{n}" in whole for n in range(3))


def test_it_answers_without_loading_tensorflow_and_writes_nothing(tmp_path):
    make_run(tmp_path / "run", status="running")
    before = sorted(tmp_path.rglob("*"))
    code = (
        "import sys, main; status = main.main(['main.py', '--compare']);"
        "print('loaded:', 'tensorflow.python' in sys.modules); sys.exit(status)"
    )
    code = f"from training import folders; folders.RESULTS = {str(tmp_path)!r}; " + code
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "killed" in answer.stdout and "loaded: False" in answer.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_are_named_as_one_types_them(compared, monkeypatch, tmp_path):
    make_run(tmp_path / "results" / "run")
    monkeypatch.chdir(tmp_path)
    folder = os.path.join("results", "run")
    for named in ("results", tmp_path, ".", folder):
        assert [run["folder"] for run in compared(named)] == [folder]
    monkeypatch.chdir(tmp_path / "results" / "run")
    assert [run["folder"] for run in compared(".")] == ["."]


def test_a_model_without_the_column_of_the_order_keeps_its_own_order(compared, tmp_path):
    make_run(tmp_path / "a", valid=4.0)
    make_run(tmp_path / "b", valid=0.2, lr=0.2)
    make_run(tmp_path / "other", model_name="MNIST", hidden1=8)
    assert names(compared(tmp_path, "--sort_by=hidden1"))[:2] == ["b", "a"]
    assert names(compared(tmp_path, "--sort_by=valid_loss_mean"))[:2] == ["b", "a"]
    assert names(compared(tmp_path, "--sort_by=best"))[:2] == ["b", "a"]


def test_names_in_brackets_and_codes_of_a_terminal_are_shown_and_do_nothing(shell, tmp_path):
    make_run(tmp_path / "a", **{"[/red]x": 1, "\x1b[31mred": 1})
    make_run(tmp_path / "b", **{"[/red]x": 2, "\x1b[31mred": 2})
    for form in ("text", "csv", "markdown"):
        status, output, errors = shell("--compare", str(tmp_path), f"--format={form}")
        assert status == 0 and "\x1b" not in output, errors
        assert "red" in output


@pytest.mark.parametrize(
    "flags, status, words",
    [
        ("--compare nowhere", 1, ["--compare: nowhere is not a folder"]),
        ("--compare", 1, ["results is not a folder", "name one that holds runs"]),
        ("--compare .", 1, ["--compare: no run in .; train a model, or name another folder"]),
        ("--compare=results", 2, ["--compare=results is not of type bool", "without a value"]),
        ("--compare . --lr=1", 2, ["--lr does not go with --compare"]),
        ("--compare --result_dir=R", 2, ["--result_dir does not go", "name folders after it"]),
        ("--compare --evaluate", 2, ["--evaluate and --compare", "one stage"]),
        (
            "--compare . --format=html",
            2,
            ["--format=html", "one of text, json, csv, npy, markdown"],
        ),
        ("--compare . --format=npy", 2, ["--format=npy goes with --infer"]),
        ("--sort_by=lr", 2, ["--sort_by goes with --compare"]),
        ("--format=csv", 2, ["--format goes with --infer or --compare"]),
        ("--evaluate --result_dir=R stray", 2, ["'stray' is not a flag"]),
    ],
)
def test_what_cannot_be_compared_is_refused(
    shell, tmp_path, monkeypatch, results, flags, status, words
):
    monkeypatch.chdir(tmp_path)
    code, output, errors = shell(*flags.split())
    assert (code, output) == (status, "") and re.fullmatch(r"error: [^\n]+\n", errors), errors
    assert all(word in errors for word in words), errors
