"""Operations in which the workers of a cluster meet: each gives a tensor, and gets the sum or mean.

They are TensorFlow's own: rings between processors, over gRPC, and NCCL between GPUs.
"""

import tensorflow as tf

ON_CPU, TRAINING = 1, 2  # groups: between processors, and between the devices that train


def all_reduce(tensor, workers: int, timeout: float, group: int, key: int, final="Id"):
    """The sum of a tensor over all workers, on each of them; with final="Div" the mean.

    key: the number of this operation in a graph, the same on every worker. The order of summation
    follows from the numbers of the workers, so that each of them gets the same bits every time.
    """
    return tf.raw_ops.CollectiveReduce(
        input=tensor, group_size=workers, group_key=group, instance_key=key, merge_op="Add",
        final_op=final, subdiv_offsets=[0], communication_hint="auto", timeout_seconds=timeout,
    )  # fmt: skip


def mean(model, tensors: list) -> list:
    """The mean of each tensor over all workers; for one worker, the tensors themselves.

    Those of one dtype travel together: to begin takes longer than to send. None stays None.
    """
    count, found = model.config["nb_workers"], {}
    known = [i for i, tensor in enumerate(tensors) if tensor is not None]
    if count == 1:
        return tensors
    for dtype in dict.fromkeys(tensors[i].dtype for i in known):
        alike = [i for i in known if tensors[i].dtype == dtype]
        flat = tf.concat([tf.reshape(tensors[i], [-1]) for i in alike], 0)
        options = model.config["worker_timeout"], TRAINING, next(model.collective_keys)
        flat = all_reduce(flat, count, *options, final="Div")
        parts = tf.split(flat, [tensors[i].shape.num_elements() for i in alike])
        found |= {i: tf.reshape(p, tensors[i].shape) for i, p in zip(alike, parts, strict=True)}
    return [found.get(i) for i in range(len(tensors))]


def build_sharing(model) -> "tf.Operation":
    """Build what gives all workers the chief's variables, bit for bit: all others add zero."""
    count, timeout = model.config["nb_workers"], model.config["worker_timeout"]
    updates = []
    for variable in model.saved.values():
        with tf.device("CPU:0"):
            words = as_words(variable.read_value())
            said = tf.where(tf.equal(model.worker, 0), words, tf.zeros_like(words))
            heard = all_reduce(said, count, timeout, ON_CPU, next(model.collective_keys))
            updates.append(variable.assign(from_words(heard, variable.dtype)))
    return tf.group(*updates)


def as_words(values):
    """Numbers or truth values as int32 of the same bits; those of 8 bytes as two."""
    if values.dtype.size >= 4:
        return tf.bitcast(values, tf.int32)
    return tf.cast(tf.bitcast(values, tf.int16) if values.dtype.is_floating else values, tf.int32)


def from_words(words, dtype):
    """The inverse of as_words."""
    if dtype.size >= 4:
        return tf.bitcast(words, dtype)
    if dtype.is_floating:
        return tf.bitcast(tf.cast(words, tf.int16), dtype)
    return tf.cast(words, dtype)
