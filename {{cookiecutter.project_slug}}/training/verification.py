"""Whether a run is what its settings make: train it again and compare every recorded step.

The run's folder is read, and nothing is written anywhere.
"""

from pathlib import Path

from training.checkpoints import Checkpoints, variable_digests, weights_sha256
from training.divergence import Diverged
from training.environment import environment
from training.files import PROJECT, sha256
from training.progress import Progress
from training.run_folder import recorded_start


def verify(model):
    """Train a model along the checkpoints of its result_dir.

    Returns {"equal": whether all recorded digests were met, "lines": what a person wants to know}.
    """
    path = Path(model.config["result_dir"])
    checkpoints = Checkpoints(path, model.config)
    if not checkpoints.records:
        raise FileNotFoundError(f"--verify: {path} has no recorded step yet; train first")
    recorded = recorded_start(path)
    model.prepare_steps()
    last = checkpoints.records[-1]
    if recorded["parent"]:  # it started from another run, in a checkpoint that it keeps
        model.load_checkpoint(checkpoints, checkpoints.find(recorded["parent"].get("step")))
    count = len(checkpoints.records)
    with Progress(model.step, last["step"], model.config["batch_size"]) as progress:
        for number, record in enumerate(checkpoints.records):
            problem = difference(model, record, progress)
            if problem:
                before = f"bit-identical at {number} of {count} recorded steps, then {problem}"
                return {"equal": False, "lines": [before, *likely_causes(model, recorded)]}
    lines = [f"bit-identical at {count} of {count} recorded steps"]
    damages = list(filter(None, map(checkpoints.damage, checkpoints.kept)))
    return {"equal": not damages, "lines": [*lines, *(f"but {damage}" for damage in damages)]}


def difference(model, record, progress):
    """Train up to a recorded step. Returns what differs there, in words; "" if nothing does."""
    step = record["step"]
    try:
        while model.step < step:
            losses = model.learn_from_epoch(step)
            progress.report(model.step, float(losses[-1]), {})
    except Diverged:
        return f"not finite at step {model.step}, before the recorded step {step}"
    weights = model.weights()
    if weights_sha256(weights) == record["weights_sha256"]:
        return ""
    now, then = variable_digests(weights), table(record.get("variables"))
    changed = [name for name in sorted(now) if now[name] != then.get(name)]
    return f"different at step {step}, first in {changed[0] if changed else 'no variable'}"


def likely_causes(model, recorded):
    """Lines with what is not as it was when the run was recorded, the likeliest cause first."""
    now = facts(environment(), model.data_checksum())
    starts = [recorded["environment"]]
    starts += [recorded["environment"] | changes for changes in recorded["resumed"]]
    whens = ["when it was started", *(f"at its start {n}" for n in range(2, len(starts) + 1))]
    causes = [
        f"  code: {path} is not what it was {when}"
        for start, when in zip(starts, whens, strict=True)
        for path in changed_files(table(start.get("sources")))
    ]
    thens = [facts(start, recorded["data_checksum"]) for start in starts]
    for name in dict.fromkeys(name for about in (now, *thens) for name in about):
        for then, when in zip(thens, whens, strict=True):
            if then.get(name) != now.get(name):
                causes.append(f"  {name}: {then.get(name)} {when}, {now.get(name)} now")
                break
    if model.step == 0:
        causes.insert(0, "  random_seed in config.json, or the code of the initial weights")
    causes = causes or ["  nothing on record: was a file or a package changed by hand?"]
    return ["Likely causes, the likeliest first:", *causes]


def table(value):
    """A dictionary that was read from a file; {} for anything else."""
    return value if isinstance(value, dict) else {}


def changed_files(sources):
    """Which files of a record of source files are others now, or gone."""
    return [
        path
        for path, about in sources.items()
        if sha256(PROJECT / path) != table(about).get("sha256")
    ]


def facts(about, checksum):
    """What decides over the bits of a run, the likeliest cause of a difference first."""
    versions, processor, variables = (
        table(about.get(name)) for name in ("versions", "processor", "variables")
    )
    caches = (f"{name} {size}" for name, size in table(processor.get("caches")).items())
    return {
        "training data": checksum,
        **{name: versions.get(name) for name in ("tensorflow", "keras", "numpy")},
        "processor": processor.get("model"),
        "processor's caches": ", ".join(caches) or None,
        "processor's features": " ".join(map(str, list(processor.get("features") or []))),
        **variables,
    }
