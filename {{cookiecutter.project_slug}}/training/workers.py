"""Data-parallel training: what the workers of a cluster compute apart, and what together.

Each worker computes the gradients of its share of every batch, an all-reduce averages them, and
each makes the same update: so the weights of all stay equal, bit for bit (synchronous SGD, as in
Chen et al., 2016). The chief trains as a single process does, and leads: before each chunk of
steps it says how many they are. The others follow until it has ended.

The mean over equal shares is the mean over the batch, so W workers train as one does; sums are
added in another order, so the last bits differ from those of one worker, and from one W to another.
"""

import contextlib
import json
import signal

import numpy as np
import tensorflow as tf

from settings import ConfigError
from training import contract, optimizers, variables
from training.collectives import mean
from training.digests import digests
from training.divergence import Diverged
from training.provenance import environment, fingerprint
from training.signals import StopSignals

TRAIN, COMPARE, END = range(3)  # what the chief says


def check(model) -> None:
    """ConfigError if a model's steps cannot be shared by the workers that its config asks for."""
    config, own = model.config, type(model).learn_from_epoch.__qualname__
    size, count, jit = config["batch_size"], config["nb_workers"], config["jit"]
    if not model.cluster:
        raise ConfigError(f"--nb_workers={count}: this process is in no cluster; python main.py "
                          "starts one on this machine, and TF_CONFIG names another")  # fmt: skip
    if size % count:
        raise ConfigError(f"--batch_size={size} cannot be shared equally by {count} workers")
    if own != "BasicModel.learn_from_epoch":
        raise ConfigError(f"--nb_workers={count}: {own} is not known to the other workers")
    if jit == "loop" or (jit == "step" and contract.has_own_step(model)):
        others = "off" if contract.has_own_step(model) else "step or off"
        raise ConfigError(f"--jit={jit}: XLA compiles no exchange between workers; use {others}")


def train_step(model, jit: str):
    """A training step on this worker's share of a batch; returns the loss of the whole batch.

    With --jit=step, XLA compiles what comes before the exchange. Variables that inference assigns
    to, such as the moving averages of batch_norm, become their means over the workers.
    """
    assigned = [v for v in model.state if v.dtype.is_floating]

    def gradients(batch):
        with variables.reused(model):
            loss = model.loss(model.inference(batch, training=True), batch)
        return loss, optimizers.gradients(model, loss)

    def step(batch):
        if jit == "step":
            loss, found = compiled(batch)
        else:  # self.update, within it, averages the gradients
            loss, found = model.train_step(batch), []
        with tf.control_dependencies([loss]):
            state = [variable.read_value() for variable in assigned]
        loss, *means = mean(model, [loss, *found, *state])
        found, state = means[: len(found)], means[len(found) :]
        updates = [v.assign(average) for v, average in zip(assigned, state, strict=True)]
        if jit == "step":
            updates.append(optimizers.apply(model, found))
        with tf.control_dependencies(updates):
            return tf.identity(loss)

    compiled = tf.function(gradients, jit_compile=True, autograph=False)
    return step


def compare_setup(model) -> None:
    """ConfigError names what the workers do not share: data, graph, code or versions."""
    about = environment(model.graph_sha256)
    found = fingerprint(about, model.data_checksum)
    same = ("training data", "graph", "tensorflow", "keras", "numpy")
    sources = {n: s["sha256"] for n, s in about["sources"].items() if n.startswith("models/")}
    model.cluster.check_equal({name: found[name] for name in same} | {"code in models/": sources})


def say(model, *numbers: int) -> None:
    """Tell the other workers what comes next. What one of them was sent, such as SIGTERM, is then
    sent to this process: so all stop after the next steps.
    """
    for number in filter(None, model.cluster.all_gather(*numbers)[1:, -1]):
        signal.raise_signal(int(number))
        break


def lead(model, count: int) -> None:
    """Let the other workers train the next `count` steps, from the chief's weights."""
    if model.cluster and model.cluster.is_chief:
        say(model, TRAIN, count, model.step, model.is_new, 0)
        if model.is_new:
            share_variables(model)


def share_variables(model):
    """Take part in giving all workers the chief's variables."""
    model.cluster.call(model.session.run, model.sharing, {model.worker: model.place})
    model.is_new = False


def compare_weights(model, weights: dict[str, np.ndarray]) -> None:
    """ValueError names a worker whose weights differ from the chief's, {name: array}."""
    if model.cluster and model.cluster.is_chief:
        say(model, COMPARE, 0, 0, 0, 0)
        compare_digests(model, weights)


def compare_digests(model, weights):
    """Compare the digest of weights among all workers, and on a difference that of each variable."""
    found = digests(weights)
    told = model.cluster.all_gather(int(found["weights_sha256"][:15], 16))[:, 0]
    if (told == told[0]).all():
        return
    for name, digest in found["variables"].items():
        told = model.cluster.all_gather(int(digest[:15], 16))[:, 0]
        for index in np.flatnonzero(told != told[0]):
            raise ValueError(f"{name} of {model.cluster.task.name(index)} differs from the chief's "
                             "at step {model.step}: it must follow from what self.update or "
                             "self.mean_of_workers averages")  # fmt: skip


def end(model, result: dict) -> dict:
    """Tell the other workers what came out; they end, too. Returns it."""
    if model.cluster and model.cluster.is_chief:
        say(model, END, 0, 0, 0, 0)
        model.cluster.broadcast(json.dumps(result))
    return result


def follow(model) -> dict:
    """Do what the chief says, until it ends. Returns what the chief's `train` returns."""
    model.prepare_steps()
    with StopSignals() as stop:
        while True:
            heard = model.cluster.all_gather(0, 0, 0, 0, stop.received or 0)
            said, count, step, is_new, _ = map(int, heard[0])
            stop.received = None  # it is said once
            if said == END:
                return json.loads(model.cluster.broadcast())
            if said == COMPARE:
                compare_digests(model, model.weights())
                continue
            if is_new:
                share_variables(model)
                model.step = step
            model.compiled_loop.limit = count
            with contextlib.suppress(Diverged):  # the chief goes back
                model.learn_from_epoch(step + count)
