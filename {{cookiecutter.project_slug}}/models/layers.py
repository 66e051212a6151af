"""Layers that everybody writes again, as functions. BasicModel has them as methods:

    hidden = tf.nn.relu(self.dense("hidden", images, 128))

Each makes its variables by name, here `hidden/weights` and `hidden/biases`, with first values that
follow from random_seed and that name. When inference is called for training, it finds them again.
A model may as well make its variables itself, or take layers of Keras.
"""

import tensorflow as tf

# The standard deviation of first weights, before a normal distribution is cut off at two of them.
STDDEV = {
    "lecun": lambda fan_in, fan_out: (1 / fan_in) ** 0.5,  # LeCun et al., 1998
    "glorot": lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,  # Glorot and Bengio, 2010
    "he": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,  # He et al., 2015: for ReLU
}


def check_inputs(layer, name, values):
    """ValueError if a layer cannot work on these values."""
    layer = f"{layer} {name!r}"
    if values.dtype != tf.float32:
        remedy = "cast them, as in tf.cast(images, tf.float32) / 255"
        raise ValueError(f"{layer} takes float32 values, not {values.dtype.name}; {remedy}")
    if (values.shape.rank or 0) < 2 or values.shape[-1] is None:
        remedy = "give them one by tf.reshape(values, [-1, n])"
        raise ValueError(f"{layer}: values of shape {values.shape} have no last axis; {remedy}")


def known(table, name):
    """An entry of a table of this file; ValueError if there is none of this name."""
    if name not in table:
        raise ValueError(f"layers know no {name!r}; there are {', '.join(table)}")
    return table[name]


def weights(model, name, shape, initializer):
    """float32 [..., channels in, channels out]; the axes before are those of a filter."""
    size = tf.TensorShape(shape[:-2]).num_elements()
    stddev = known(STDDEV, initializer)(size * shape[-2], size * shape[-1])
    return model.truncated_normal(name, shape, stddev)


def constant(name, size, value=0.0, trainable=True):
    """float32 [size], equal values at first."""
    initializer = tf.constant_initializer(value)
    return tf.compat.v1.get_variable(name, [size], initializer=initializer, trainable=trainable)


def dense(model, name: str, values: "tf.Tensor", units: int, initializer="he") -> "tf.Tensor":
    """A fully connected layer: float32 [..., n] to [..., units]. initializer: a name in STDDEV."""
    check_inputs("dense", name, values)
    with tf.compat.v1.variable_scope(name):
        matrix = weights(model, "weights", [values.shape[-1], units], initializer)
        return values @ matrix + constant("biases", units)


def conv(
    model, name: str, values: "tf.Tensor", filters: int, size: int, strides=1, initializer="he"
) -> "tf.Tensor":
    """A convolution with filters of size x size, padded: float32 [batch, height, width, channels]
    to [batch, height / strides, width / strides, filters].
    """
    check_inputs("conv", name, values)
    with tf.compat.v1.variable_scope(name):
        shape = [size, size, values.shape[-1], filters]
        kernel = weights(model, "weights", shape, initializer)
        return tf.nn.conv2d(values, kernel, strides, "SAME") + constant("biases", filters)


def max_pool(model, values: "tf.Tensor", size=2) -> "tf.Tensor":
    """The largest of each size x size: [batch, height, width, channels] to [batch, height / size,
    width / size, channels].
    """
    return tf.nn.max_pool2d(values, size, strides=size, padding="SAME")


def batch_norm(model, name: str, values: "tf.Tensor", training: bool, decay=0.99) -> "tf.Tensor":
    """Mean 0 and variance 1 for each channel, then a scale and an offset (Ioffe and Szegedy, 2015).

    Of the batch when training; else of moving averages, which each training step updates and every
    checkpoint holds. float32 [batch, ..., channels] to the same shape.
    """
    check_inputs("batch_norm", name, values)
    channels = values.shape[-1]
    with tf.compat.v1.variable_scope(name):
        offset, scale = constant("offset", channels), constant("scale", channels, 1.0)
        moving = [
            constant("mean", channels, 0.0, False),
            constant("variance", channels, 1.0, False),
        ]
        now, updates = moving, []
        if training:
            now = tf.nn.moments(values, list(range(len(values.shape) - 1)))
            pairs = zip(moving, now, strict=True)
            updates = [old.assign_sub((1 - decay) * (old - new)) for old, new in pairs]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(values, *now, offset, scale, 1e-3)


def embedding(model, name: str, ids: "tf.Tensor", rows: int, size: int) -> "tf.Tensor":
    """A row of a table for each number from 0 to rows - 1: integers [...] to float32 [..., size].

    Check the numbers in `inputs`: a compiled step takes the nearest row for one that is too high.
    """
    with tf.compat.v1.variable_scope(name):
        table = model.truncated_normal("weights", [rows, size], stddev=size**-0.5)
        return tf.gather(table, tf.cast(ids, tf.int32))


def gru_cell(inputs, state, weights):
    """Cho et al., 2014, with the reset after the product, as cuDNN has it."""
    (before,), units = state, state[0].shape[-1]
    z, r = tf.split(tf.sigmoid(inputs[:, : 2 * units] + before @ weights[:, : 2 * units]), 2, 1)
    new = tf.tanh(inputs[:, 2 * units :] + r * (before @ weights[:, 2 * units :]))
    return [z * before + (1 - z) * new]


def lstm_cell(inputs, state, weights):
    """Hochreiter and Schmidhuber, 1997; the forget gate starts open (Jozefowicz et al., 2015)."""
    output, memory = state
    i, f, o, new = tf.split(inputs + output @ weights, 4, 1)
    memory = tf.sigmoid(f + 1) * memory + tf.sigmoid(i) * tf.tanh(new)
    return [tf.sigmoid(o) * tf.tanh(memory), memory]


CELLS = {"gru": (gru_cell, 3, 1), "lstm": (lstm_cell, 4, 2)}  # the cell, its gates, its states


def recurrent(model, name: str, values: "tf.Tensor", units: int, cell="lstm") -> "tf.Tensor":
    """A recurrent layer: float32 [batch, time, n] to its outputs, [batch, time, units].

    cell: "gru" or "lstm". A loop over time: unrolled, it would take much longer to compile.
    """
    step, gates, states = known(CELLS, cell)
    with tf.compat.v1.variable_scope(name):
        inputs = tf.transpose(dense(model, "inputs", values, gates * units, "glorot"), [1, 0, 2])
        matrix = weights(model, "weights", [units, gates * units], "glorot")
        length = inputs.shape[0]

        def advance(time, outputs, *state):
            state = step(inputs[time], state, matrix)
            return [time + 1, outputs.write(time, state[0]), *state]

        first = [tf.zeros([tf.shape(values)[0], units]) for _ in range(states)]
        array = tf.TensorArray(tf.float32, length, element_shape=[None, units])
        start = [tf.constant(0), array, *first]
        _, outputs, *_ = tf.while_loop(
            lambda time, *_: time < length, advance, start, maximum_iterations=length
        )
        return tf.transpose(outputs.stack(), [1, 0, 2])
