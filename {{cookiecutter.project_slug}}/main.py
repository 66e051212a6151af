"""The one entry point: trains a model, or uses a trained one.

    python main.py                                    a line through 100 points
    python main.py --model_name=MNIST                 handwritten digits
    python main.py --result_dir=R                     resume the run in R
    python main.py --infer --result_dir=R --input=2   predictions
    python main.py --evaluate --result_dir=R          the test split
    python main.py --verify --result_dir=R            train again and compare, bit for bit
    python main.py --compare F --sort_by=valid_loss   a table of the runs in F; default: results
    python main.py --from_checkpoint=R --step=500     a new run from a checkpoint of another
    python main.py --search=hyperband --nb_process=2  a search for hyper-parameters
    python main.py --model_name=MNIST --help          every flag of a model

Exit status: 0; 2 for a wrong flag; 3 for a run that diverged; 130 and 143 after Ctrl-C and
SIGTERM; 1 for all other errors.
"""

import shlex
import sys
import traceback
from pathlib import Path

import command_line
from models import ConfigError, get_model_class, make_model
from training import loop, verification
from training.checkpoints import Checkpoints
from training.config import parse_step
from training.evaluation import SAMPLE, count_examples
from training.files import write_arrays
from training.messages import (
    drop_what_nobody_reads,
    format_value,
    format_values,
    main_command,
    one_line,
)
from training.metrics import is_better
from training.preparation import UNLOADED
from training.provenance import recorded_config
from training.run import Run
from training.speed import advice


def main(argv: list[str]) -> int:
    """Run the stage that the command line asks for. Returns the exit status."""
    debug = False
    try:
        model_class, given = command_line.parse(argv)
        if given.pop("help", False):
            command_line.print_help(__doc__, model_class)
            return 0
        debug = given.get("debug", False)
        text = given.pop("input", None)
        if given.get("compare"):
            return compare(given)
        if given.get("search") or given.get("fullsearch") or given.get("promote"):
            return search(model_class, given)
        output = given.pop("output", None)
        stages = [stage.name for stage in command_line.STAGES if given.pop(stage.name, False)]
        config = {"model_name": model_class.__name__} | given
        if not stages:
            model_class.complete(config)  # its errors come before the import of TensorFlow
            return train(config)
        parse_step(config.get("step"))  # its error comes before the import of TensorFlow, too
        if not recorded_config(config["result_dir"]):
            raise FileNotFoundError(f"--result_dir={config['result_dir']} holds no run")
        if stages == ["infer"]:
            return infer(config, text, output)
        return evaluate(config) if stages == ["evaluate"] else verify(config)
    except KeyboardInterrupt:
        return fail("stopped at once; what was saved before is still there", 130)
    except ConfigError as error:
        return fail(error, 2, debug)
    except (ValueError, OSError) as error:
        return fail(error, 1, debug)
    except Exception as error:  # of a model's own code, or TensorFlow's
        reason = f"{type(error).__name__}: {one_line(error)}"
        return fail(f"{reason} (--debug shows where)", 1, debug)


def fail(error, status, debug=False):
    """Print one line about what went wrong, and with --debug the traceback."""
    if debug:
        traceback.print_exc()
    print(f"error: {one_line(error)}", file=sys.stderr)
    return status


def train(config):
    """Train, and print the results and what to do next."""
    print("Importing TensorFlow ...", flush=True)  # seconds in which nothing else is seen
    with make_model(config) as model:
        result = model.train()
        is_complete = result["status"] == "complete"
        warning = not_improved(model, result) if is_complete else ""
        faster = advice(model) if is_complete and model.config["debug"] else ""
    folder = shlex.quote(result["result_dir"])
    parent = Path(result["result_dir"]).parent  # in which runs lie beside each other
    logs = folder if config.get("result_dir") else shlex.quote(str(parent))
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
    for line in filter(None, (warning, faster)):
        print(line)
    print(f"Next: {main_command()} --infer --result_dir={folder}")
    print(f"      tensorboard --logdir {logs}")
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
    path = Path(config["result_dir"]).expanduser()
    if not Checkpoints(path, config).records:
        raise FileNotFoundError(f"{path} holds no checkpoint yet; train first")
    return make_model(config)


def infer(config, text, output):
    """Say what answers to what; print the predictions, a line for each example, or save them."""
    if output and not output.endswith(".npz"):
        raise ConfigError(f"--output={output} must end in .npz: it holds NumPy arrays")
    with trained(config) as model:
        inputs = model.parse_input(text or "")
        predictions = model.infer(inputs)
    asked = f"--input={text}" if text else "examples of its own (no --input)"
    print(f"Step {model.step} of {config['result_dir']} answers {asked}: {shapes(inputs)}")
    if output:
        write_arrays(Path(output).expanduser(), predictions)
        print(f"Written to {output}: {shapes(predictions)}")
        return 0
    for i in range(len(next(iter(inputs.values())))):
        scalars = {name: array[i] for name, array in inputs.items() if array.ndim == 1}
        outputs = {name: array[i] for name, array in predictions.items()}
        print(f"{format_values(scalars) or f'example {i}'}: {format_values(outputs)}")
    return 0


def evaluate(config):
    """Print loss and metrics on the test split, and record them in the run."""
    with trained(config) as model:
        examples = count_examples(model, "test")
        with Run(model.config) as run:
            values = loop.evaluate_once(model, run, "test")["test"]
    print(f"test at step {model.step}: {format_values(values)} ({examples:,} examples)")
    return 0


def verify(config):
    """Train a run again, compare it with what is recorded, and print the verdict."""
    config = get_model_class(config).complete(config)
    with make_model(config | UNLOADED) as model:  # whatever has become of its checkpoints
        model.config = config
        verdict = verification.verify(model)
    for line in verdict.lines:
        print(line)
    return 0 if verdict.equal else 1


def compare(given):
    """Print runs beside each other."""
    from reports.compare import print_comparison  # its library, rich, is slow to import

    folders, sort_by = given.get("folders", []), given.get("sort_by")
    return print_comparison(folders, sort_by, given.get("format", "text"))


def search(model_class, given):
    """Search hyper-parameters, or promote the winner of a search."""
    if given.get("promote"):
        from hpsearch.promotion import promote

        return promote(given["result_dir"], given.get("force", False))
    from hpsearch import commands  # its library for tables, rich, is slow to import

    options = {s.name: given.get(s.name, s.default) for s in command_line.SEARCH}
    return commands.search(model_class, given, options)


def shapes(arrays):
    """Arrays as text: "x float32 [2], y float32 [2]"."""
    return ", ".join(f"{name} {a.dtype} {list(a.shape)}" for name, a in arrays.items())


if __name__ == "__main__":
    drop_what_nobody_reads()
    sys.exit(main(sys.argv))
