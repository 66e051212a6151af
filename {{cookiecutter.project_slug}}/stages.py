"""The stages of the command line, one function each: what main.py runs."""

import contextlib
import os
import sys
from pathlib import Path

import numpy as np

import command_line
from conditions import check_used
from models import get_model_class, make_model
from reports import board
from serving.export import export_model
from serving.inputs import read_inputs
from serving.outputs import check_format, write_predictions
from settings import ConfigError
from training import folders, launcher, loop, verification, workers
from training.checkpoints import Checkpoints
from training.config import parse_step
from training.evaluation import SAMPLE, count_examples
from training.files import expanded
from training.messages import fail, format_value, format_values, main_command, quoted
from training.metrics import is_better
from training.preparation import UNLOADED
from training.provenance import recorded_config
from training.run import Run
from training.speed import advice
from training.status import Status

STATUSES = {"complete": 0, "diverged": 3}  # what train exits with; 128 + signal if interrupted


def run(model_class: type, given: dict) -> int:
    """Run the stage that {flag: value} asks for; without one, train. Returns the exit status."""
    given = dict(given)
    stages = {stage.name for stage in command_line.STAGES if given.get(stage.name)}
    if stages - {"verify"}:
        os.environ.pop("TF_CONFIG", None)  # what does not train runs in this process alone
    if given.get("compare"):
        from reports.compare import compare  # its library, rich, is slow to import

        return compare(given.get("folders", []), given)
    text, form, output = (given.pop(name, None) for name in ("input", "format", "output"))
    if given.get("search") or given.get("fullsearch") or given.get("promote"):
        return search(model_class, given)
    if given.get("board"):
        return show_board(given)
    asked = [stage.name for stage in command_line.STAGES if given.pop(stage.name, False)]
    config = {"model_name": model_class.__name__} | given
    if not asked:
        complete = model_class.complete(config)  # its errors come before the import of TensorFlow
        check_used(model_class.hyperparameters, given, complete)
        with launcher.workers(complete, config):
            return train(config)
    parse_step(config.get("step"))  # its error comes before the import of TensorFlow, too
    if not recorded_config(config["result_dir"]):
        raise FileNotFoundError(f"--result_dir={config['result_dir']} holds no run")
    if asked == ["infer"]:
        return infer(config, text, form, output)
    return {"evaluate": evaluate, "export": export, "verify": verify}[asked[0]](config)


def train(config):
    """Train, and print the results and what to do next."""
    print("Importing TensorFlow ...", flush=True)  # seconds in which nothing else is seen
    with make_model(config) as model:
        result = model.train()
        if model.place:  # the chief says the rest
            print(f"The chief has ended at step {result['step']}: {result['status']}")
            return STATUSES.get(result["status"], 128 + (result["signal"] or 0))
        is_complete = result["status"] == "complete"
        warning = not_improved(model, result) if is_complete else ""
        faster = advice(model) if is_complete and model.config["debug"] else ""
    folder = quoted(result["result_dir"])
    parent = Path(result["result_dir"]).parent  # in which runs lie beside each other
    logs = folder if config.get("result_dir") else quoted(parent)
    if result["status"] == "complete":
        for split, count in result["examples"].items():
            name = "train" if split == SAMPLE else split
            print(f"{name}: {format_values(result[split])} ({count:,} examples)")
    if result["status"] == "diverged":
        return fail(
            "not finite at step {bad_step}: loss {loss}, gradient norm {gradient_norm}, first in "
            "{variable}. The weights before are ".format(**result["details"])
            + f"saved; details are in {folder}/status.json. Start again with a smaller --lr",
            3,
        )
    if result["status"] == "interrupted":
        print(f"Interrupted at step {result['step']}; resume with --result_dir={folder}")
        return 128 + result["signal"]
    page = Path(result["result_dir"], "report.html")
    for line in filter(None, (warning, faster, f"Report: {page}" if page.exists() else "")):
        print(line)
    print(f"Next: {main_command()} --infer --result_dir={folder}")
    print(f"      {main_command()} --board --result_dir={logs}")
    return 0


