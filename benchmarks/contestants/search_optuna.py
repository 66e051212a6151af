"""Optuna: TPE with its Hyperband pruner, two processes on one journal, as its guide has it.

It prunes while a trial trains, and never pauses one.
"""

import json
import subprocess
import sys
import tempfile

import contest
import keras
import optuna
import search_space as space
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

TRIALS = 17  # as many as Hyperband's brackets begin with: 9 + 5 + 3


class Report(keras.callbacks.Callback):
    """Tell Optuna of every epoch; end the trial if it says so."""

    def __init__(self, trial):
        super().__init__()
        self.trial = trial

    def on_epoch_end(self, epoch, logs):
        self.trial.report(logs["val_accuracy"], epoch + 1)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def work(options, folder, seed):
    """Run trials until there are enough of them."""
    images, labels = contest.load(options.data, "train")
    valid_images, valid_labels = contest.load(options.data, "valid")
    images, valid_images = contest.as_floats(images), contest.as_floats(valid_images)

    def objective(trial):
        model = space.build(
            2 ** trial.suggest_int("log2 of hidden1", *space.POWERS),
            2 ** trial.suggest_int("log2 of hidden2", *space.POWERS),
            trial.suggest_float("lr", *space.RATES, log=True),
            trial.suggest_categorical("optimizer", list(space.OPTIMIZERS)),
            options.as_it_comes,
        )
        history = model.fit(
            images,
            labels,
            batch_size=contest.BATCH_SIZE,
            epochs=space.MAX_EPOCHS,
            validation_data=(valid_images, valid_labels),
            callbacks=[Report(trial)],
            verbose=0,
        )
        keras.backend.clear_session()
        return max(history.history["val_accuracy"])

    study = study_in(folder, seed)
    enough = optuna.study.MaxTrialsCallback(TRIALS, states=None)
    study.optimize(objective, callbacks=[enough])


def study_in(folder, seed):
    pruner = optuna.pruners.HyperbandPruner(1, space.MAX_EPOCHS, space.ETA)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(f"{folder}/journal")),
        study_name="digits",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=pruner,
        direction="maximize",
        load_if_exists=True,
    )


def main():
    options = contest.arguments("worker", "as_it_comes")
    if options.worker:
        work(options, options.project, 2 * options.seed + 1)
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        study = study_in(folder, 2 * options.seed)
        command = [sys.executable, *sys.argv, "--worker", f"--project={folder}"]
        other = subprocess.Popen(command)
        work(options, folder, 2 * options.seed)
        other.wait()
        trials = study.trials
    epochs = sum(len(trial.intermediate_values) for trial in trials)
    best = max(value for trial in trials for value in trial.intermediate_values.values())
    print(json.dumps({"epochs": epochs, "score": best, "trials": len(trials)}))


if __name__ == "__main__":
    main()
