"""Data-parallel training: the chief leads, and the other workers of its cluster follow.

Each worker computes the gradients of its share of every batch, an all-reduce averages them, and
each makes the same update: so the weights of all stay equal, bit for bit (synchronous SGD, as in
Chen et al., 2016); that step is in training/shares.py. The chief trains as a single process does,
and leads: before each chunk of steps it says how many they are. The others follow until it has
ended.

The mean over equal shares is the mean over the batch, so W workers train as one does; sums are
added in another order, so the last bits differ from those of one worker, and from one W to another.
"""

import contextlib
import json
from collections.abc import Iterator

import numpy as np

from settings import ConfigError
from training import cluster, contract, device
from training.digests import digests
from training.divergence import Diverged
from training.provenance import environment, fingerprint
from training.signals import StopSignals, pass_on
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


def compare_setup(model) -> None:
    """ConfigError names what the workers do not share: data, graph, code, versions or --jit."""
    if not model.cluster:
        return
    about = environment(model.graph_sha256, device.gpus(model.config))
    found = fingerprint(about, model.data_checksum)
    same = ("training data", "graph", "tensorflow", "keras", "numpy")
    sources = {n: s["sha256"] for n, s in about["sources"].items() if n.startswith("models/")}
    jit = "--jit, since XLA compiles the steps of some only (give --jit=off),"
    about = {"code in models/": sources, jit: model.config["jit"]}
    model.cluster.check_equal({name: found[name] for name in same} | about)


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
def telling() -> Iterator[None]:
    """Within it, an exception in a worker ends the others, too, even if its process goes on, as in
    a notebook: at their next exchange, or after --worker_timeout if they are in the midst of steps.
    """
    try:
        yield
    except BaseException as error:
        if cluster.joined and not isinstance(error, cluster.WorkerLost):
            cluster.joined.tell_failure()
        raise


@contextlib.contextmanager
def meeting(model) -> Iterator[None]:
    """Within it, the chief leads and the other workers of its cluster follow."""
    if not model.cluster:
        yield
        return
    model.cluster.is_meeting = True
    try:
        with telling():
            yield
    finally:
        model.cluster.is_meeting = False


def lead(model, count: int) -> None:
    """Let the other workers train the next `count` steps, if this is the chief; ConfigError if
    they do not wait for it.
    """
    if model.cluster and not model.cluster.is_meeting:
        raise ConfigError("on a cluster, call train: the other workers take part in nothing else")
    if model.cluster and model.cluster.is_chief:
        say(model, TRAIN, count)


def compare_weights(model, weights: dict[str, np.ndarray]) -> dict | None:
    """ValueError names a worker whose weights differ from the chief's, {name: array}. Returns the
    digests of these; None if nobody compares.
    """
    if model.cluster and model.cluster.is_chief and model.cluster.is_meeting:
        say(model, COMPARE)
        return compare_digests(model, weights)
    return None


def compare_digests(model, weights):
    """Compare the digests of weights among all workers; on a difference, that of each variable.
    Returns them.
    """
    found = digests(weights)
    told = model.cluster.all_gather(int(found["weights_sha256"][:15], 16))[:, 0]
    if (told == told[0]).all():
        return found
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
    with meeting(model):
        model.prepare_steps()
        with StopSignals() as stop:
            return listen(model, stop)


def listen(model, stop):
    """What `follow` does once the steps are compiled."""
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
