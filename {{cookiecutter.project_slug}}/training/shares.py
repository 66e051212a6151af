"""The training step of several workers, or of several replicas: what each computes of its share of
a batch, and what they average.
"""

import tensorflow as tf

from training import contract, device, optimizers, variables
from training.collectives import mean
from training.steps import all_nodes


def train_step(model, jit: str):
    """A training step on this worker's share of a batch; returns the loss of the whole batch.

    With --jit=step, XLA compiles what comes before the exchange; to run model.alone compiles it,
    and meets no other worker. Variables that inference assigns to, such as the moving averages of
    batch_norm, become their means over the workers.
    """
    nodes = [node for node in all_nodes(model.graph, "optimizer/") if node.op.startswith("Assign")]
    handles = {node.input[0].partition(":")[0] for node in nodes}
    assigned = [v for v in model.state if v.dtype.is_floating and v.handle.op.name in handles]
    devices, has_own = device.replicas(model.config), contract.has_own_update(model)

    def gradients(batch):
        with variables.reused(model):
            loss = model.loss(model.inference(batch, training=True), batch)
        return loss, optimizers.gradients(model, loss)

    def step(batch):
        if has_own:
            loss, found = own_step(model, batch), []
        elif len(devices) > 1:
            loss, *found = over_replicas(model, gradients, batch, devices)
        else:
            loss, found = compute(batch)
        with tf.control_dependencies([loss]):
            state = [variable.read_value() for variable in assigned]
        loss, *means = mean(model, [loss, *found, *state])
        found, state = means[: len(found)], means[len(found) :]
        updates = [v.assign(average) for v, average in zip(assigned, state, strict=True)]
        if not has_own:
            updates.append(optimizers.apply(model, found))
        with tf.control_dependencies(updates):
            return tf.identity(loss)

    compute = gradients
    if jit == "step":
        size = model.config["batch_size"] // model.config["nb_workers"]
        zeros = {n: tf.zeros([size, *t.shape[1:]], t.dtype) for n, t in model.batch.items()}
        compute = tf.function(gradients, jit_compile=True, autograph=False)
        compute = compute.get_concrete_function(zeros)  # which is compiled once for both calls
        model.alone, _ = compute(zeros)
    return step


def own_step(model, batch):
    """The step of a model with an update of its own; ValueError if that averages no gradients."""
    before = next(model.collective_keys)
    loss = model.train_step(batch)
    if next(model.collective_keys) == before + 1:
        raise ValueError(
            f"{type(model).__name__} has an update of its own, which each worker would make by "
            "itself: average its gradients, gradients = self.mean_of_workers(gradients)"
        )
    return loss


def over_replicas(model, gradients, batch, devices):
    """The means of loss and gradients over replicas, each of which computes its share on a device
    of its own. The variables are those of the first device. Returns a list.
    """
    shares, found = {name: tf.split(t, len(devices)) for name, t in batch.items()}, []
    for number, name in enumerate(devices):
        model.replica = number
        with tf.device(name):
            loss, own = gradients({name: share[number] for name, share in shares.items()})
            found.append([loss, *own])
    model.replica = 0
    return [None if one[0] is None else tf.add_n(one) / len(devices)
            for one in zip(*found, strict=True)]  # fmt: skip
