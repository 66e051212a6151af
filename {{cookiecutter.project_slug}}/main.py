"""The one entry point: trains a model, or uses a trained one.

    python main.py                                    the first model in models/__init__.py
    python main.py --model_name=NAME                  another one
    python main.py --result_dir=R                     resume the run in R
    python main.py --infer --result_dir=R --input=2   predictions
    python main.py --evaluate --result_dir=R          the test split
    python main.py --export --result_dir=R            files for other programs, in R/export
    python main.py --verify --result_dir=R            train again and compare, bit for bit
    python main.py --compare F --sort_by=valid_loss   a table of the runs in F; default: results
    python main.py --compare --plot                   their curves over each other
    python main.py --from_checkpoint=R --step=500     a new run from a checkpoint of another
    python main.py --search=hyperband --nb_process=2  a search for hyper-parameters
    python main.py --model_name=NAME --help           every flag of a model
    python main.py --board                            TensorBoard, on all runs
    python main.py --doctor                           what is wrong on this machine

Exit status: 0; 2 for a wrong flag; 3 for a run that diverged; 130 and 143 after Ctrl-C and
SIGTERM; 1 for all other errors.
"""

import sys

from doctor import examination

try:
    import command_line
    import stages
    from settings import ConfigError
    from training import launcher
    from training.messages import fail, one_line, prepare_streams
except Exception as error:  # in a broken environment, the doctor still says why
    sys.exit(examination.instead_of(error))


def main(argv: list[str]) -> int:
    """Run the stage that the command line asks for. Returns the exit status."""
    debug = False
    try:
        model_class, given = command_line.parse(argv)
        if given.pop("help", False):
            command_line.print_help(__doc__, model_class)
            return 0
        if given.get("doctor"):
            return examination.examine(given.get("result_dir"))
        debug = given.get("debug", False)
        return stages.run(model_class, given)
    except KeyboardInterrupt:
        return fail("stopped at once; what was saved before is still there", 130)
    except ConfigError as error:
        return fail(error, 2, debug)
    except (ValueError, OSError) as error:
        return fail(error, 1, debug)
    except Exception as error:  # of a model's own code, or TensorFlow's
        reason = f"{type(error).__name__}: {one_line(error)}"
        return fail(f"{reason} (--debug shows where)", 1, debug)


if __name__ == "__main__":
    prepare_streams()
    launcher.leave(main(sys.argv))
