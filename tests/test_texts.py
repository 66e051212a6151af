"""Every answer comes out as it was typed, in each file that repeats it, and licences in full."""

import functools
import hashlib
import json
import re
import string
import time
import unicodedata

import pytest
from cookiecutter.utils import create_env_with_context
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import FileSystemLoader
from markdown_it import MarkdownIt

from render import CHECKOUT, render
from test_render import FILES, files, read_toml, tomllib

PROJECT = CHECKOUT / "{{cookiecutter.project_slug}}"
LICENSE = "{% if cookiecutter.license != 'none' %}LICENSE{% endif %}"
QUESTIONS = json.loads((CHECKOUT / "cookiecutter.json").read_text(encoding="utf-8"))
ANSWERS = QUESTIONS | {
    "project_name": "A Name",
    "project_slug": "slug",
    "description": "A description.",
    "author": "Ada Lovelace",
    "license": "MIT",
    "tensorflow_build": "cpu",
}
environment = create_env_with_context({"cookiecutter": ANSWERS})
environment.loader = FileSystemLoader([PROJECT, CHECKOUT / "templates"])
markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def file_with(name, **answers):
    """One file of the project as cookiecutter renders it, without a whole project around it."""
    return environment.get_or_select_template(name).render(cookiecutter=ANSWERS | answers)


