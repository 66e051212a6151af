"""The classic session loop: the host picks a batch and feeds it, step by step.

Bytes are fed and become floats in the graph; neither floats, nor a shuffled copy of all images in
each epoch, nor `make_callable` was faster.
"""

import contest
import numpy as np
import tensorflow as tf
from v1_graph import network, session, v1


def main():
    options = contest.arguments()
    images, labels = contest.load(options.data, "train")
    v1.disable_eager_execution()
    images_fed = v1.placeholder(tf.uint8, [None, contest.LAYERS[0]])
    labels_fed = v1.placeholder(tf.int32, [None])
    train_op, accuracy = network(tf.cast(images_fed, tf.float32) / 255, labels_fed)

    rng = np.random.default_rng(0)
    epoch_ends = contest.Clock()
    with session(options.threads) as sess:
        sess.run(v1.global_variables_initializer())
        for _ in range(1 + options.epochs):
            for rows in rng.permutation(len(images)).reshape(-1, contest.BATCH_SIZE):
                sess.run(train_op, {images_fed: images[rows], labels_fed: labels[rows]})
            epoch_ends()
        images, labels = contest.load(options.data, "test")
        reached = sess.run(accuracy, {images_fed: images, labels_fed: labels})
    epoch_ends.report(reached)


if __name__ == "__main__":
    main()