def not_improved(model, result):
    """A line about what is no better on valid than with the initial weights, which it restores."""
    if model.config["from_checkpoint"]:  # its first weights were trained ones
        return ""
    model.init()
    before, after = model.evaluate("valid"), result["valid"]
    for name, direction in {"loss": "min", **dict([model.objective])}.items():
        if not is_better(after, before, (name, direction)):
            values = f"{format_value(after[name])}, and {format_value(before[name])} before it"
            return f"Training has not improved {name} on valid: {values}. Try another --lr"
    return ""


def trained(config):
    """The model of a run; FileNotFoundError if it has no checkpoint yet."""
    path = expanded(config["result_dir"])
    if not Checkpoints(path, config).records:
        raise FileNotFoundError(f"{path} holds no checkpoint yet; train first")
    return make_model(config)


def infer(config, text, format_name, output):
    """Say what answers to what; print the predictions, a line for each example, or save them."""
    format_name = check_format(format_name, output)
    with trained(config) as model:
        inputs = read_inputs(model, text or "")
        predictions = model.infer(inputs.arrays)
    labels = {name: array for name, array in inputs.arrays.items() if array.ndim == 1}
    labels |= {"file": np.array(inputs.names)} if inputs.names else {}
    asked = f"--input={text}" if text else "examples of valid (no --input)"
    notes = [
        f"Step {model.step} of {config['result_dir']} answers {asked}: {shapes(inputs.arrays)}"
    ]
    notes += inputs.notes
    for line in notes:  # what is read by a program has standard output for itself
        print(line, file=sys.stdout if format_name == "text" or output else sys.stderr)
    write_predictions(predictions, labels, format_name, output)
    if output:
        print(f"Written to {output}: {shapes(predictions)}")
    return 0


def evaluate(config):
    """Print loss and metrics on the test split, and record them in the run."""
    with trained(config) as model:
        examples = count_examples(model, "test")
        with Run(model.config) as run:
            values = loop.evaluate_once(model, run, "test")["test"]
    print(f"test at step {model.step}: {format_values(values)} ({examples:,} examples)")
    return 0


def export(config):
    """Write the files of a model for other programs, and say what each of them answers."""
    path, step = expanded(config["result_dir"]), config.get("step")
    if step is None and Status(path).read().get("status") == "diverged":
        raise ValueError(f"{path} diverged; name a checkpoint from before: --step=N or --step=best")
    with trained(config) as model, Run(model.config):  # nobody trains or exports there meanwhile
        about = export_model(model, path / "export")
    print(f"Exported step {about['step']} of {path} to {path / 'export'}")
    for name, difference in about["differences"].items():
        print(f"  {name}: its outputs differ from the model's by {format_value(difference, 2)}")
    print(f"  model.tflite: {about['model.tflite']}")
    return 0


def verify(config):
    """Train a run again, compare it with what is recorded, and print the verdict."""
    given, config = config, get_model_class(config).complete(config)
    with (
        launcher.workers(config, {"verify": True} | given),
        make_model(config | UNLOADED) as model,  # whatever has become of its checkpoints
    ):
        if model.place:
            return workers.follow(model)["status"]
        model.config = config
        with workers.meeting(model):
            verdict = verification.verify(model)
            workers.end(model, {"status": 0 if verdict.equal else 1})
    for line in verdict.lines:
        print(line)
    return 0 if verdict.equal else 1


def search(model_class, given):
    """Search hyper-parameters, or promote the winner of a search."""
    if given.get("promote"):
        from hpsearch.promotion import promote

        return promote(given["result_dir"], given.get("force", False))
    from hpsearch import commands  # its library for tables, rich, is slow to import

    options = {s.name: given.get(s.name, s.default) for s in command_line.SEARCH}
    return commands.search(model_class, given, options)


def show_board(given):
    """Serve TensorBoard on a folder, on a model's runs or on all, until Ctrl-C, its usual end."""
    if given.get("result_dir") and given.get("model_name"):
        raise ConfigError("--result_dir and --model_name: --board takes one of them")
    folder = given.get("result_dir") or folders.RESULTS / given.get("model_name", "")
    with contextlib.suppress(KeyboardInterrupt):
        board.serve(expanded(folder), given.get("port"))
    return 0


def shapes(arrays):
    """Arrays as text: "x float32 [2], y float32 [2]"."""
    return ", ".join(f"{name} {a.dtype} {list(a.shape)}" for name, a in arrays.items())
