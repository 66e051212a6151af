"""Says what is right and what is wrong on this machine: python main.py --doctor

A check is a function that returns its kind, OK, NOTE or FAULT, and a text, which for a fault says
what to do; or None, if there is nothing to say. A note is good to know, but nothing is wrong. This
file and checks.py import at their heads only what comes with Python: they must run where the rest
is missing.
"""

import argparse
import sys

from doctor import checks
from doctor.checks import FAULT, NOTE, OK

CHECKS = {
    "Python": checks.python,
    "packages": checks.packages,
    "TensorBoard": checks.tensorboard,
    "Ray": checks.ray,
    "git": checks.git,
    "data": checks.data,
}
OF_RESULTS = {"results": checks.results, "disk": checks.disk}


def examine(result_dir=None) -> int:
    """Print a line for each check, and a last one. Returns the exit status: 1 if there is a fault.

    result_dir: where results will go; by default results/.
    """
    kinds = [report(title, check) for title, check in CHECKS.items()]
    kinds += [report(title, check, result_dir) for title, check in OF_RESULTS.items()]
    kinds += [report("TensorFlow", checks.tensorflow)]
    if kinds[-1] == OK:
        from doctor import tensorflow_checks

        kinds += [report(title, check) for title, check in tensorflow_checks.CHECKS.items()]
    else:
        print_line(
            NOTE, "the rest", "models, GPUs, threads and XLA: not checked without TensorFlow"
        )
    count = kinds.count(FAULT)
    if count:
        print(
            f"{count} fault{'s' * (count > 1)}: do what is said in its line, then run this again."
        )
        return 1
    print("No fault: you can train here.")
    return 0


def report(title, check, *arguments):
    """Run a check and print its line. Returns its kind; None if it has nothing to say."""
    try:
        said = check(*arguments)
    except ModuleNotFoundError as error:  # its package is a fault in another line
        said = NOTE, f"not checked without {error.name}"
    except Exception as error:  # the other checks go on
        said = FAULT, f"this check failed: {checks.what_was_raised(error)}"
    if said is None:
        return None
    print_line(said[0], title, said[1])
    return said[0]


def print_line(kind, title, text):
    print(f"{kind:<6} {title:<12} {text}", flush=True)


def instead_of(error: Exception) -> int:
    """Run in place of main.py, which cannot import its parts. Returns the exit status."""
    if "--doctor" in sys.argv:
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("--result_dir")
        return examine(parser.parse_known_args()[0].result_dir)
    if not isinstance(error, ModuleNotFoundError) or "--debug" in sys.argv:
        raise error
    print(f"error: {error}; python main.py --doctor says what is missing", file=sys.stderr)
    return 1
