"""The one entry point: trains a model, or uses a trained one.

    python main.py                                    a line through 100 points
    python main.py --model_name=MNIST                 handwritten digits
    python main.py --result_dir=R                     go on with the run in R
    python main.py --infer --result_dir=R --input=2   predictions
    python main.py --evaluate --result_dir=R          the test split
    python main.py --verify --result_dir=R            train again and compare, bit for bit
    python main.py --from_checkpoint=R --step=500     a new run from a checkpoint of another
    python main.py --search=hyperband --nb_process=2  a search for hyper-parameters
    python main.py --model_name=MNIST --help          every flag of a model

Exit status: 0; 2 for a wrong flag; 3 for a run that diverged; 130 and 143 after Ctrl-C and
SIGTERM; 1 for the rest.
"""

import shlex
import sys
import traceback
from pathlib import Path

import numpy as np

import command_line
from models import ConfigError, make_model
from training import loop, verification
from training.run_folder import RunFolder, one_line, recorded_config


def main(argv):
    """Run the stage that the command line asks for. Returns the exit status."""
    debug = False
    try:
        model_class, given = command_line.parse(argv)
        if given.pop("help", False):
            command_line.print_help(__doc__, model_class)
            return 0
        debug = given.get("debug", False)
        text = given.pop("input", None)
        searching = given.get("search") or given.get("fullsearch")
        if searching or given.get("promote"):
            return search(model_class, given)
        stages = [stage.name for stage in command_line.STAGES if given.pop(stage.name, False)]
        if given.pop("best", False):
            given = model_class.get_best_config() | given
        config = {"model_name": model_class.__name__} | given
        if not stages:
            return train(config)
        if not recorded_config(config["result_dir"]):
            raise FileNotFoundError(f"--result_dir={config['result_dir']} holds no run")
        step = loop.which(config.pop("step", None))
        if stages == ["infer"]:
            return infer(config, step, text)
        return evaluate(config, step) if stages == ["evaluate"] else verify(config)
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
    """Print one line about what went wrong, and with --debug how it came to it."""
    if debug:
        traceback.print_exc()
    print(f"error: {one_line(error)}", file=sys.stderr)
    return status


def train(config):
    """Train, and say what came out and what to do next."""
    print("Importing TensorFlow ...", flush=True)  # seconds in which nothing else is seen
    with make_model(config) as model:
        result = model.train()
    folder = shlex.quote(result["result_dir"])
    together = Path(result["result_dir"]).parent  # where runs lie beside each other
    logs = folder if config.get("result_dir") else shlex.quote(str(together))
    print_values("valid", result["valid"])
    print_values("test", result["test"])
    if result["status"] == "diverged":
        return fail(
            f"not finite at step {result['bad_step']}: loss {result['loss']}, gradient norm "
            f"{result['gradient_norm']}, first in {result['variable']}. The weights before are "
            f"saved; details are in {folder}/status.json. Start anew with a smaller --lr",
            3,
        )
    if result["status"] == "interrupted":
        print(f"Interrupted at step {result['step']}; go on with --result_dir={folder}")
        return 128 + result["signal"]
    print(f"Next: python main.py --infer --result_dir={folder}")
    print(f"      tensorboard --logdir {logs}")
    return 0


def infer(config, step, text):
    """Print the predictions, one line for each example."""
    with make_model(config) as model:
        inputs = model.parse_input(text or "")
        model.restore(step)
        predictions = model.infer(inputs)
    for i in range(len(next(iter(inputs.values())))):
        scalars = {name: array[i] for name, array in inputs.items() if array.ndim == 1}
        outputs = {name: array[i] for name, array in predictions.items()}
        print_values(in_words(scalars) or f"example {i}", outputs)
    return 0


def evaluate(config, step):
    """Print loss and metrics on the test split, and record them in the run."""
    with make_model(config) as model:
        model.restore(step)
        with RunFolder(model.config) as run:
            print_values(f"test at step {model.step}", loop.test(model, run))
    return 0


def verify(config):
    """Train a run again, compare it with what is recorded, and say how it came out."""
    with make_model(config) as model:
        found = verification.verify(model)
    for line in found["lines"]:
        print(line)
    return 0 if found["equal"] else 1


def search(model_class, given):
    """Search hyper-parameters, or promote what a search found."""
    from hpsearch import stages  # rich, which it shows its tables with, is slow to import

    options = {s.name: given.get(s.name, s.default) for s in command_line.SEARCH}
    if given.get("promote"):
        return stages.promote(given["result_dir"])
    return stages.search(model_class, given, options)


def in_words(values):
    """Numbers as text: "loss = 0.0816, accuracy = 0.982"."""
    texts = {name: np.array2string(np.asarray(v), precision=4) for name, v in values.items()}
    return ", ".join(f"{name} = {text}" for name, text in texts.items())


def print_values(title, values):
    if values:
        print(f"{title}: {in_words(values)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
