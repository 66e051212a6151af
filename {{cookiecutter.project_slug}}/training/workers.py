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
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from settings import ConfigError
from training import cluster, contract, device, optimizers, variables
from training.collectives import mean
from training.digests import digests
from training.divergence import Diverged
from training.provenance import environment, fingerprint
from training.signals import StopSignals, pass_on
from training.steps import all_nodes
from training.tf_config import check_shares

TRAIN, COMPARE, END = range(3)  # what the chief says


def joined(config: dict) -> tuple[cluster.Cluster | None, int]:
    """The cluster on which a config trains, and which worker this process is; else (None, 0)."""
    is_worker = cluster.joined and config["nb_workers"] > 1
    return (cluster.joined, cluster.joined.task.index) if is_worker else (None, 0)


def is_shared(model) -> bool:
    """Whether several workers, or several replicas of one, share the batches."""
    return model.config["nb_workers"] * model.config["nb_replicas"] > 1


def fed(model) -> dict:
    """What to feed to the operations of a cluster: which worker this is."""
    return {model.worker: model.place} if model.cluster else {}


def together(model, function, *arguments):
    """Call what may meet the other workers, if there are any."""
    return model.cluster.call(function, *arguments) if model.cluster else function(*arguments)


def check(model) -> None:
    """ConfigError if a model's steps cannot be shared by the workers that its config asks for."""
    config, own = model.config, type(model).learn_from_epoch.__qualname__
    count, replicas = config["nb_workers"], config["nb_replicas"]
    jit, has_own = config["jit"], contract.has_own_update(model)
    if count > 1 and not model.cluster:
        raise ConfigError(f"--nb_workers={count}: this process is in no cluster; python main.py "
                          "starts one on this machine, and TF_CONFIG names another")  # fmt: skip
    check_shares(config)
    if count > 1 and own != "BasicModel.learn_from_epoch":
        raise ConfigError(f"--nb_workers={count}: {own} is not known to the other workers")
    if has_own and replicas > 1:
        raise ConfigError(f"--nb_replicas={replicas}: {type(model).__name__} has an update of its "
                          "own; use as many workers")  # fmt: skip
    if jit == "loop" or (jit == "step" and (has_own or replicas > 1)):
        others = "off" if has_own or replicas > 1 else "step or off"
        raise ConfigError(f"--jit={jit}: XLA compiles no exchange of gradients; use {others}")


def train_step(model, jit: str):
    """A training step on this worker's share of a batch; returns the loss of the whole batch.

    With --jit=step, XLA compiles what comes before the exchange. Variables that inference assigns
    to, such as the moving averages of batch_norm, become their means over the workers.
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
        compute = tf.function(gradients, jit_compile=True, autograph=False)
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


def compare_setup(model) -> None:
    """ConfigError names what the workers do not share: data, graph, code or versions."""
    if not model.cluster:
        return
    about = environment(model.graph_sha256)
    found = fingerprint(about, model.data_checksum)
    same = ("training data", "graph", "tensorflow", "keras", "numpy")
    sources = {n: s["sha256"] for n, s in about["sources"].items() if n.startswith("models/")}
    model.cluster.check_equal({name: found[name] for name in same} | {"code in models/": sources})


def say(model, what: int, count: int = 0) -> None:
    """Tell the other workers what comes next, and give them the chief's variables if these are new.

    What one of them was sent, such as SIGTERM, counts as sent to this process: so all stop after
    the next steps.
    """
    heard = model.cluster.all_gather(what, count, model.step, model.is_new, 0)
    if what == END:
        return
    share_variables(model, model.is_new)
    for number in filter(None, heard[1:, -1]):
        pass_on(int(number))


def share_variables(model, is_new):
    """Take part in giving all workers the chief's variables, if these are new."""
    if is_new:
        together(model, model.session.run, model.sharing, fed(model))
    model.is_new = False


@contextlib.contextmanager
def meeting(model) -> Iterator[None]:
    """Within it, the chief leads and the other workers of its cluster follow."""
    if model.cluster:
        model.cluster.is_meeting = True
    try:
        yield
    finally:
        if model.cluster:
            model.cluster.is_meeting = False


def lead(model, count: int) -> None:
    """Let the other workers train the next `count` steps, if this is the chief; ConfigError if
    they do not wait for it.
    """
    if model.cluster and not model.cluster.is_meeting:
        raise ConfigError("on a cluster, call train: the other workers take part in nothing else")
    if model.cluster and model.cluster.is_chief:
        say(model, TRAIN, count)


def compare_weights(model, weights: dict[str, np.ndarray]) -> None:
    """ValueError names a worker whose weights differ from the chief's, {name: array}."""
    if model.cluster and model.cluster.is_chief and model.cluster.is_meeting:
        say(model, COMPARE)
        compare_digests(model, weights)


def compare_digests(model, weights):
    """Compare the digests of weights among all workers; on a difference, that of each variable."""
    found = digests(weights)
    told = model.cluster.all_gather(int(found["weights_sha256"][:15], 16))[:, 0]
    if (told == told[0]).all():
        return
    for name, digest in found["variables"].items():
        told = model.cluster.all_gather(int(digest[:15], 16))[:, 0]
        for index in np.flatnonzero(told != told[0]):
            raise ValueError(f"{name} of {model.cluster.task.name(index)} differs from the chief's "
                             f"at step {model.step}: it must follow from what self.update or "
                             "self.mean_of_workers averages, and the processors must be of one "
                             "kind")  # fmt: skip


def end(model, result: dict) -> dict:
    """Tell the other workers what came out; they end, too. Returns it."""
    if model.cluster and model.cluster.is_chief:
        say(model, END)
        model.cluster.broadcast(json.dumps(result))
    return result


def follow(model) -> dict:
    """Do what the chief says, until it ends. Returns what the chief's `train` returns."""
    model.prepare_steps()
    with meeting(model), StopSignals() as stop:
        while True:
            told = stop.received or 0  # a signal may also come while this waits
            heard = model.cluster.all_gather(0, 0, 0, 0, told)
            said, count, model.step, is_new, _ = map(int, heard[0])
            if told:
                stop.received = None  # it is said once
            if said == END:
                return json.loads(model.cluster.broadcast())
            share_variables(model, is_new)
            if said == COMPARE:
                compare_digests(model, model.weights())
                continue
            model.compiled_loop.limit = count
            with contextlib.suppress(Diverged):  # the chief goes back
                model.learn_from_epoch(model.step + count)
