"""What of the training loop XLA compiles: the whole loop, each step by itself, or nothing.

loop    the while loop and all in it: nothing comes between two steps, which suits most models
step    a step; TensorFlow runs the loop around it
off     nothing: TensorFlow's own kernels, which are the fastest convolutions on a CPU

A model gets what suits the operations of its training step. It is never chosen by time, since two
runs of one model could then differ: the three give weights that differ in the last bits.

With --jit=short it is off, except for steps that XLA makes much faster. To compile a small network
takes most of a second, which XLA saves in some 4,000 steps; a search of short trials asks for this.
"""

from settings import ConfigError
from training.contract import has_own_update
from training.device import has_gpu
from training.steps import all_nodes

# For these and their gradients, XLA takes 2 to 400 times as long as TensorFlow, in a loop on a CPU.
# Measured by benchmarks/operations.py of the template.
SLOW_ON_CPU = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "MaxPool", "AvgPool",
               "Resize")  # fmt: skip
ANNOUNCED = {
    "loop": "Compiling the training steps",
    "step": "Compiling each training step by itself",
    "off": "Training without XLA",
}
# Without XLA, several threads add in an order that no run repeats.
ADDS_IN_ANY_ORDER = ("ResourceScatter", "ScatterNd", "TensorScatter", "UnsortedSegment",
                     "SparseSegment", "ResourceSparseApply")  # fmt: skip
# Without XLA on a CPU, a step with one of these takes milliseconds longer, or four times as long.
FAST_IN_XLA = ("While", "StatelessWhile", *ADDS_IN_ANY_ORDER)


def suitable(model) -> tuple[str, str]:
    """The --jit that suits the training step of a model: (its value, the reason or "")."""
    if model.config["nb_replicas"] > 1:
        return "off", "the replicas read the variables of the first"
    chosen, reason = suits(model.graph, model.config)
    if chosen != "off" and model.config["nb_workers"] > 1:
        if has_own_update(model):
            return "off", "the workers exchange gradients within its own update"
        return "step", reason or "the workers exchange gradients between steps"
    return chosen, reason


def suits(graph, config):
    """The --jit for the operations in a graph: (its value, the reason or "")."""
    if has_gpu(config):
        return "loop", ""
    nodes = all_nodes(graph, "optimizer/")  # where contract.build_step builds a step
    slow = first(nodes, SLOW_ON_CPU)
    if not slow:
        return ("off" if config["jit"] == "short" and can_do_without(graph, config) else "loop"), ""
    reason = f"XLA is slow at {slow.op} in a loop"
    unordered = first(nodes, ADDS_IN_ANY_ORDER)
    if unordered and is_unordered(config):
        return "step", (
            f"{reason}, and without it {unordered.op} adds in any order; --deterministic or "
            "--threads=1 allows --jit=off, which may be faster"
        )
    return "off", reason


def can_do_without(graph, config):
    """Whether a short run is better off without XLA, and repeats without it."""
    evaluated = first(all_nodes(graph), ADDS_IN_ANY_ORDER) if is_unordered(config) else None
    return not (first(all_nodes(graph, "optimizer/"), FAST_IN_XLA) or evaluated)


def check_order_of_sums(graph, config: dict) -> None:
    """ConfigError names an op that, without XLA, adds in an order that depends on its threads.

    The gradient of tf.gather is one: with a table of embeddings, say, no run could be repeated.
    """
    node = first(all_nodes(graph), ADDS_IN_ANY_ORDER)
    if node and is_unordered(config):
        raise ConfigError(
            f"--threads={config['threads']}: without XLA, {node.name} ({node.op}) adds in an "
            "order that no run repeats; add --deterministic, or use --threads=1"
        )


def is_unordered(config):
    """Whether TensorFlow's own kernels may add in any order on the processor. On a GPU most runs do
    not repeat without --deterministic, with XLA or not, and say so at their start.
    """
    return config["threads"] > 1 and not config["deterministic"] and not has_gpu(config)


def first(nodes, operations):
    """The first node whose operation begins with one of these names; None if there is none."""
    return next((node for node in nodes if node.op.startswith(operations)), None)
