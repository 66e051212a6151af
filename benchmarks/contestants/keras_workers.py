"""A Keras model in tf.distribute.MultiWorkerMirroredStrategy, on the workers of TF_CONFIG.

Each worker has its share of the examples and of every batch; an epoch is one call of a tf.function.
The loop is TensorFlow's own for custom training: `fit` of Keras 3 cannot read a distributed data
set ("unsupported type PerReplica").
"""

import contest
import tensorflow as tf

options = contest.arguments()
contest.threads_of_tensorflow(tf, options.threads)
strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow

import keras  # noqa: E402
from keras_fit import network  # noqa: E402


def main():
    resolver = strategy.cluster_resolver
    workers = max(1, len(resolver.cluster_spec().as_dict().get("worker", ())))
    index = resolver.task_id or 0
    images, labels = contest.load(options.data, "train")
    images, labels = images[index::workers], labels[index::workers]
    size = contest.BATCH_SIZE // workers

    def batches(_):
        data = tf.data.Dataset.from_tensor_slices((images, labels)).repeat()
        data = data.shuffle(len(labels)).batch(size, drop_remainder=True)
        return data.prefetch(tf.data.AUTOTUNE)

    with strategy.scope():
        inputs = [keras.Input([784], dtype="uint8"), keras.layers.Rescaling(1 / 255)]
        model = keras.Sequential([*inputs, *network()])
        optimizer = keras.optimizers.SGD(contest.LEARNING_RATE)
        optimizer.build(model.trainable_variables)

    def step(batch):
        digits = tf.cast(batch[1], tf.int32)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(digits, model(batch[0]))
            loss = tf.reduce_mean(losses) / workers  # apply_gradients sums over the workers
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    @tf.function
    def epoch(iterator):
        for _ in tf.range(contest.STEPS_PER_EPOCH):
            strategy.run(step, [next(iterator)])

    iterator = iter(strategy.distribute_datasets_from_function(batches))
    epoch_ends, sent = contest.Clock(), contest.Sent()
    for _ in range(1 + options.epochs):
        epoch(iterator)
        epoch_ends()
        sent()
    weights = [variable.numpy() for variable in model.trainable_variables]
    if index == 0:
        images, labels = contest.load(options.data, "test")
        epoch_ends.report(contest.accuracy(weights, images, labels), bytes_per_step=sent.per_step())


if __name__ == "__main__":
    main()
