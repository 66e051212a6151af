"""From a loss to one step of training: gradients, clipping, weight decay, learning rate, optimizer.

Each follows from the hyper-parameters of `settings.optimization`. What is off adds nothing to the
graph.
"""

import tensorflow as tf

from training.collectives import mean

OPTIMIZERS = {  # from the learning rate and the config
    "sgd": lambda lr, config: tf.compat.v1.train.GradientDescentOptimizer(lr),
    "momentum": lambda lr, config: tf.compat.v1.train.MomentumOptimizer(lr, config["momentum"]),
    "adam": lambda lr, config: tf.compat.v1.train.AdamOptimizer(
        lr, config["beta1"], config["beta2"]
    ),
}
SCHEDULES = {  # from --lr, the step and the config
    "constant": lambda lr, step, config: lr,
    # SGDR without restarts: Loshchilov and Hutter, 2017
    "cosine": lambda lr, step, config: tf.compat.v1.train.cosine_decay(
        lr, step, config["decay_steps"]
    ),
    "step": lambda lr, step, config: tf.compat.v1.train.exponential_decay(
        lr, step, config["decay_steps"], config["decay_rate"], staircase=True
    ),
}


def learning_rate(model) -> "tf.Tensor":
    """The learning rate of a step, float32 scalar: warm-up and schedule."""
    config, step = model.config, model.global_step
    rate = SCHEDULES[config["lr_schedule"]](model.lr, step, config)
    if config["warmup_steps"]:
        rate *= tf.minimum(1.0, (tf.cast(step, tf.float32) + 1) / config["warmup_steps"])
    return rate


def make_optimizer(model) -> "tf.compat.v1.train.Optimizer":
    """The optimizer of a model; its learning rate is built anew in each graph that uses it."""
    return OPTIMIZERS[model.config["optimizer"]](lambda: learning_rate(model), model.config)


def dense(gradients: list) -> list:
    """Gradients as whole tensors: that of a table has its rows one by one, some more than once."""
    return [g if g is None else tf.convert_to_tensor(g) for g in gradients]


def gradients(model, loss: "tf.Tensor") -> list:
    """The gradient of a loss for each trainable variable; None where there is none."""
    config, found = model.config, tf.gradients(loss, model.variables)
    is_whole = config["clip_norm"] or config["nb_workers"] > 1
    return dense(found) if is_whole or config["optimizer"] == "momentum" else found  # as XLA wants


def apply(model, gradients: list) -> "tf.Operation":
    """Build one step of the optimizer along gradients, one for each trainable variable or None.

    --clip_norm shortens all gradients together (Pascanu et al., 2013). --weight_decay takes away a
    part of each weight that has a gradient: with adam this is AdamW (Loshchilov and Hutter, 2019).
    Biases and scales, which have one axis, do not decay.
    """
    config, decays = model.config, []
    if config["clip_norm"]:
        gradients, _ = tf.clip_by_global_norm(gradients, config["clip_norm"])
    if config["weight_decay"]:
        part = learning_rate(model) * config["weight_decay"]
        known = [(g, v) for g, v in zip(gradients, model.variables, strict=True) if g is not None]
        with tf.control_dependencies([gradient for gradient, _ in known]):  # before weights change
            decays = [v.assign_sub(part * v) for _, v in known if v.shape.rank > 1]
    with tf.control_dependencies(decays):
        pairs = zip(gradients, model.variables, strict=True)
        return model.optimizer.apply_gradients(pairs, global_step=model.global_step)


def update(model, loss: "tf.Tensor") -> "tf.Operation":
    """Build one step of the optimizer along the gradients of a loss, averaged over all workers."""
    return apply(model, mean(model, gradients(model, loss)))
