"""To train a run and to read what it left: used by the tests of run folders."""

import json

from models import make_model
from training.files import read_jsonl
from training.metrics import RATES


def train(config, **options):
    with make_model(config) as model:
        return model.train(**options)


def read(folder, name):
    return json.loads((folder / name).read_text())


def lines(path):
    return read_jsonl(path, {"step": int})


def digests(folder):
    """{step: weights_sha256} as recorded."""
    records = lines(folder / "checkpoints" / "checkpoints.jsonl")
    found = {record["step"]: record["weights_sha256"] for record in records}
    assert len(found) == len(records), "a step is recorded twice"
    return found


def metrics(folder):
    """The records but for times."""
    records = lines(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k not in RATES} for r in records]


def curves(folder):
    """What TensorBoard draws, but for times: {(split, tag): [(step, value), ...]}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for split in ("train", "valid"):
        events = EventAccumulator(str(folder / split), {"scalars": 0})
        events.Reload()
        for tag in set(events.Tags()["scalars"]) - {f"training/{n}" for n in RATES}:
            found[split, tag] = [(point.step, point.value) for point in events.Scalars(tag)]
    return found


def kept(folder):
    return sorted(int(p.stem.split("-")[1]) for p in folder.glob("checkpoints/*.index"))
