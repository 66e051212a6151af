"""The training loop: what happens at which step. Read `train` from top to bottom."""

import math
from pathlib import Path

from models.config import refuse_contradictions
from models.hyperparameters import ConfigError
from training import divergence
from training.background import Background
from training.batches import fed
from training.checkpoints import Checkpoints
from training.progress import Progress
from training.run_folder import RunFolder, recorded_config, recorded_start, refuse_patterns
from training.signals import StopSignals
from training.summaries import Writers


def train(model, until=None, final=True):
    """Train a model in its run folder, from the newest checkpoint there; see BasicModel.train."""
    config = model.config
    announce(model)
    if model.steps is None and config["jit"] is not False:
        print("Compiling the training steps ...", flush=True)
    model.prepare_steps()  # what can go wrong with a model does so before a file is written
    checksum = model.data_checksum()
    parent = branch(model)
    with RunFolder(config) as run, StopSignals() as stop:
        refuse_contradictions(recorded_config(run.path), config)  # again: now nobody else writes
        checkpoints = Checkpoints(run.path, config, first_step=parent["step"] if parent else 0)
        resumed_at = resume(model, run, checkpoints, parent)
        run.record_config(checksum, parent)
        forget_what_came_after(model, run, checkpoints)
        best = best_so_far(model, run, checkpoints)
        last = config["max_iter"] if until is None else min(until, config["max_iter"])
        result = {"status": "running", "loss": None, "valid": {}, "test": {}}
        with (
            Writers(run.path, model, resumed_at) as writers,
            Progress(model.step, last, config["batch_size"]) as progress,
            Background() as background,
        ):
            save(model, run, writers, checkpoints, background)  # step 0 of a new run
            background.wait()  # a record without any checkpoint means that those were lost
            try:
                while model.step < last and not stop.received:
                    first = model.step
                    losses = model.learn_from_epoch(next_stop(first, last, config))
                    result["loss"] = float(losses[-1])
                    log(model, run, writers, progress, first, losses)
                    new_best = None
                    if is_due(model.step, config["eval_every"], config):
                        result["valid"] = evaluate(model, run, writers)
                        if better(model, result["valid"], best):
                            best = new_best = result["valid"]
                    if new_best or checkpoints.is_due(model.step):
                        save(model, run, writers, checkpoints, background, new_best)
            except divergence.Diverged as error:
                background.wait()
                result |= {"status": "diverged"} | divergence.end(model, run, checkpoints)
                if model.step > first:
                    log(model, run, writers, progress, first, error.losses[: model.step - first])
            if model.step == config["max_iter"]:
                result["valid"] = result["valid"] or valid_at_the_end(model, run, writers)
            save(model, run, writers, checkpoints, background)
            background.wait()
            best_so_far(model, run, checkpoints)
            checkpoints.rotate()
        return finish(model, run, stop, result, final)


def announce(model):
    """Say what is about to be trained."""
    config = model.config
    print(f"{config['model_name']} with random_seed {config['random_seed']}")
    if config["debug"]:
        for name, value in config.items():
            print(f"  --{name}={value}")
        for name, variable in model.saved.items():
            print(f"  {name}: {variable.dtype.base_dtype.name} {variable.shape}")


def branch(model):
    """Load the checkpoint that --from_checkpoint asks for, unless the run has some of its own.

    Returns what the run started from, {"result_dir", "step", "weights_sha256"}, or None.
    """
    config = model.config
    if not config["from_checkpoint"] or (
        config["result_dir"] and Checkpoints(Path(config["result_dir"]), config).records
    ):
        return None
    path = Path(config["from_checkpoint"]).expanduser().absolute()
    refuse_patterns(path)
    checkpoints = Checkpoints(path, config)
    begun = config["result_dir"] and recorded_config(config["result_dir"])
    before = recorded_start(Path(config["result_dir"]))["parent"] if begun else None
    record = checkpoints.find(before["step"] if before else which(config["step"]))
    if record["step"] > config["max_iter"]:
        raise ConfigError(f"--max_iter={config['max_iter']}: step {record['step']} is beyond it")
    try:
        model.load_checkpoint(checkpoints, record)
    except ValueError as error:
        raise ConfigError(f"--from_checkpoint: {error}") from None
    digest = record["weights_sha256"]
    return {"result_dir": str(path), "step": record["step"], "weights_sha256": digest}


def which(step):
    """What --step means to a search for checkpoints: a number, "best", or None for the newest."""
    return int(step) if step and step != "best" else step or None


def resume(model, run, checkpoints, parent):
    """Go back to the newest usable checkpoint; writes nothing. Returns its step, None if new."""
    left_out = model.examples % model.config["batch_size"]
    if left_out:
        print(f"Each epoch leaves out {left_out} of {model.examples:,} examples, others each time")
    record = checkpoints.newest()
    if record is None:
        if run.reached() > checkpoints.first_step:
            raise ValueError(
                f"{run} was at step {run.reached()} and has lost its checkpoints; start a new run"
            )
        if parent is None:
            model.init()
        else:
            print(f"Starting from step {parent['step']} of {parent['result_dir']}")
        print(f"Results go to {run}")
        return None
    model.load_checkpoint(checkpoints, record)
    step, max_iter = model.step, model.config["max_iter"]
    if step > max_iter:
        raise ConfigError(f"--max_iter={max_iter}: {run} is at step {step} already")
    print(f"Resuming {run} at step {step}")
    return step


