"""KerasTuner's Hyperband, which goes on with a trial's checkpoint. One process, as it comes.

Its own way to several processes needs a chief and tuners as services on ports; on few cores they
share what one has.
"""

import functools
import json
import tempfile

import contest
import keras_tuner
import search_space as space


def build(hp, as_it_comes):
    widths = {"min_value": space.WIDTHS[0], "max_value": space.WIDTHS[1], "sampling": "log"}
    widths["step"] = 2  # powers of two
    rates = {"min_value": space.RATES[0], "max_value": space.RATES[1], "sampling": "log"}
    return space.build(
        hp.Int("hidden1", **widths),
        hp.Int("hidden2", **widths),
        hp.Float("lr", **rates),
        hp.Choice("optimizer", list(space.OPTIMIZERS)),
        as_it_comes,
    )


def main():
    options = contest.arguments("as_it_comes")
    images, labels = contest.load(options.data, "train")
    valid_images, valid_labels = contest.load(options.data, "valid")
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.Hyperband(
            functools.partial(build, as_it_comes=options.as_it_comes),
            objective="val_accuracy",
            max_epochs=space.MAX_EPOCHS,
            factor=space.ETA,
            seed=options.seed,
            directory=folder,
        )
        tuner.search(
            contest.as_floats(images),
            labels,
            batch_size=contest.BATCH_SIZE,
            validation_data=(contest.as_floats(valid_images), valid_labels),
            verbose=0,
        )
        trials = tuner.oracle.trials.values()
        values = [t.hyperparameters.values for t in trials]
        epochs = sum(v["tuner/epochs"] - v["tuner/initial_epoch"] for v in values)
        best = max(trial.score for trial in trials if trial.score is not None)
    print(json.dumps({"epochs": epochs, "score": best, "trials": len(values)}))


if __name__ == "__main__":
    main()
