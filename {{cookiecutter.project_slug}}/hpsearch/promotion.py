"""The winner of a search becomes the --best of its model, unless it is worse than what is there."""

import math
from typing import Any

from settings import ConfigError
from training.files import PROJECT, expanded, read_json, write_json
from training.messages import as_flags, format_value, format_values, main_command
from training.provenance import read_provenance

# Of the settings of a search, kept with its winner.
PROVENANCE = ("search", "sampler", "search_seed", "max_iter", "fixed_params", "ranges", "run")


def promote(path: str, force: bool) -> int:
    """Write the winner of a search to the file that --best reads. Returns the exit status.

    Prints what is there and what comes, each with its score, steps and seeds. ConfigError if it
    would become worse, unless it is forced.
    """
    path = expanded(path)
    if not (path / "search.json").exists():
        raise FileNotFoundError(f"--result_dir={path} holds no search")
    if not (path / "best.json").exists():
        raise FileNotFoundError(f"{path} has no best trial yet; let the search finish first")
    best = read_json(path / "best.json")
    settings = best["settings"]
    if settings != read_json(path / "search.json"):
        raise FileNotFoundError(f"{path} was extended and has no best trial of the longer search "
                                "yet; let it finish first")  # fmt: skip
    trial = path / best["run"]
    origin = {
        "folder": path.name,
        "trial": best["trial"],
        "weights_sha256": best["weights_sha256"],
        "data_checksum": read_provenance(trial)["data_checksum"] if trial.exists() else None,
    } | {name: settings[name] for name in PROVENANCE}
    content = {"config": best["hyperparameters"]}
    content |= {name: best[name] for name in ("valid", "spread", "seeds")} | {"from": origin}
    target = PROJECT / "models" / "best" / f"{settings['model_name']}.json"
    before = read_json(target) if target.exists() else None
    objective = settings["objective"]
    print(f"Now:    {described(before, objective)}")
    print(f"Winner: {described(content, objective)}")
    reason = worse(before, content, objective) if before else None
    if reason and not force:
        raise ConfigError(
            f"{reason}: {target.relative_to(PROJECT)} stays as it is; search with more steps or "
            "other ranges, or replace it with --force"
        )
    target.parent.mkdir(exist_ok=True)
    write_json(target, content)
    print(f"{target.relative_to(PROJECT)} has the winner")
    # With the search's own flags, but for what only suits many short trials beside each other.
    left_out = {("threads", settings["run"].get("threads")), ("jit", "short")}
    run = {name: value for name, value in settings["run"].items() if (name, value) not in left_out}
    flags = as_flags({"model_name": settings["model_name"], "best": True} | run)
    print(f"Next: {main_command()} {flags}")
    return 0


def described(content: dict[str, Any] | None, objective: list[str]) -> str:
    """What a file of models/best/ holds: "accuracy = 0.98 ± 0.001 (11,000 steps, 3 seeds); ..."."""
    if content is None:
        return "nothing"
    return f"{score_text(content, objective)}; {format_values(content['config'])}"


def score_text(content: dict[str, Any], objective: list[str]) -> str:
    """The score of such a file, with what it took."""
    score = content.get("valid", {}).get(objective[0])
    spread = content.get("spread")  # a file may be written by hand
    text = f"{objective[0]} = {'unknown' if score is None else format_value(score)}"
    text += "" if spread is None else f" ± {spread:.2g}"
    run, seeds = from_run(content), content.get("seeds", 1)
    taken = [f"{run['max_iter']:,} steps"] if "max_iter" in run else []
    taken += [f"{seeds} seeds" if seeds > 1 else "1 seed"]
    taken += ["fake data"] if fake(content) else []
    return f"{text} ({', '.join(taken)})"


def worse(before: dict, content: dict, objective: list[str]) -> str | None:
    """Why a winner should not replace what is there; None if it may."""
    name, direction = objective
    old, new = before.get("valid", {}).get(name), content["valid"][name]
    if fake(content) and not fake(before):
        return "the search was on --fake_data, what is there was not"
    if fake(before) and not fake(content):
        return None
    # On another processor the same training ends with other last digits.
    if old is None or math.isclose(new, old, rel_tol=1e-5):
        return None
    if new > old if direction == "max" else new < old:
        return None
    return f"{score_text(content, objective)} is worse than {score_text(before, objective)}"


def from_run(content: dict) -> dict:
    """Where such a file comes from; {} if it is told in words."""
    return content["from"] if isinstance(content.get("from"), dict) else {}


def fake(content: dict) -> bool:
    """Whether such a file comes from a search on --fake_data."""
    return bool(from_run(content).get("run", {}).get("fake_data"))
