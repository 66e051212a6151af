"""To do what the project's pages say: add a model, take one out."""

import re

from test_documents import blocks


def models_of(page):
    """{class: its file's text} of the models on a page."""
    found = {}
    for block in blocks(page, "python"):
        name = re.search(r"^class (\w+)\(BasicModel\)", block, re.MULTILINE)
        if name:
            found[name[1]] = block
    return found


def write_file(project, block):
    """Write a block of a page to the file that its first line names. Returns the path."""
    path = project / re.search(r"(?:models/)?\w+\.py", block.split("\n")[0])[0]
    path.write_text(block, encoding="utf-8")
    return path


def edit(path, change):
    """Change the text of a file, which must become another one."""
    text = path.read_text(encoding="utf-8")
    changed = change(text)
    assert changed != text, path
    path.write_text(changed, encoding="utf-8")


def add_model(project, name, block):
    """One file, and two edits in the registry."""
    path = write_file(project, block)
    line = f"    from models.{path.stem} import {name}\n"

    def register(text):
        text = re.sub(r" *from models\.basic_model import .*\n", rf"\g<0>{line}", text)
        return re.sub(r"for model in \((.*?),?\)\}", rf"for model in (\1, {name})}}", text)

    edit(project / "models" / "__init__.py", register)


def take_out_of_registry(project, name):
    def take_out(text):
        text = re.sub(rf" *from models\.\w+ import {name}\n", "", text)
        names = re.search(r"for model in \((.*?),?\)\}", text)[1].split(", ")
        left = [each for each in names if each != name]
        line = f"for model in ({', '.join(left)}{',' if len(left) == 1 else ''})}}"
        return re.sub(r"for model in \(.*?\)\}", line, text)

    edit(project / "models" / "__init__.py", take_out)
