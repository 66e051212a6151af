"""KerasTuner's Hyperband, which goes on with a trial's checkpoint. One process, as it comes.

Its own way to several processes needs a chief and tuners as services on ports; on few cores they
share what one has.
"""

import tempfile

import keras_tuner
import search_space as space


class Network(keras_tuner.HyperModel):
    """The network of one trial."""

    def __init__(self, options):
        super().__init__()
        self.options, self.problem = options, space.PROBLEMS[options.problem]
        self.data, self.valid = (tuple(space.load(options, split)) for split in ("train", "valid"))

    def build(self, hp):
        widths = {
            "min_value": space.WIDTHS[0],
            "max_value": space.WIDTHS[1],
            "sampling": "log",
            "step": 2,
        }
        rates = {"min_value": space.RATES[0], "max_value": space.RATES[1], "sampling": "log"}
        return space.build(
            self.options.problem,
            hp.Int("hidden1", **widths),
            hp.Int("hidden2", **widths),
            hp.Float("lr", **rates),
            hp.Choice("optimizer", space.OPTIMIZERS),
        )

    def fit(self, hp, model, **given):
        for name in ("epochs", "initial_epoch"):  # the tuner counts in first rungs
            given[name] *= self.problem.first
        return space.fit(model, self.data, self.valid, lambda epoch, score: None, **given)


def main():
    options = space.arguments()
    problem = space.PROBLEMS[options.problem]
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.Hyperband(
            Network(options),
            objective="val_accuracy",
            max_epochs=problem.epochs // problem.first,
            factor=space.ETA,
            hyperband_iterations=space.MOST,
            seed=options.seed,
            directory=folder,
        )
        tuner.search()


if __name__ == "__main__":
    main()
