"""This project's loop alone: no records, no evaluation, no checkpoints."""

import sys

import contest


def main():
    options = contest.arguments()
    sys.path.insert(0, str(options.project))
    from models import make_model
    from training.loop import advance

    config = {"model_name": "MNIST", "lr": contest.LEARNING_RATE, "threads": options.threads}
    epoch_ends = contest.Clock()
    with make_model(config | {"batch_size": contest.BATCH_SIZE, "random_seed": 0}) as model:
        model.prepare_steps()
        for epoch in range(1, 2 + options.epochs):
            for _ in advance(model, epoch * contest.STEPS_PER_EPOCH):
                pass
            epoch_ends()
        epoch_ends.report(model.evaluate("test")["accuracy"])


if __name__ == "__main__":
    main()
