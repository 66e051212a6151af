"""metrics.jsonl of a run: one line per record, with step, split, loss and the model's metrics.

split   train: the loss of a training step on its own batch, every --log_every steps
        train_sample, valid: loss and metrics of an evaluation, every --eval_every steps
        test: loss and metrics at the end, or of --evaluate
"""

import math
from pathlib import Path

from training.files import append_json, read_jsonl, rewrite_jsonl, sync

FIELDS = {"step": int, "split": str}  # of every line
RATES = ("examples_per_second", "input_wait")  # of train: how fast it was, not how good
Values = dict[str, float]  # {"loss": ..., "accuracy": ...}


class Metrics:
    """The records of one run."""

    def __init__(self, run_path: Path):
        self.path = run_path / "metrics.jsonl"

    def add(self, *records: tuple[str, int, Values]) -> None:
        """Add (split, step, {name: value}), ...; a value that is not finite becomes null."""
        lines = []
        for split, step, values in records:
            finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
            lines.append({"step": step, "split": split, **finite})
        append_json(self.path, *lines)

    def records(self, split: str | None = None) -> list[dict]:
        """The lines of one split, or all, in order of time."""
        return [r for r in read_jsonl(self.path, FIELDS) if split in (None, r["split"])]

    def truncate_to(self, step: int) -> None:
        """Drop what was recorded after a step."""
        rewrite_jsonl(self.path, [r for r in self.records() if r["step"] <= step])

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        if self.path.exists():
            sync(self.path)

    def best(self, objective: tuple[str, str], every: int = 1) -> tuple[dict | None, int]:
        """The best record on valid, the first of equals, None before the first; how many follow.

        every: look at multiples of so many steps only. An evaluation between them was the end of a
        run with a lower --max_iter.
        """
        best, later = None, 0
        for record in self.records("valid"):
            if record["step"] % every == 0:
                later += 1
                if is_better(record, best, objective):
                    best, later = record, 0
        return best, later


def why_stalled(metrics: Metrics, config: dict, objective: tuple[str, str]) -> str:
    """Why --patience ends a run, a sentence; "" if it does not. Follows from its records alone."""
    if not config["patience"]:
        return ""
    best, later = metrics.best(objective, config["eval_every"])
    if later < config["patience"]:
        return ""
    at = "none was finite" if best is None else f"the best was at step {best['step']}"
    return f"{later} evaluations without a better {objective[0]} on valid; {at}"


def is_better(values: Values, best: Values | None, objective: tuple[str, str]) -> bool:
    """Whether an evaluation is better than the best; one that is not finite never is."""
    name, direction = objective
    value = values.get(name)
    if not isinstance(value, float) or not math.isfinite(value):
        return False
    return best is None or (value > best[name] if direction == "max" else value < best[name])


def values_of(record: dict) -> Values:
    """Loss and metrics of a record."""
    return {name: value for name, value in record.items() if name not in ("step", "split")}
