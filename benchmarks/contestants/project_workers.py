"""This project's bare loop on the workers of TF_CONFIG; see cluster.py. Without it, one process."""

import sys

import contest


def main():
    options = contest.arguments()
    sys.path.insert(0, str(options.project))
    from models import make_model
    from training import loop, workers

    config = {"model_name": "MNIST", "lr": contest.LEARNING_RATE, "threads": options.threads}
    config |= {"batch_size": contest.BATCH_SIZE, "random_seed": 0, "max_iter": 10**6}
    epoch_ends, sent = contest.Clock(), contest.Sent()
    with make_model(config) as model:
        if model.place:
            workers.follow(model)
            return
        with workers.meeting(model):
            for epoch in range(1 + options.epochs):
                for _ in loop.advance(model, (1 + epoch) * contest.STEPS_PER_EPOCH):
                    pass
                epoch_ends()
                sent()
            accuracy = model.evaluate("test")["accuracy"]
            workers.end(model, {})
    epoch_ends.report(accuracy, bytes_per_step=sent.per_step())


if __name__ == "__main__":
    main()
