"""Ray Tune: ASHA, which promotes without waiting, with configurations at random; two at a time."""

import tempfile

import search_space as space
from ray import tune
from ray.tune.search import BasicVariantGenerator


def train(config, options):
    import keras  # not in the process that only schedules

    data, valid = (tuple(space.load(options, split)) for split in ("train", "valid"))
    model = space.build(options.problem, **config)

    def report(epoch, score):
        tune.report({"accuracy": score, "epoch": epoch})

    space.fit(model, data, valid, report, epochs=space.PROBLEMS[options.problem].epochs)
    keras.backend.clear_session()


class Told(tune.Callback):
    """Tells the referee, since what a trial prints is buffered on its way."""

    def on_trial_result(self, iteration, trials, trial, result, **info):
        space.tell(result["accuracy"])


def main():
    options = space.arguments()
    problem = space.PROBLEMS[options.problem]
    widths = [2**power for power in range(space.POWERS[0], space.POWERS[1] + 1)]
    tune.Tuner(
        tune.with_parameters(train, options=options),
        param_space={
            "hidden1": tune.choice(widths),
            "hidden2": tune.choice(widths),
            "lr": tune.loguniform(*space.RATES),
            "optimizer": tune.choice(space.OPTIMIZERS),
        },
        tune_config=tune.TuneConfig(
            metric="accuracy",
            mode="max",
            num_samples=space.MOST,
            reuse_actors=True,  # a process that has imported TensorFlow runs the next trial
            search_alg=BasicVariantGenerator(max_concurrent=2, random_state=options.seed),
            scheduler=tune.schedulers.ASHAScheduler(
                time_attr="epoch",
                grace_period=problem.first,
                max_t=problem.epochs,
                reduction_factor=space.ETA,
            ),
        ),
        run_config=tune.RunConfig(callbacks=[Told()], verbose=0, storage_path=tempfile.mkdtemp()),
    ).fit()


if __name__ == "__main__":
    main()
