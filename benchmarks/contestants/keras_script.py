"""A plain Keras program that does what `python main.py --model_name=MNIST` does, start to exit.

An epoch ends with an evaluation on valid, a checkpoint and TensorBoard logs; the test split comes
last. It is timed as a whole process.
"""

import tempfile
from pathlib import Path

import contest
import keras
from keras_fit import network


def main():
    options = contest.arguments()
    images, labels = contest.load(options.data, "train")
    valid_images, valid_labels = contest.load(options.data, "valid")
    test_images, test_labels = contest.load(options.data, "test")

    model = keras.Sequential([keras.Input([784]), *network()])
    model.compile(
        optimizer=keras.optimizers.SGD(contest.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = str(Path(folder, "epoch-{epoch}.keras"))
        model.fit(
            contest.as_floats(images),
            labels,
            batch_size=contest.BATCH_SIZE,
            epochs=options.epochs,
            verbose=2,
            validation_data=(contest.as_floats(valid_images), valid_labels),
            callbacks=[
                keras.callbacks.ModelCheckpoint(checkpoints),
                keras.callbacks.TensorBoard(str(Path(folder, "logs"))),
            ],
        )
        loss, accuracy = model.evaluate(contest.as_floats(test_images), test_labels, verbose=0)
    print(f"test: loss = {loss:.4g}, accuracy = {accuracy:.4g}")


if __name__ == "__main__":
    main()
