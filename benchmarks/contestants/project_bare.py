"""This project's loop alone: no records, no evaluation, no checkpoints."""

import sys

import contest


def main(data="device", prepare=None):
    """prepare: what is done with the model before it trains."""
    options = contest.arguments()
    sys.path.insert(0, str(options.project))
    from models import make_model
    from training.loop import advance

    config = {"model_name": "MNIST", "lr": contest.LEARNING_RATE, "threads": options.threads}
    config["data"] = data
    epoch_ends = contest.Clock()
    with make_model(config | {"batch_size": contest.BATCH_SIZE, "random_seed": 0}) as model:
        model.prepare_steps()
        if prepare:
            prepare(model)
        waited = []
        for epoch in range(1, 2 + options.epochs):
            for _ in advance(model, epoch * contest.STEPS_PER_EPOCH):
                pass
            epoch_ends()
            waited.append(model.feed.waited or 0.0)
        share = (waited[-1] - waited[0]) / (epoch_ends.times[-1] - epoch_ends.times[0])
        epoch_ends.report(model.evaluate("test")["accuracy"], input_wait=share)


if __name__ == "__main__":
    main()
