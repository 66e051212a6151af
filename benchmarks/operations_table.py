"""The operations that operations.py times, each with the shapes of a typical layer."""

BATCH_SIZE = 32


def operations(tf):
    """{name: (shape of an example, shapes of weights, function of values and weights)}."""
    n, channel, one, two = tf.nn, [(16,)], [1, 1, 1, 1], [1, 2, 2, 1]

    def conv(strides=1, **options):
        return lambda x, w: n.conv2d(x, w[0], strides, "SAME", **options)

    def scaled(function, *arguments):
        """So that an operation without weights has a gradient, too."""
        return lambda x, w: function(x * w[0], *arguments)

    def norm(axes):
        def normalized(x, w):
            moments = n.moments(x * w[0], axes, keepdims=True)
            return n.batch_normalization(x * w[0], *moments, w[1], w[2], 1e-3)

        return normalized

    def attention(x, w):
        return n.softmax(tf.matmul(x @ w[0], x @ w[1], transpose_b=True)) @ (x @ w[2])

    def lstm(x, w):
        inputs, zeros = tf.transpose(x @ w[0], [1, 0, 2]), tf.zeros([BATCH_SIZE, 64])

        def cell(t, output, memory):
            i, f, o, new = tf.split(inputs[t] + output @ w[1], 4, 1)
            memory = tf.sigmoid(f) * memory + tf.sigmoid(i) * tf.tanh(new)
            return t + 1, tf.sigmoid(o) * tf.tanh(memory), memory

        start = (0, zeros, zeros)
        return tf.while_loop(lambda t, *_: t < 28, cell, start, maximum_iterations=28)[1]

    def rows(x, most):
        """Row numbers from what is nearly normal."""
        return tf.cast(tf.abs(x[:, 0]) * most / 4, tf.int32) % most

    def scatter(x):
        return tf.tensor_scatter_nd_add(tf.zeros([100, 64]), rows(x, 100)[:, None], x)

    def dropout(x):
        return n.experimental.stateless_dropout(x, 0.5, [1, 2], rng_alg="philox")

    def positive(x):
        return tf.matmul(x, x, transpose_b=True) + 10 * tf.eye(16)

    return {
        "dense 256": ([256], [(256, 256)], lambda x, w: n.relu(x @ w[0])),
        "dense 1024": ([1024], [(1024, 1024)], lambda x, w: n.relu(x @ w[0])),
        "conv 5x5": ([28, 28, 1], [(5, 5, 1, 16)], conv()),
        "conv 3x3": ([16, 16, 32], [(3, 3, 32, 32)], conv()),
        "conv 1x1": ([16, 16, 64], [(1, 1, 64, 64)], conv()),
        "conv strided": ([32, 32, 16], [(3, 3, 16, 32)], conv(2)),
        "conv dilated": ([16, 16, 16], [(3, 3, 16, 16)], conv(dilations=2)),
        "conv depthwise": ([16, 16, 32], [(3, 3, 32, 1)],
                           lambda x, w: n.depthwise_conv2d(x, w[0], one, "SAME")),
        "conv transposed": ([8, 8, 32], [(3, 3, 16, 32)], lambda x, w: n.conv2d_transpose(
            x, w[0], [BATCH_SIZE, 16, 16, 16], 2, "SAME")),
        "conv 1d": ([100, 32], [(5, 32, 32)], lambda x, w: n.conv1d(x, w[0], 1, "SAME")),
        "conv 3d": ([8, 8, 8, 8], [(3, 3, 3, 8, 8)],
                    lambda x, w: n.conv3d(x, w[0], [1, *one], "SAME")),
        "dilation 2d": ([16, 16, 16], [(3, 3, 16)],
                        lambda x, w: n.dilation2d(x, w[0], one, "SAME", "NHWC", one)),
        "max pool": ([28, 28, 16], channel, scaled(n.max_pool2d, 2, 2, "SAME")),
        "max pool overlapping": ([28, 28, 16], channel, scaled(n.max_pool2d, 3, 1, "SAME")),
        "mean pool": ([28, 28, 16], channel, scaled(n.avg_pool2d, two, two, "SAME")),
        "global mean": ([28, 28, 16], channel, scaled(tf.reduce_mean, [1, 2])),
        "resize": ([14, 14, 16], channel, scaled(tf.image.resize, [28, 28])),
        "space to depth": ([16, 16, 16], channel, scaled(n.space_to_depth, 2)),
        "patches": ([28, 28, 4], [(4,)], scaled(
            tf.image.extract_patches, [1, 3, 3, 1], one, one, "SAME")),
        "batch norm": ([16, 16, 32], 3 * [(32,)], norm([0, 1, 2])),
        "layer norm": ([64, 128], 3 * [(128,)], norm([-1])),
        "local response": ([16, 16, 32], [(32,)], scaled(n.local_response_normalization)),
        "softmax": ([64, 128], [(128,)], scaled(n.softmax)),
        "attention": ([64, 64], 3 * [(64, 64)], attention),
        "lstm": ([28, 28], [(28, 256), (64, 256)], lstm),
        "dropout": ([1024], [(1024,)], scaled(dropout)),
        "gather": ([1], [(20_000, 32)], lambda x, w: tf.gather(w[0], rows(x, 20_000))),
        "segment sum": ([1], [(1, 64)],
                        lambda x, w: tf.math.unsorted_segment_sum(x @ w[0], rows(x, 8), 8)),
        "scatter": ([64], [(64,)], scaled(scatter)),
        "cumulative sum": ([512], [(512,)], scaled(tf.cumsum, 1)),
        "sort": ([512], [(512,)], scaled(tf.sort)),
        "real fft": ([512], [(512,)], lambda x, w: tf.abs(tf.signal.rfft(x * w[0]))),
        "cholesky": ([16, 16], [(16,)], lambda x, w: tf.linalg.cholesky(positive(x * w[0]))),
    }  # fmt: skip
