"""report.html: one file that says everything of a run, and opens anywhere without a network."""

import html
import re
from html.parser import HTMLParser

import pytest
from browser import hostile_names, look, needs_chromium
from pasted import words
from runs import read, train

import command_line
import main
from models import make_model
from training import page

VOID = {"meta", "img"}
HOSTILE = "a<script>window.hacked=1</script><img src=x onerror=window.hacked=1>&amp;\"'"


class Parsed(HTMLParser):
    """Tags and attributes of a page; AssertionError if one is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """The folder of a finished run of MNIST."""
    folder = tmp_path_factory.mktemp("mnist") / "run"
    config = {"model_name": "MNIST", "fake_data": True, "random_seed": 1, "max_iter": 300}
    train(config | {"eval_every": 100, "result_dir": str(folder)})
    return folder


def text_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_page_is_well_formed_and_names_nothing_outside_itself(mnist):
    parsed = Parsed(text_of(mnist))
    assert text_of(mnist).startswith("<!doctype html>\n") and "script" not in parsed.tags
    sources = [value for name, value in parsed.attributes if name in ("src", "href")]
    assert len(sources) == 5 and all(s.startswith("data:image/png;base64,") for s in sources)
    texts = [value for name, value in parsed.attributes if name == "alt"]
    assert len(set(texts)) == 5 and all(len(text) > 10 for text in texts)
    assert ("name", "viewport") in parsed.attributes
    assert (mnist / "report.html").stat().st_size < 1_000_000


def test_a_page_says_what_the_files_of_the_run_say(mnist):
    text, config = html.unescape(text_of(mnist)), read(mnist, "config.json")
    assert "Complete at step 300" in text
    about = config["environment"]
    for said in (about["host"], about["versions"]["tensorflow"], config["data_checksum"],
                 about["graph_sha256"], str(mnist)):  # fmt: skip
        assert said in text
    cells = [re.sub("<[^>]+>", "|", line) for line in text.splitlines() if line.startswith("<tr>")]
    for split in ("train, sample", "valid", "test", "valid, best"):
        assert sum(f"||{split}|" in line for line in cells) == 1, split
    (line,) = (line for line in cells if "||random_seed|" in line)
    assert line.index("|1|") < text.index("are at their defaults")


def test_the_commands_on_a_page_are_right(mnist, tmp_path, shell):
    lines = [re.sub("<[^>]+>", "", line) for line in re.findall("<pre>(.*)</pre>", text_of(mnist))]
    lines = [words(html.unescape(line)) for line in lines]
    repeat, verify, further, infer = lines
    assert all(line[:2] == ["python", "main.py"] for line in lines)
    again = tmp_path / "again"
    assert main.main([*repeat[1:], f"--result_dir={again}"]) == 0
    weights = [
        re.search("weights, SHA-256</th><td>(.*)</td>", text_of(f))[1] for f in (mnist, again)
    ]
    assert weights[0] == weights[1]
    assert shell(*verify[2:])[0] == 0 and shell(*infer[2:])[0] == 0
    command_line.parse(further[1:])
    assert "--max_iter=600" in further


def test_a_run_that_diverged_has_a_page_and_one_that_was_interrupted_has_none(small, tmp_path):
    train(small, until=40)
    assert not (tmp_path / "run" / "report.html").exists()
    bad = {"model_name": "LinearRegression", "lr": 900.0, "log_every": 1, "jit": "off"}
    assert train(bad | {"result_dir": str(tmp_path / "bad")})["status"] == "diverged"
    text = html.unescape(text_of(tmp_path / "bad"))
    assert "Diverged at step" in text and "not finite at step" in text
    assert "--from_checkpoint=" in text and "--lr=90.0" in text
    assert (tmp_path / "bad" / "curves.png").exists()
    assert not (tmp_path / "bad" / "fit.png").exists()


def test_a_trial_of_a_search_pays_for_no_page(small, tmp_path):
    train(small, final=False)
    assert not (tmp_path / "run" / "report.html").exists()


def test_the_page_of_a_run_that_was_trained_further_is_a_new_one(small, tmp_path):
    train(small)
    before = text_of(tmp_path / "run")
    train({"result_dir": small["result_dir"], "max_iter": 160})
    assert "step 120" in before and "step 160" in text_of(tmp_path / "run") != before


def test_what_is_named_png_and_is_none_is_left_out(small, tmp_path):
    train(small, until=20)
    (tmp_path / "run" / "folder.png").mkdir()
    (tmp_path / "run" / "text.png").write_text("no picture")
    assert train({"result_dir": small["result_dir"]})["status"] == "complete"
    assert (tmp_path / "run" / "report.html").exists()


def test_hostile_texts_are_escaped_and_what_cannot_be_shown_is_marked(tmp_path):
    parts = [page.table([(HOSTILE, HOSTILE)], [HOSTILE]), page.heading(HOSTILE)]
    parts += [page.command(HOSTILE, "--x"), page.details(HOSTILE, page.footer(HOSTILE))]
    page.write_page(tmp_path / "report.html", HOSTILE, parts)
    text = text_of(tmp_path)
    assert (
        "script" not in Parsed(text).tags and html.unescape(text).count(HOSTILE) == 9
    )  # the title twice
    page.write_page(tmp_path / "report.html", "a\0b\x1b[1m\u202e\udc80", [])
    assert text_of(tmp_path).count("a\ufffdb\ufffd[1m\ufffd\ufffd") == 2


@needs_chromium
@pytest.mark.parametrize("width, height", [(360, 800), (1280, 900)], ids=["telephone", "desk"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_fits_the_screen_and_shows_all_its_pictures(mnist, tmp_path, width, height, dark):
    seen = look(text_of(mnist), tmp_path, width, height, dark)
    assert seen["width"] == width >= seen["needs"] and seen["beyond"] == []
    assert len(seen["images"]) == 5 and seen["requests"] == []
    for natural, shown, _ in seen["images"]:
        assert natural > 500 and 300 < shown < width
    assert seen["background"] == ("rgb(21, 23, 26)" if dark else "rgb(255, 255, 255)")
    assert (seen["scrolled"] > 0) == (width == 360)  # tables, by themselves
    assert "weights, SHA-256" in seen["text"]


@needs_chromium
def test_a_page_that_does_not_fit_or_asks_the_network_is_seen(tmp_path):
    line = "x" * 500
    seen = look(
        f"<!doctype html><body><p>{line}<img src='http://127.0.0.1:9/x.png'>", tmp_path, 360
    )
    assert seen["needs"] > 360 and seen["images"][0][0] == 0
    assert seen["requests"] == ["http://127.0.0.1:9/x.png"]


@needs_chromium
@hostile_names
def test_a_browser_shows_hostile_names_as_they_are(tmp_path):
    folder = tmp_path / HOSTILE.replace("/", "")
    config = {"model_name": "LinearRegression", "jit": "off", "max_iter": 10}
    with make_model(config | {"result_dir": str(folder)}) as model:
        model.metrics = {HOSTILE: model.metrics["absolute_error"]}
        model.train()
    text = text_of(folder)
    for shown in (text, re.sub("(?s)<meta http-equiv.*?>", "", text)):  # escaped, and forbidden
        seen = look(shown, tmp_path, 360)
        assert not seen["hacked"] and seen["needs"] <= 360 and seen["beyond"] == []
        assert folder.name in seen["title"] and HOSTILE in seen["text"]
        assert all(natural > 0 for natural, *_ in seen["images"]) and seen["requests"] == []
    careless = html.unescape(text[text.index("<h1>") :])
    assert look(f"<!doctype html><body>{careless}", tmp_path)["hacked"]
