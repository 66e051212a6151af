"""Optuna: TPE with its Hyperband pruner, two processes on one journal, as its guide has it.

It prunes while a trial trains, and never pauses one.
"""

import subprocess
import sys
import tempfile

import keras
import optuna
import search_space as space
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def work(options, folder, seed):
    """Run trials."""
    data, valid = (tuple(space.load(options, split)) for split in ("train", "valid"))
    problem = space.PROBLEMS[options.problem]

    def objective(trial):
        model = space.build(
            options.problem,
            2 ** trial.suggest_int("log2 of hidden1", *space.POWERS),
            2 ** trial.suggest_int("log2 of hidden2", *space.POWERS),
            trial.suggest_float("lr", *space.RATES, log=True),
            trial.suggest_categorical("optimizer", space.OPTIMIZERS),
        )

        def prune(epoch, score):
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        history = space.fit(model, data, valid, prune, epochs=problem.epochs)
        keras.backend.clear_session()
        return max(history.history["val_accuracy"])

    study_in(folder, seed, problem).optimize(objective, n_trials=space.MOST)


def study_in(folder, seed, problem):
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(f"{folder}/journal")),
        study_name="search",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(problem.first, problem.epochs, space.ETA),
        direction="maximize",
        load_if_exists=True,
    )


def main():
    options = space.arguments("worker")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.worker:
        work(options, options.project, 2 * options.seed + 1)
        return
    with tempfile.TemporaryDirectory() as folder:
        study_in(folder, 2 * options.seed, space.PROBLEMS[options.problem])
        subprocess.Popen([sys.executable, *sys.argv, "--worker", f"--project={folder}"])
        work(options, folder, 2 * options.seed)


if __name__ == "__main__":
    main()
