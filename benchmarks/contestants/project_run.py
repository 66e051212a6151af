"""This project's `model.train()` with all its defaults, in a run folder of its own.

Everything happens once in 1,000 steps: one evaluation with summaries, one checkpoint, ten records.
So whole periods of 1,000 steps are timed, from the moment when all that is due at step 1,000 is
done: the time holds every record, evaluation and checkpoint and neither import nor compilation.
(To subtract a short run from a long one would measure the noise of two compilations.)
"""

import sys

import contest

PERIOD = 1000


def main():
    options = contest.arguments()
    sys.path.insert(0, str(options.project))
    from models import make_model

    periods = -(-options.epochs * contest.STEPS_PER_EPOCH // PERIOD)
    period_ends = contest.Clock(PERIOD)
    config = {"model_name": "MNIST", "lr": contest.LEARNING_RATE, "threads": options.threads}
    config |= {"batch_size": contest.BATCH_SIZE, "random_seed": 0}
    config |= {"max_iter": (1 + periods) * PERIOD + 1}  # one more, to enter the loop once more
    with make_model(config) as model:
        learn = model.learn_from_epoch

        def timed_learn(stop):
            if model.step and model.step % PERIOD == 0:
                period_ends()
            return learn(stop)

        model.learn_from_epoch = timed_learn
        result = model.train()
    period_ends.report(result["test"]["accuracy"])


if __name__ == "__main__":
    main()
