"""How much each hyper-parameter mattered: PED-ANOVA (Watanabe et al., IJCAI 2023), by Optuna.

It asks how much the best tenth of the trials differs from all of them in each hyper-parameter.
"""

from typing import Any, NamedTuple

from hpsearch.display import varying
from hpsearch.ledger import Ledger
from hpsearch.randomsearch import searched_table

ENOUGH, MOST = 10, 1000  # trials: with fewer it means nothing, with more it takes long


class Importance(NamedTuple):
    """shares: {hyper-parameter: its part of 1}, the largest first; of so many trials at a step."""

    shares: dict[str, float]
    trials: int
    until: int

    def about(self) -> str:
        """What the shares are of."""
        return f"PED-ANOVA of {self.trials} trials at step {self.until:,}"


def importance(model_class, settings: dict, ledger: Ledger) -> Importance | None:
    """The importance of what was searched, at the last step that enough trials have reached.

    None if there is no such step, or fewer than two hyper-parameters to compare.
    """
    for until in sorted({until for _, until, _ in ledger.records}, reverse=True):
        ranked = ledger.ranked(until)
        if len(ranked) >= ENOUGH:
            first = sorted(ranked, key=lambda record: record["trial"])[:MOST]
            values = [(record["hyperparameters"], record["score"]) for record in first]
            return of_trials(model_class, settings, values, until)
    return None


def of_trials(
    model_class, settings: dict, values: list[tuple[dict[str, Any], float]], until: int
) -> Importance | None:
    """The same, of [(hyper-parameters, score)] at one step."""
    import optuna  # takes a second

    from hpsearch import tpe

    table = searched_table(model_class, settings["ranges"])
    direction = {"max": "maximize", "min": "minimize"}[settings["objective"][1]]
    study = optuna.create_study(direction=direction)
    for config, score in values:
        if found := tpe.as_drawn(table, settings["fixed_params"], config):
            about = dict(zip(("params", "distributions"), found, strict=True))
            study.add_trial(optuna.trial.create_trial(value=score, **about))
    params = [trial.params for trial in study.get_trials(deepcopy=False)]
    if len(params) < ENOUGH:
        return None
    names = [name for name in varying(params) if all(name in own for own in params)]
    if len(names) < 2:
        return None
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    return Importance(shares, len(params), until)
