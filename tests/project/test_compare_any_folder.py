"""--compare shows whatever is there: many folders, links, damaged and hostile files."""

import json
import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_runs import make_run, names, write


def test_of_2000_runs_none_is_dropped_in_any_state(shell, compared, tmp_path):
    states = ["complete", "complete", "interrupted", "diverged", "running"]
    for n in range(2000):
        run = make_run(tmp_path / f"{n:04}", status=states[n % 5], valid=n / 2000, lr=n // 4 / 500)
        if n % 100 == 0:
            (run / "config.json").write_text("torn")
    runs = compared(tmp_path)
    assert sorted(names(runs)) == [f"{n:04}" for n in range(2000)]
    output = shell("--compare", str(tmp_path))[1]
    assert "LinearRegression: 1,980 runs" in output and "Unknown model: 20 runs" in output
    assert "400 killed" in output and "20 damaged" in output and "more lines" in output
    (best,) = [run for run in runs if run["best"]]
    complete = [run for run in runs if run["status"] == "complete"]
    assert best["best_loss_mean"] == min(run["best_loss_mean"] for run in complete)


SPOILT = {
    "config.json": [b"", b"\xff\xfe", b"[" * 200_000, b"null\n", b'{"config": {"model_name": 3}}',
                    b'{\n  "config": {"model_name": "MNIST"}, "environment": {'],
    "status.json": [b"", b"[" * 200_000, b"[]", b'{"status": 5}', b'{"status": "x", "step": "1"}',
                    b'{"status": "complete", "step": ' + b"9" * 400 + b"}"],
    "checkpoints/best.json": [b"{", b"3", b'{"valid": 3}'],
}  # fmt: skip


@pytest.mark.parametrize("name, content", [(n, c) for n, found in SPOILT.items() for c in found])
def test_a_spoilt_file_makes_a_damaged_run(compared, shell, tmp_path, name, content):
    (make_run(tmp_path / "bad") / name).write_bytes(content)
    make_run(tmp_path / "good", lr=0.2)
    runs = {os.path.basename(run["folder"]): run for run in compared(tmp_path)}
    assert runs["bad"]["status"] == "damaged" and name in runs["bad"]["reason"]
    assert runs["good"]["status"] == "complete" and runs["good"]["reason"] is None
    output = shell("--compare", str(tmp_path))[1]
    file = os.path.join(tmp_path, "bad", name)
    assert f"\n{file} is damaged: " in output and "good is" not in output


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
COLUMNS = ["lr", "status", "step", "group", "valid_loss", "best_loss_mean", "seconds", "reason"]
values = st.dictionaries(st.sampled_from(COLUMNS), json_values)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(config=values, status=values, record=values, sort_by=st.sampled_from(COLUMNS[:5]))
def test_whatever_a_file_holds_the_runs_are_shown(shell, tmp_path, config, status, record, sort_by):
    good = tmp_path / "good"
    if not good.exists():
        make_run(good, valid=0.5)
        make_run(tmp_path / "odd")
    odd = tmp_path / "odd"
    write(odd / "config.json", {"config": {"model_name": "LinearRegression"} | config})
    write(odd / "status.json", {"status": "complete", "step": 100, **status})
    (odd / "metrics.jsonl").write_text(json.dumps({"split": "valid", **record}) + "\n")
    for form in ("text", "csv", "json", "markdown"):
        code, output, errors = shell(
            "--compare", str(tmp_path), f"--format={form}", f"--sort_by={sort_by}"
        )
        assert (code, errors) == (0, "") and "good" in output and "odd" in output


NOT_FINITE = b'{"step": 1, "split": "valid", "loss": 1e999, "x": "y"}'


@pytest.mark.parametrize(
    "line", [b"null", b"[" * 100_000, b'{"split": "valid"', b"\xff", NOT_FINITE]
)
def test_lines_that_are_not_whole_and_numbers_that_are_not_finite_come_last(
    compared, tmp_path, line
):
    with open(make_run(tmp_path / "bad", valid=0.1) / "metrics.jsonl", "ab") as file:
        file.write(line + b"\n" + b'{"step": 200, "split": "valid", "loss": 0.0')
    make_run(tmp_path / "good", valid=0.5)
    runs = compared(tmp_path, "--sort_by=valid_loss")
    is_null = line == NOT_FINITE
    assert names(runs) == (["good", "bad"] if is_null else ["bad", "good"])
    assert runs[1 if is_null else 0]["valid_loss"] == (None if is_null else 0.1)


def test_the_last_evaluation_is_found_before_megabytes_of_training(compared, tmp_path):
    with open(make_run(tmp_path / "run", valid=0.25) / "metrics.jsonl", "a") as file:
        for step in range(40_000):
            file.write(json.dumps({"step": step, "split": "train", "loss": float(step)}) + "\n")
    (run,) = compared(tmp_path)
    assert (run["valid_loss"], run["train_loss"]) == (0.25, 39_999)


def test_a_test_score_of_an_earlier_step_is_not_shown(compared, tmp_path):
    file = make_run(tmp_path / "run", at=100) / "metrics.jsonl"
    for step, loss, expected in [(0, 0.9, None), (100, 0.3, 0.3), (50, 0.8, 0.3)]:
        with open(file, "a") as opened:
            opened.write(json.dumps({"step": step, "split": "test", "loss": loss}) + "\n")
        assert compared(tmp_path)[0].get("test_loss") == expected


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_a_circle_end_and_each_run_is_seen_once(compared, tmp_path):
    make_run(tmp_path / "results" / "run")
    make_run(tmp_path / "elsewhere" / "other")
    (tmp_path / "results" / "loop").symlink_to(tmp_path / "results")
    (tmp_path / "results" / "self").symlink_to("self")
    (tmp_path / "results" / "gone").symlink_to("nowhere")
    (tmp_path / "results" / "linked").symlink_to(tmp_path / "elsewhere")
    results = tmp_path / "results"
    assert sorted(names(compared(results, results / "run", results))) == ["other", "run"]


def test_a_run_within_a_runs_folder_is_found(compared, tmp_path):
    make_run(make_run(tmp_path / "outer") / "inner")
    assert sorted(names(compared(tmp_path))) == ["inner", "outer"]


def test_a_search_is_left_out_and_said_until_it_is_named(shell, compared, tmp_path):
    make_run(tmp_path / "run")
    search = tmp_path / "search-random-0"
    make_run(search / "trials" / "0000")
    write(search / "search.json", {})
    write(search / "status.json", {"status": "complete"})  # which a run has, too
    assert names(compared(tmp_path)) == ["run"]
    status, output, errors = shell("--compare", str(tmp_path), "--format=csv")
    assert status == 0 and "1 search is left out; for the trials of one, name it: " in errors
    assert str(search) in errors and str(search) not in output
    for named in (search, search / "trials"):
        assert names(compared(named)) == ["0000"]
    assert sorted(names(compared(tmp_path, search))) == ["0000", "run"]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@pytest.mark.parametrize("form", ["text", "csv", "json", "markdown"])
def test_nothing_in_a_folder_reaches_the_screen_as_a_command(shell, tmp_path, form):
    run = make_run(tmp_path / "a\x1b[31m\nb", status="failed")
    write(run / "status.json", {"status": "failed", "step": 1, "reason": "c\x1b]0;d\r\ne"})
    # Other systems allow no name that is not UTF-8.
    name = os.fsdecode(b"f\xff") if sys.platform == "linux" else "f"
    make_run(tmp_path / name, optimizer="\x1b[0m")
    status, output, _ = shell("--compare", str(tmp_path), f"--format={form}")
    assert status == 0 and "\x1b" not in output and "\r" not in output
    shown = output.replace("\\", "")
    assert ("a?[31m?b" if form != "json" else "au001b[31mnb") in shown
