"""--compare --plot draws runs over each other; --output makes a file of what is compared."""

import html
import io
import json
import re

import numpy as np
import pytest
from browser import look, needs_chromium
from made_up_runs import make_run
from PIL import Image

from reports import runs
from reports.compare import tables_of
from reports.overlay import COLOURS, draw_overlay, draw_overlays, label, members


def make_curve(folder, losses, **settings):
    """A run with so many evaluations."""
    make_run(folder, at=10 * len(losses), valid=losses[-1], **settings)
    found = [{"step": 10 * n, "split": "valid", "loss": v} for n, v in enumerate(losses, 1)]
    text = "".join(json.dumps(record) + "\n" for record in found)
    (folder / "metrics.jsonl").write_text(text)
    return folder


def tables(folder):
    return tables_of(map(runs.read, runs.find([str(folder)])[0]), None)


def colours_in(png):
    """The colours of a picture that are neither grey nor pale, coarsely."""
    found = np.array(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3).astype(int)
    vivid = found[found.max(axis=1) - found.min(axis=1) > 100]
    return {tuple(colour) for colour in vivid // 40}


def test_a_configuration_has_one_colour_whatever_its_seeds(tmp_path):
    for seed in range(3):
        make_curve(tmp_path / f"a{seed}", [1.0, 0.5, 0.2 + seed / 10], random_seed=seed)
    (table,) = tables(tmp_path)
    one = draw_overlay([table])
    make_curve(tmp_path / "b", [1.0, 0.6, 0.4], lr=0.2)
    (table,) = tables(tmp_path)
    two = draw_overlay([table])
    assert [len(found) for found in members(table)] == [3, 1]
    assert [label(table, found) for found in members(table)] == ["lr=0.1 (3 runs)", "lr=0.2"]
    blue, orange = (31 // 40, 119 // 40, 180 // 40), (255 // 40, 127 // 40, 14 // 40)
    assert blue in colours_in(one) and orange not in colours_in(one)
    assert {blue, orange} <= colours_in(two)


def test_of_many_configurations_ten_are_named_and_the_others_are_grey(shell, tmp_path):
    for n in range(len(COLOURS) + 4):
        make_curve(tmp_path / f"{n}", [1.0, 0.5, 0.1 + n / 100], lr=0.1 + n / 1000)
    output = tmp_path / "page.html"
    assert shell("--compare", str(tmp_path), f"--output={output}")[0] == 0
    assert "The first 10 of 14 configurations have a colour, the others are grey" in (
        output.read_text()
    )
    (table,) = tables(tmp_path)
    assert len(draw_overlays(table)) == 1 and len(members(table)) == 14


def test_plot_writes_compare_png_and_output_names_another_file(shell, tmp_path, monkeypatch):
    make_curve(tmp_path / "runs" / "a", [1.0, 0.5])
    monkeypatch.chdir(tmp_path)
    status, output, _ = shell("--compare", "runs", "--plot")
    assert (status, output) == (0, "Written to compare.png: 1 run\n")
    assert shell("--compare", "runs", "--output=other.png")[0] == 0
    assert shell("--compare", "runs", "--plot", "--output=third.png")[0] == 0
    shown = [(tmp_path / f"{name}.png").read_bytes() for name in ("compare", "other", "third")]
    assert shown[0] == shown[1] == shown[2] and shown[0].startswith(b"\x89PNG")
    make_curve(tmp_path / "runs" / "b", [0.9, 0.4], lr=0.3)
    shell("--compare", "runs", "--plot")
    assert (tmp_path / "compare.png").read_bytes() != shown[0]


@pytest.mark.parametrize(
    "suffix, form", [("txt", "text"), ("csv", "csv"), ("json", "json"), ("md", "markdown")]
)
def test_a_table_in_a_file_is_the_one_on_the_screen(shell, tmp_path, suffix, form):
    make_curve(tmp_path / "runs" / "a", [1.0, 0.5])
    output = tmp_path / f"table.{suffix}"
    screen = shell("--compare", str(tmp_path / "runs"), f"--format={form}")[1]
    status, said, _ = shell("--compare", str(tmp_path / "runs"), f"--output={output}")
    assert (status, said) == (0, f"Written to {output}: 1 run\n")
    assert output.read_text() == screen


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (
            "--compare runs --output=x.npy",
            2,
            ["--output=x.npy", ".txt, .csv, .json, .md, .png, .h"],
        ),
        ("--compare runs --plot --output=x.csv", 2, ["--plot writes a .png or .html file"]),
        ("--compare runs --plot --format=csv", 2, ["--plot writes a .png or .html file"]),
        ("--plot", 2, ["--plot goes with --compare"]),
        ("--compare runs --output=no/where.png", 2, ["no/where.png: there is no such folder"]),
        ("--compare runs --output=runs.html/", 2, ["runs.html/: there is no such folder"]),
        ("--compare runs --format=csv --output=x.PNG", 2, ["x.PNG cannot end in .png"]),
        ("--compare runs --output=runs.html", 1, ["runs.html"]),
    ],
)
def test_a_file_that_cannot_be_made_is_refused(shell, tmp_path, monkeypatch, flags, status, words):
    make_curve(tmp_path / "runs" / "a", [1.0, 0.5])
    (tmp_path / "runs.html").mkdir()
    monkeypatch.chdir(tmp_path)
    code, output, errors = shell(*flags.split())
    assert (code, output) == (status, "") and re.fullmatch(r"error: [^\n]+\n", errors), errors
    assert all(word in errors for word in words), errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "runs.html"]