def one_line(text):
    """What is left of an answer: control characters and blanks are one space, none at the ends."""
    visible = (" " if unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join("".join(visible).split())


def shown(inline):
    """The text that a reader sees of a paragraph or heading without any markup."""
    for part in inline.children:
        assert part.type == "text" or part.content in ("<span>", "</span>"), part
        assert part.type != "text" or "$" not in part.content or part.content == "$"
    return "".join(part.content for part in inline.children if part.type == "text")


def blocks(readme):
    """(type, text) of all blocks: of name and description as it is shown, then as written."""
    found = []
    for token in markdown.parse(readme):
        early = token.type == "inline" and token.map[0] < 3
        found.append((token.type, shown(token) if early else token.content))
    return found


def check_readme(name, description, template="README.md"):
    """The README shows both answers letter by letter, and the rest of it is as always."""

    def block(kind, text):
        return [(f"{kind}_open", ""), ("inline", text), (f"{kind}_close", "")]

    found = blocks(file_with(template, project_name=name, description=description))
    heading = block("heading", one_line(name) or "slug")
    text = one_line(description)
    assert found == heading + (block("paragraph", text) if text else []) + rest_of_readme()


@functools.cache
def rest_of_readme():
    return blocks(file_with("README.md"))[6:]


NASTY = [
    "<!-- a comment", "```", "~~~", "__init__", "2*3*4", "F #", "F # #", "C# and F#", "- x", "+ x",
    "* x", "&amp;", "&#35; &copy", "R&D; more", "<b>bold</b>", "<script>", "[a](b)", "[a]: b",
    "![a](b)", "[^1]", "[ ] x", "1. x", "1) x", "1.", "12)", "3.14 is pi", "2024", "١. x", "\\",
    "back\\slash", "end\\", "\\*", "# x", "#", "## x ##", "> x", ">", "= x", "===", "---", "- - -",
    "--", "+", "_", "***", "~~x~~", "~x~", "| a | b |", "|---|", ":---:", "a | b", "$x$", "$$x$$",
    "Costs $5", ":smile:", "@name", "#12", "https://example.org", "https://example.org/a_b*c",
    "www.x.org/a_b", "ftp://x/$a", "a_b@example.org", "<https://example.org>", "{{ x }} {% y %}",
    "{# z #} ${{ w }}", "it's \"quoted\" and '''thrice'''", "Zoë Müller, 深度学习, 🦊 \U0001f468",
    "a\u200db", "a  b", " x ", "tab\tbell\x07delete\x7fnull\x00c1\x9b", "a\u2028b\u00a0c",
    "one\ntwo\r\n\n[tool.evil]", "`a` ``b``", "term\n: text", "&lt;", "a&b;c", "!", "-", "-x", "+1",
    "1.x", "    code", "", " ",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_the_readme_shows_an_answer_that_looks_like_markdown_letter_by_letter(text):
    check_readme(text, "A description.")
    check_readme("A Name", text)
    check_readme(text, text)


@pytest.mark.parametrize("mark", string.punctuation)
def test_the_readme_shows_every_mark_wherever_it_stands(mark):
    for form in ["_", "__", "___", "_ x", "x _", "_x_", "x_y_z", "_ _ _", "1_ x", "x _y_ z"]:
        check_readme(form.replace("_", mark), form.replace("_", mark))


# What a Markdown parser reacts to, more often than chance has it, and any other character.
markdown_text = st.lists(
    st.sampled_from([*string.punctuation, " ", "\t", "\n", "1", "x", "www.", "://", "&amp;", "é"])
    | st.characters(exclude_categories=["Cs"]),
    max_size=20,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(name=markdown_text, description=markdown_text)
def test_the_readme_shows_any_answer_letter_by_letter(name, description):
    check_readme(name, description)


def test_a_readme_that_repeats_answers_as_they_are_would_be_noticed():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    raw = re.sub(r"\{\{ answer\.markdown\((.*?)\).*?\}\}", r"{{ \1 }}", text)
    raw = environment.from_string(raw)
    check_readme("A Name", "Plain words.", raw)
    for text in ["__init__", "2*3*4", "F #", "&amp;", "<b>", "$x$", "a\nb"]:
        with pytest.raises(AssertionError):
            check_readme(text, "Plain words.", raw)


def test_github_links_an_address_only_where_nothing_in_it_had_to_be_escaped():
    readme = file_with(
        "README.md", project_name="https://a.org/b-c", description="www.a.org/b_c https://a/~b"
    )
    assert readme.startswith("# https://a.org/b-c\n\nwww\\.a.org/b\\_c https\\://a/\\~b\n")


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | markdown_text


def project_table(**answers):
    return tomllib.loads(file_with("pyproject.toml", **answers))["project"]


@settings(max_examples=200, deadline=None)
@given(description=any_text, author=any_text)
@example(description='"""', author="\\")
@example(description="O'Hara \\u0041 \U0001f98a", author='"} # x')
def test_toml_holds_any_answer(description, author):
    table = project_table(description=description, author=author)
    assert table["description"] == one_line(description)
    said = one_line(author)
    assert table.get("authors", []) == ([{"name": said}] if said else [])
    assert table["name"] == "slug" and table["license"] == "MIT"


def test_toml_escapes_backslash_and_quote_and_nothing_else():
    text = "O'Hara & Zoë <深度> 🦊 / # = ${x} tab\tbell\x07"
    written = file_with("pyproject.toml", description=text, author='back\\slash "quoted"')
    assert 'description = "O\'Hara & Zoë <深度> 🦊 / # = ${x} tab bell"\n' in written
    assert r'authors = [{ name = "back\\slash \"quoted\"" }]' in written


@settings(max_examples=100, deadline=None)
@given(name=any_text, author=any_text)
@example(name="a\nb \x07", author=" \t\n")
@example(name=" ", author="")
def test_the_licence_has_one_line_with_who_holds_it(name, author):
    holder = one_line(author) or f"{one_line(name) or 'slug'} authors"
    lines = file_with(LICENSE, project_name=name, author=author).split("\n")
    assert re.fullmatch(r"Copyright \(c\) 20\d\d " + re.escape(holder), lines[2])
    assert (lines[0], lines[1], lines[3], len(lines)) == ("MIT License", "", "", 22)


def test_the_licence_has_the_year_in_which_a_project_is_made():
    before = time.gmtime().tm_year
    year = int(re.search(r"\(c\) (\d+) Ada Lovelace\n", file_with(LICENSE))[1])
    assert before <= year <= time.gmtime().tm_year


# Of the text with HOLDER for year and name. That of the GPL is the digest of gnu.org's own file;
# Apache's is that of apache.org but for this line.
LICENCES = {
    "MIT": "c81181bf9904f0401107c9fc067444961fa9e06bd3a9e25bf343a6e84f82cc4a",
    "BSD-3-Clause": "16dee1e9c18c910a5ae78e84bb547858fa942db6f7f8603772f7536cd6bd3a3f",
    "Apache-2.0": "d204a0688a946ec736d529d33e1fc010e6d96f95bb4cecfe08ec3d8a9675077f",
    "GPL-3.0-or-later": "3972dc9744f6499f0f9b2dbf76696f2ae7ad8af9b23dde66d6af86c9dfb36986",
}


def digest(text):
    masked = re.sub(r"20\d\d Ada Lovelace(?=\n)", "HOLDER", text)
    return hashlib.sha256(masked.encode()).hexdigest()


@pytest.mark.parametrize("license", LICENCES)
def test_a_licence_is_the_text_that_its_name_promises(license):
    text = file_with(LICENSE, license=license)
    assert ("20" in text and "Ada Lovelace" in text) == (license != "GPL-3.0-or-later")
    assert digest(text) == LICENCES[license]
    assert digest(text.replace("without", "with", 1)) != LICENCES[license]


@pytest.mark.parametrize(
    "license, build", [(name, build) for name in [*LICENCES, "none"] for build in ("cpu", "gpu")]
)
def test_every_combination_of_choices_is_what_it_says(template, tmp_path, license, build):
    choices = {"license": license, "tensorflow_build": build, "author": "Ada Lovelace"}
    project = render(template, tmp_path, project_slug="project", **choices)
    there = sorted(path.relative_to(project).as_posix() for path in files(project))
    assert there == [name for name in FILES.split() if license != "none" or name != "LICENSE"]
    readme = (project / "README.md").read_text(encoding="utf-8")
    table = read_toml(project / "pyproject.toml")["project"]
    assert table.get("license", "none") == license
    if license == "none":
        assert "LICENSE" not in readme and "icen" not in readme
    else:
        assert digest((project / "LICENSE").read_text(encoding="utf-8")) == LICENCES[license]
        assert f"{license}, see [LICENSE](LICENSE)" in readme
    assert ("CUDA" in readme) == (build == "gpu")
    assert ("[and-cuda]" in str(table["dependencies"])) == (build == "gpu")
    assert ("tensorflow-cpu" in str(table["dependencies"])) == (build == "cpu")