def forget_what_came_after(model, run, checkpoints):
    """Drop what an earlier process recorded after the step that the run goes on from."""
    run.cut_metrics(model.step)
    checkpoints.forget_after(model.step)
    run.set_status("running", model.step)


def is_due(step, every, config):
    """Whether something that happens every so many steps, and at the end, happens now."""
    return step % every == 0 or step == config["max_iter"]


def next_stop(step, last, config):
    """The next step at which the weights are asked for."""
    intervals = [config[name] for name in ("eval_every", "save_every")]
    return min(last, *(step - step % every + every for every in intervals))


def log(model, run, writers, progress, first, losses):
    """Record the losses of the steps first + 1, first + 2, ... that are due."""
    config = model.config
    steps = enumerate(losses.tolist(), start=first + 1)
    due = {step: loss for step, loss in steps if is_due(step, config["log_every"], config)}
    speed = progress.report(model.step, float(losses[-1]), due)
    about = {"examples_per_second": round(speed)}
    run.record("train", {step: {"loss": loss} | about for step, loss in due.items()})
    writers.add_scalars("train", {step: {"loss": loss} for step, loss in due.items()})


def evaluate(model, run, writers):
    """Record loss and metrics on the whole of valid, and how the variables look now."""
    values = model.evaluate("valid")
    run.record("valid", {model.step: values})
    writers.add_scalars("valid", {model.step: values})
    writers.add_variables(model.step, model.session.run({v.op.name: v for v in model.variables}))
    if model.summary is not None:
        pictured = fed(model.batch, {n: array[:10] for n, array in model.load("valid").items()})
        writers.add("train", model.step, model.session.run(model.summary, pictured))
    return values


def best_so_far(model, run, checkpoints):
    """The best record on valid up to here; best.json says the same. None before the first."""
    best = None
    for record in run.records("valid"):
        if better(model, record, best):
            best = record
    if best:
        checkpoints.set_best(best["step"], values_of(best))
    else:
        checkpoints.forget_best()
    return best


def values_of(record):
    """Loss and metrics of a line of metrics.jsonl."""
    return {name: value for name, value in record.items() if name not in ("step", "split")}


def valid_at_the_end(model, run, writers):
    """What valid gave at this last step, which an earlier process may have trained."""
    for record in run.records("valid"):
        if record["step"] == model.step:
            return values_of(record)
    return evaluate(model, run, writers)


def better(model, values, best):
    """Whether an evaluation on valid is the best so far; one that is not finite never is."""
    name, direction = model.objective
    value = values.get(name)
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    return best is None or (value > best[name] if direction == "max" else value < best[name])


def save(model, run, writers, checkpoints, background, new_best=None):
    """Save a checkpoint: its files are written now, the disk is waited for in the background."""
    background.wait()
    if checkpoints.last_step() != model.step:
        weights = model.save(checkpoints)
        background.start(commit, model.step, weights, run, writers, checkpoints, new_best)


def commit(step, weights, run, writers, checkpoints, new_best):
    """Make a checkpoint count, once all that was recorded up to its step is on the disk."""
    run.sync_metrics()
    writers.sync()
    checkpoints.commit(step, weights)
    run.set_status("running", step)
    if new_best:
        checkpoints.set_best(step, new_best)
    checkpoints.rotate()


def finish(model, run, stop, result, final):
    """End a run: the test split once it is complete, the model's own report, the status."""
    result |= {"step": model.step, "result_dir": str(run)}
    if result["status"] == "diverged":
        details = {k: v for k, v in result.items() if k not in ("status", "valid", "test")}
        reason = f"not finite at step {result['bad_step']}: loss {result['loss']}"
        run.set_status("diverged", model.step, reason=reason, details=details)
    elif stop.received:
        result |= {"status": "interrupted", "signal": stop.received}
        run.set_status("interrupted", model.step, reason=f"signal {stop.received}")
    elif model.step < model.config["max_iter"]:
        result |= {"status": "interrupted"}
        run.set_status("interrupted", model.step, reason=f"paused at step {model.step}")
    else:
        result |= {"status": "complete"}
        if final:
            result |= {"test": test(model, run)}
            for line in model.report(run.path):
                print(line)
        run.set_status("complete", model.step)
    return result


def test(model, run):
    """Evaluate the test split; recorded once for each step. Returns {name: float}."""
    values = model.evaluate("test")
    if all(record["step"] != model.step for record in run.records("test")):
        run.record("test", {model.step: values})
        run.sync_metrics()
    return values
