"""Imports go one way, so that each part can be read, and used, without those above it."""

import ast

import pytest

from training.files import PROJECT

# The lowest part first. A file may import from its own row and from those before.
ROWS = [
    ["conditions", "setting", "settings", "data"],
    [
        "training.config",
        "training.files",
        "training.digests",
        "training.drawing",
        "training.messages",
        "training.processors",
        "training.records",
        "training.signals",
        "training.tf_config",
    ],
    [
        "training.tensorflow_import",
        "training.batches",
        "training.collectives",
        "training.steps",
        "training.folders",
        "training.page",
    ],
    [
        "training.compilation",
        "training.contract",
        "training.device",
        "training.evaluation",
        "training.feeding",
        "training.graph_page",
        "training.optimizers",
        "training.progress",
        "training.repeatable",
        "training.variables",
    ],
    [
        "training.checkpoints",
        "training.cluster",
        "training.events",
        "training.launcher",
        "training.metrics",
        "training.provenance",
        "training.reach",
        "training.status",
    ],
    [
        "training.curves",
        "training.divergence",
        "training.preparation",
        "training.shares",
        "training.traces",
        "training.workers",
    ],
    ["training.run", "training.run_page"],
    ["training.loop"],
    ["training.speed", "training.verification"],
    ["models"],
    ["hpsearch", "reports", "serving"],
    ["command_line"],
    ["doctor", "stages"],
    ["main"],
]
FOLDERS = ("data", "training", "models", "hpsearch", "reports", "serving", "doctor")


def row_of(module):
    """The number of a module's row; None for other modules, such as numpy."""
    names = {module, module.split(".")[0]}
    return next((number for number, row in enumerate(ROWS) if names & set(row)), None)


def imports(text):
    """The modules that a file's text imports, as a.b."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ([f"training.{name.name}" for name in node.names]
                        if node.module == "training" else [node.module])  # fmt: skip


def wrong_imports(module, text):
    row = row_of(module)
    return [name for name in imports(text) if (row_of(name) or 0) > row]


files = sorted(PROJECT.glob("*.py"))
files += [path for folder in FOLDERS for path in sorted((PROJECT / folder).glob("*.py"))]


@pytest.mark.parametrize("path", files, ids=lambda path: path.name)
def test_a_file_imports_only_from_its_own_row_or_those_before(path):
    module = path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", ".")
    if not module.endswith("__init__") or module == "models.__init__":
        assert row_of(module) is not None, f"{module} is in no row"
        assert wrong_imports(module, path.read_text(encoding="utf-8")) == []


def test_an_import_in_the_other_direction_is_seen():
    assert wrong_imports("training.files", "from training.run import Run") == ["training.run"]
    assert wrong_imports("training.run", "from models import MODELS") == ["models"]