def test_models_for_which_a_picture_has_no_room_are_counted(shell, tmp_path):
    for number in range(11):
        make_curve(tmp_path / f"run{number}", [1.0, 0.5], model_name=f"Model{number:02}")
    told = []
    for folder in (tmp_path, tmp_path / "run0"):
        flags = ("--compare", str(folder), f"--output={tmp_path / 'x.png'}")
        status, output, _ = shell(*flags)
        assert status == 0
        told.append("The picture shows 10 of 11 models" in output)
    assert told == [True, False]


def test_runs_in_any_state_are_drawn(shell, tmp_path):
    make_curve(tmp_path / "a", [1.0, 0.5])
    make_curve(tmp_path / "b", [1e300, 1e-300], lr=0.2)
    line = '{"step": %s, "split": "valid", "loss": %s}\n'
    for n, text in enumerate(["", "[]\n", "torn", line % (1, '"x"'), line % ("9" * 400, 1.0)]):
        run = make_run(tmp_path / f"odd{n}", lr=n + 1.0)
        (run / "metrics.jsonl").write_text(text)
    (make_run(tmp_path / "bad") / "config.json").write_text("{")
    make_run(tmp_path / "gone", model_name="Gone")
    for name in ("all.png", "all.html"):
        assert shell("--compare", str(tmp_path), f"--output={tmp_path / name}")[0] == 0
        assert (tmp_path / name).stat().st_size > 10_000


@needs_chromium
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_of_a_comparison_fits_any_screen_and_shows_names_as_they_are(
    shell, tmp_path, width
):
    hostile = "a<img src=x onerror=window.hacked=1>&amp;$\\frac{_"
    for seed in range(2):
        make_curve(tmp_path / "runs" / f"{hostile}{seed}", [1.0, 0.5 + seed], random_seed=seed)
    make_curve(tmp_path / "runs" / "b", [1.0, 0.7], odd=hostile)
    output = tmp_path / "page.html"
    assert shell("--compare", str(tmp_path / "runs"), f"--output={output}")[0] == 0
    text = output.read_text(encoding="utf-8")
    seen = look(re.sub("(?s)<meta http-equiv.*?>", "", text), tmp_path, width)
    assert not seen["hacked"] and seen["needs"] <= width and seen["beyond"] == []
    assert [natural > 500 for natural, *_ in seen["images"]] == [True] and not seen["requests"]
    assert f"{hostile}0" in seen["text"] and "--compare" in html.unescape(text)
