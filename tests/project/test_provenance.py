"""What config.json says of the code and the graph of a run."""

import importlib
import re
import sys
import sysconfig

import tensorflow as tf
from runs import read, train
from toy import Toy

from models import make_model
from training import provenance
from training.files import PROJECT, sha256
from training.verification import verify


def test_a_project_below_the_folder_of_python_has_source_files_and_its_packages_are_none(
    monkeypatch,
):
    monkeypatch.setattr(sys, "prefix", str(PROJECT.parent))
    found = provenance.sources()
    assert {"models/basic_model.py", "training/run.py", "settings.py"} <= found.keys()
    places = {"purelib": PROJECT / "training", "scripts": PROJECT / "models"}
    real = sysconfig.get_path
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(places.get(name) or real(name)))
    assert found.keys() - provenance.sources().keys() == {
        path for path in found if path.startswith(("training/", "models/"))
    }


def test_texts_have_a_limit_together_and_those_of_models_come_first(monkeypatch):
    monkeypatch.setattr(provenance, "git", lambda *arguments: None)
    models = sorted((PROJECT / "models").glob("*.py"))
    size = sum(file.stat().st_size for file in models)
    monkeypatch.setattr(provenance, "TEXT_LIMIT", size)
    found = provenance.sources()
    for path, about in found.items():
        assert about["sha256"] == sha256(PROJECT / path)
    texts = {PROJECT / path: about["text"] for path, about in found.items() if "text" in about}
    assert {file: file.read_text(encoding="utf-8") for file in models} == texts
    monkeypatch.setattr(provenance, "TEXT_LIMIT", max(f.stat().st_size for f in models) - 1)
    without = {path for path, about in provenance.sources().items() if "text" not in about}
    assert "models/basic_model.py" in without and "models/__init__.py" not in without


def test_a_resumed_run_says_and_records_that_its_graph_is_another(
    small, tmp_path, monkeypatch, capsys
):
    def said(**options):
        train(small, **options)
        output, start = capsys.readouterr().out, read(tmp_path / "run", "config.json")
        warned = f"The graph is not the one with which {tmp_path / 'run'} was started" in output
        assert all(warned == ("graph_sha256" in r) for r in start["resumed"][-1:])
        return warned, start

    assert said(until=40)[0] is False
    assert said(until=80)[0] is False  # the same graph again
    right = Toy.loss
    monkeypatch.setattr(Toy, "loss", lambda self, outputs, batch: 1.5 * right(self, outputs, batch))
    warned, start = said()
    first, now = start["environment"]["graph_sha256"], start["resumed"][-1]["graph_sha256"]
    assert warned and re.fullmatch("[0-9a-f]{64}", first) and first != now
    with make_model({"result_dir": small["result_dir"]}) as model:
        verdict = verify(model)
    assert f"  graph: {first} when it was started, {now} now" in verdict.lines


def test_steps_that_xla_could_not_compile_are_the_same_graph_when_they_are_resumed(
    small, monkeypatch, capsys
):
    def inference(self, batch, training):
        outputs = right(self, batch, training)
        return outputs + 0 * tf.strings.to_number(tf.strings.as_string(outputs))

    right = Toy.inference
    monkeypatch.setattr(Toy, "inference", inference)
    train(small | {"jit": None}, until=40)
    assert "XLA cannot compile" in capsys.readouterr().out
    train({"result_dir": small["result_dir"]})
    output = capsys.readouterr().out
    assert "Resuming" in output and "The graph is not" not in output


def test_a_file_that_changes_after_its_import_is_recorded_as_it_was_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setattr(provenance, "git", lambda *arguments: None)
    monkeypatch.setattr(provenance, "imported", {})
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "made_up_module.py"
    try:
        texts = []
        for text, reload in [("A = 1\n", False), ("A = 22\n", False), ("A = 22\n", True)]:
            file.write_text(text)
            module = importlib.import_module("made_up_module")
            if reload:
                importlib.reload(module)
            texts.append(provenance.sources()["made_up_module.py"]["text"])
        assert texts == ["A = 1\n", "A = 1\n", "A = 22\n"]
    finally:
        sys.modules.pop("made_up_module", None)
