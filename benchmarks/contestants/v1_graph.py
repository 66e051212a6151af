"""The network as TensorFlow 1's tutorials write it, for feed_dict.py and tf_data.py."""

import contest
import tensorflow as tf

v1 = tf.compat.v1


def network(images, labels):
    """Build it on float32 [batch, 784] and int32 [batch]. Returns (train op, accuracy)."""
    outputs = images
    for i, units in enumerate(contest.LAYERS[1:]):
        fan_in = contest.LAYERS[i]
        with v1.variable_scope(f"layer{i}"):
            initializer = v1.truncated_normal_initializer(stddev=fan_in**-0.5)
            weights = v1.get_variable("weights", [fan_in, units], initializer=initializer)
            biases = v1.get_variable("biases", [units], initializer=v1.zeros_initializer())
        outputs = tf.matmul(outputs, weights) + biases
        if units != contest.LAYERS[-1]:
            outputs = tf.nn.relu(outputs)
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=outputs)
    )
    train_op = v1.train.GradientDescentOptimizer(contest.LEARNING_RATE).minimize(loss)
    correct = tf.math.in_top_k(labels, outputs, 1)
    return train_op, tf.reduce_mean(tf.cast(correct, tf.float32))


def session(threads):
    config = v1.ConfigProto(
        intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
    )
    return v1.Session(config=config)
