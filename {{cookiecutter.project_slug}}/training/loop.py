"""The training loop: what happens at which step. Read `train` from top to bottom."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import tensorflow as tf

from settings import ConfigError
from training.checkpoints import Checkpoints
from training.config import parse_step
from training.divergence import Diverged, diagnose, first_not_finite
from training.evaluation import SAMPLE, count_examples
from training.messages import format_values
from training.metrics import Values, why_stalled
from training.progress import Progress
from training.provenance import as_dict, read_provenance, recorded_config
from training.run import Origin, Run
from training.run_page import draw_pictures, write_run_page
from training.signals import StopSignals
from training.traces import record as record_trace

log = logging.getLogger(__name__)
EVALUATED = (SAMPLE, "valid")  # at each evaluation


class Result(TypedDict):
    """What came out of training."""

    status: str  # complete, interrupted or diverged
    step: int
    loss: float | None  # of the last step's batch; None if no step was trained
    train_sample: Values  # at the last evaluation; {} before the first
    valid: Values
    test: Values  # {} if the run is not complete
    examples: dict[str, int]  # how many each of them was averaged over
    result_dir: str
    signal: int | None  # that interrupted it
    details: dict[str, Any]  # of a run that diverged, see training/divergence.py


def train(model, run: Run, until: int | None = None, final: bool = True) -> Result:
    """Train a model in a run folder, from the newest checkpoint there; see BasicModel.train."""
    config = model.config
    last = config["max_iter"] if until is None else min(until, config["max_iter"])
    result = Result(status="interrupted", step=0, loss=None, train_sample={}, valid={}, test={},
                    examples={}, result_dir="", signal=None, details={})  # fmt: skip
    model.prepare_steps()  # a model's errors come before a file is written
    origin = find_origin(model)
    with run, StopSignals() as stop:
        announce(model)
        run.start(model, origin)
        with Progress(model.step, last, config["batch_size"]) as progress:
            try:
                intervals = (config[n] for n in ("eval_every", "save_every", "trace_every"))
                chunks = advance(model, last, *intervals)
                stalled = why_stalled(run.metrics, config, model.objective)
                while not (stop.received or stalled):
                    if (losses := next(chunks, None)) is None:
                        break
                    log_losses(model, model.step, losses, run, progress)
                    result["loss"], improved = float(losses[-1]), False
                    if is_due(model.step, config["eval_every"], config):
                        result |= (values := evaluate_and_show(model))
                        improved = run.log_evaluation(model.step, values)
                        stalled = why_stalled(run.metrics, config, model.objective)
                    if (improved and config["save_every"]) or run.checkpoints.is_due(model.step):
                        run.save()
                    if config["trace_every"] and model.step % config["trace_every"] == 0:
                        record_trace(model, run)
            except Diverged as error:
                noticed = model.step
                result["details"] = rewind(model, run)
                log_losses(model, model.step, error.losses[: model.step - noticed], run, progress)
        if (model.step == config["max_iter"] or stalled) and not result["valid"]:
            result |= evaluate_once(model, run, *EVALUATED)
        run.save()
        run.wait()
        result |= {"step": model.step, "result_dir": str(run), "signal": stop.received}
        return finish(model, run, result, final, stalled)


def advance(model, stop: int, *intervals: int) -> Iterator[np.ndarray]:
    """Train up to step `stop`, in chunks that end at every multiple of the intervals but 0.

    Yields the loss of each step of a chunk, float32 [steps]; Diverged as learn_from_epoch.
    """
    while model.step < stop:
        ends = [model.step - model.step % every + every for every in intervals if every]
        yield model.learn_from_epoch(min([stop, *ends]))


def find_origin(model) -> Origin | None:
    """The checkpoint that --from_checkpoint names; None if the run has checkpoints.

    ConfigError if it does not fit the model; other errors as Checkpoints.find.
    """
    config, path = model.config, model.config["result_dir"]
    if not config["from_checkpoint"] or (path and Checkpoints(path, config).records):
        return None
    source = Path(config["from_checkpoint"])
    checkpoints = Checkpoints(source, config)
    begun = as_dict(read_provenance(Path(path))["parent"]) if recorded_config(path) else {}
    record = checkpoints.find(begun.get("step", parse_step(config["step"])))
    if record["step"] > config["max_iter"]:
        raise ConfigError(f"--max_iter={config['max_iter']}: step {record['step']} is beyond it")
    try:
        checkpoints.check_fit(record["step"], model.saved)
    except ValueError as error:
        raise ConfigError(f"--from_checkpoint: {error}") from None
    return checkpoints, record


def load_checkpoint(model, step: int | str | None) -> None:
    """Load the checkpoint that a model's config names, in one of three ways.

    1. result_dir holds a run: its checkpoint of that step, or the newest one.
    2. from_checkpoint names another run: the checkpoint from which this one starts.
    3. Neither, or the run there has saved none yet: the model keeps its initial values.
    """
    path = model.config["result_dir"]
    if origin := find_origin(model):
        origin[0].load(model, origin[1])
    elif path and recorded_config(path):
        if not model.config["from_checkpoint"]:
            model.asked_step = parse_step(None if step is None else str(step))
        try:
            restore(model, model.asked_step)
        except FileNotFoundError:
            if model.asked_step is not None:
                raise


def restore(model, step: int | str | None) -> int:
    """Load a checkpoint of the run in result_dir; see BasicModel.restore."""
    checkpoints = Checkpoints(model.config["result_dir"], model.config)
    try:
        checkpoints.load(model, checkpoints.find(step))
    except (ValueError, tf.errors.OpError):
        now = Checkpoints(model.config["result_dir"], model.config)
        if now.last_step() == checkpoints.last_step():
            raise
        return restore(model, step)  # another process trains there, and has removed an old one
    return model.step


def announce(model):
    """Say what is about to be trained."""
    config, left_out = model.config, model.examples % model.config["batch_size"]
    log.info(f"{config['model_name']} with random_seed {config['random_seed']}")
    if left_out:
        log.info(
            f"Each epoch leaves out {left_out} of {model.examples:,} examples, others each time"
        )
    if config["debug"]:
        for name, value in config.items():
            log.info(f"  --{name}={value}")
        for name, variable in model.saved.items():
            log.info(f"  {name}: {variable.dtype.base_dtype.name} {variable.shape}")


def is_due(step, every, config):
    """Whether something that happens every so many steps, and at the end, happens now."""
    return step % every == 0 or step == config["max_iter"]


def log_losses(model, step, losses, run, progress):
    """Show and record those losses of the steps up to `step` that are due, float32 [steps]."""
    if len(losses):
        config = run.config
        steps = enumerate(losses.tolist(), start=step - len(losses) + 1)
        due = {at: loss for at, loss in steps if is_due(at, config["log_every"], config)}
        run.log_losses(due, progress.report(step, float(losses[-1]), due, model.feed.waited))


def evaluate_and_show(model) -> dict[str, Values]:
    """Evaluate the sample of train and valid, and show both."""
    values = {split: model.evaluate(split) for split in EVALUATED}
    train, valid = (format_values(found, digits=4) for found in values.values())
    log.info(f"Step {model.step}: train {train} | valid {valid}")
    return values


def evaluate_once(model, run: Run, *splits: str) -> dict[str, Values]:
    """Evaluate splits, and record those that have no record of this step yet."""
    values = {split: model.evaluate(split) for split in splits}
    known = {r["split"] for r in run.metrics.records() if r["step"] == model.step}
    run.log_evaluation(model.step, {s: v for s, v in values.items() if s not in known})
    run.metrics.sync()
    return values


def rewind(model, run):
    """Go back to the weights before the first bad update. Returns what was bad, for status.json.

    The newest checkpoint is loaded and trained one step at a time, until the bad update comes
    again: any chunk length gives the same bits.
    """
    run.wait()
    noticed, checkpoint = model.step, run.checkpoints.newest()
    log.info(f"Not finite: going back to step {checkpoint['step']} to find the bad update.")
    run.checkpoints.load(model, checkpoint)
    try:
        for _ in advance(model, noticed, 1):
            pass
        raise ValueError(f"not finite at step {noticed}, but not when replayed: {run}")
    except Diverged:
        bad_step, variable = model.step, first_not_finite(model.weights())

    def go_to_the_step_before():
        run.checkpoints.load(model, checkpoint)
        for _ in advance(model, bad_step - 1):
            pass

    go_to_the_step_before()
    details = diagnose(model, variable)
    go_to_the_step_before()  # inference for training may assign, as batch_norm does
    return {"bad_step": bad_step} | details


def finish(model, run, result, final, stalled):
    """End a run with its status. One that will not go on gets pictures, a page, the test split."""
    result["status"], about = outcome(model, run, result, stalled)
    is_complete, shown = result["status"] == "complete", final and result["status"] != "interrupted"
    if final and is_complete:
        result |= evaluate_once(model, run, "test")
    if shown:
        draw_pictures(model, run, is_complete)
    run.finish(result["status"], **about)
    if shown:
        write_run_page(model, run)
    result["examples"] = {s: count_examples(model, s) for s in (*EVALUATED, "test") if result[s]}
    return result


def outcome(model, run, result, stalled):
    """What has become of a run: its status, and what status.json says beside it."""
    if details := result["details"]:
        reason = f"not finite at step {details['bad_step']}: loss {details['loss']}"
        details = details | {"step": model.step, "result_dir": str(run)}
        return "diverged", {"reason": reason, "details": details}
    if result["signal"]:
        return "interrupted", {"reason": f"signal {result['signal']}"}
    if model.step < model.config["max_iter"] and not stalled:
        return "interrupted", {"reason": f"paused at step {model.step}"}
    if stalled:
        log.info(f"Stopped at step {model.step}: {stalled}")
    return "complete", {"reason": stalled} if stalled else {}
