"""Train a run again and compare every recorded step, bit for bit.

The run's folder is read, and nothing is written anywhere.
"""

from pathlib import Path
from typing import NamedTuple

from training import device
from training.checkpoints import Checkpoints
from training.digests import digests
from training.divergence import Diverged
from training.files import PROJECT, sha256
from training.loop import advance
from training.progress import Progress
from training.provenance import Provenance, as_dict, environment, fingerprint, read_provenance


class Verdict(NamedTuple):
    """equal: whether every recorded digest was reproduced; lines: what to tell a person."""

    equal: bool
    lines: list[str]


def verify(model) -> Verdict:
    """Train a model along the checkpoints of its result_dir."""
    path = Path(model.config["result_dir"])
    checkpoints = Checkpoints(path, model.config)
    if not checkpoints.records:
        raise FileNotFoundError(f"--verify: {path} has no recorded step yet; train first")
    recorded = read_provenance(path)
    model.prepare_steps()
    first, last, count = checkpoints.records[0], checkpoints.records[-1], len(checkpoints.records)
    model.init()
    if recorded["parent"]:  # a branch keeps the checkpoint from which it started
        checkpoints.load(model, checkpoints.find(first["step"]))
    with Progress(model.step, last["step"], model.config["batch_size"]) as progress:
        for number, record in enumerate(checkpoints.records):
            problem = difference(model, record, progress)
            if problem:
                before = f"bit-identical at {number} of {count} recorded steps, then {problem}"
                return Verdict(False, [before, *likely_causes(model, recorded)])
    lines = [f"bit-identical at {count} of {count} recorded steps"]
    damages = list(filter(None, map(checkpoints.damage, checkpoints.kept)))
    return Verdict(not damages, [*lines, *(f"but {damage}" for damage in damages)])


def difference(model, record, progress):
    """Train up to a recorded step. Returns what differs there; "" if nothing does."""
    step = record["step"]
    try:
        for losses in advance(model, step):
            progress.report(model.step, float(losses[-1]), {})
    except Diverged:
        return f"not finite at step {model.step}, before the recorded step {step}"
    found = digests(model.weights())
    if found["weights_sha256"] == record["weights_sha256"]:
        return ""
    now, then = found["variables"], as_dict(record.get("variables"))
    changed = [name for name in sorted(now) if now[name] != then.get(name)]
    return f"different at step {step}, first in {changed[0] if changed else 'no variable'}"


def likely_causes(model, recorded: Provenance) -> list[str]:
    """Lines that say what has changed since the run was recorded, the likeliest cause first."""
    starts = [recorded["environment"]]
    starts += [recorded["environment"] | changes for changes in recorded["resumed"]]
    whens = ["when it was started", *(f"at its start {n}" for n in range(2, len(starts) + 1))]
    causes = [
        f"  code: {path} is not what it was {when}"
        for start, when in zip(starts, whens, strict=True)
        for path in changed_files(as_dict(start.get("sources")))
    ]
    gpus = device.gpus(model.config)
    now = fingerprint(environment(model.graph_sha256, gpus), model.data_checksum)
    thens = [fingerprint(start, recorded["data_checksum"]) for start in starts]
    for name in dict.fromkeys(name for about in (now, *thens) for name in about):
        for then, when in zip(thens, whens, strict=True):
            if then.get(name) != now.get(name):
                causes.append(f"  {name}: {then.get(name)} {when}, {now.get(name)} now")
                break
    if gpus and not model.config["deterministic"]:
        causes.insert(0, "  the GPU, on which runs repeat with --deterministic only")
    if model.step == 0:
        causes.insert(0, "  random_seed in config.json, or the code of the initial weights")
    causes = causes or ["  nothing on record: was a file or a package changed by hand?"]
    return ["Likely causes, the likeliest first:", *causes]


def changed_files(sources):
    """Those of the recorded source files that have other content now, or are missing."""
    return [
        path
        for path, about in sources.items()
        if sha256(PROJECT / path) != as_dict(about).get("sha256")
    ]
