"""Run folders that no model has trained, for the tests of --compare."""

import json
import os


def make_run(folder, at=100, status="complete", valid=0.5, **settings):
    """Write the files of a run of LinearRegression that compare reads."""
    config = {"model_name": "LinearRegression", "lr": 0.1, "random_seed": 0, "log_every": 10}
    (folder / "checkpoints").mkdir(parents=True)
    write(folder / "config.json", {"config": config | settings, "environment": {}, "resumed": []})
    write(folder / "status.json", {"status": status, "step": at, "seconds": 61.5})
    write(folder / "checkpoints" / "best.json", {"step": at, "valid": {"loss": valid}})
    records = [{"step": at, "split": split, "loss": valid} for split in ("train", "valid")]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return folder


def write(file, content):
    file.write_text(json.dumps(content, indent=2) + "\n")


def names(runs):
    return [os.path.basename(run["folder"]) for run in runs]
