"""Where results go: one folder for each run, created or checked before anything is written."""

import secrets
import time
from pathlib import Path

from training.files import PROJECT, make_folder, sync

RESULTS = PROJECT / "results"


def run_folder(config) -> Path:
    """The folder of result_dir, created if needed, or a new one below results/."""
    asked = config["result_dir"]
    check_path(Path(asked or RESULTS).absolute())
    return claim(Path(asked)) if asked else new_folder(config["model_name"])


def check_path(path: Path) -> None:
    """ValueError for a path at which TensorFlow would not find its checkpoints."""
    if "[" in str(path) or "\\" in path.as_posix():
        raise ValueError(f"{path}: TensorFlow cannot read from a folder with [ or \\ in its path")


def claim(path):
    """Create the folder that was asked for; FileExistsError if it holds anything but a run."""
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"--result_dir={path} is a file; name a folder")
    make_folder(path)
    if (path / "search.json").exists():
        raise FileExistsError(
            f"--result_dir={path} holds a search; run its own command again to resume it"
        )
    expected = (".lock", "train.log", "config.json.tmp")
    foreign = sorted(p.name for p in path.iterdir() if p.name not in expected)
    if foreign and not (path / "config.json").exists():
        raise FileExistsError(
            f"--result_dir={path} holds {foreign[0]} but no run; name a new folder or a run's"
        )
    return path


def new_folder(model_name):
    """Create results/<model>/<UTC time>-<suffix>, which no other start can have."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = RESULTS / model_name
    make_folder(folder)
    while True:
        path = folder / f"{stamp}-{secrets.token_hex(3)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        sync(folder)
        return path
