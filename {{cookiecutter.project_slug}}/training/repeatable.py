"""A graph that is built twice from one config must be the same graph.

While a graph is built, random numbers come from the config's seed, and Keras numbers its layers
from one. A model whose second build still differs is an error.
"""

import contextlib
import hashlib
import itertools
import random
import re
import sys
from collections.abc import Iterator

import numpy as np

NOT_COMPARED = ("shared_name", "config_proto", "timeout_seconds")  # no result depends on them


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Start Python's and NumPy's global generators from a seed, and Keras's names from one.

    Keras's layers draw their seeds from Python's generator. At the end both are as before.
    """
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    naming = sys.modules.get("keras.src.utils.naming")
    if naming:
        naming.reset_uids()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def operations(graph) -> list[tuple[str, bytes]]:
    """Every operation of a graph and of its functions: [(name, definition in bytes)].

    TensorFlow numbers functions across the whole process; here they are numbered in the order of
    their first use.
    """
    definition = graph.as_graph_def()
    functions = {function.signature.name: function for function in definition.library.function}
    numbers, found = {}, []

    def number(name):
        plain = re.sub(r"^__inference_|_\d+(?=_|$)", "", name)
        return f"{plain} {numbers.setdefault(name, len(numbers))}"

    def describe(nodes, within):
        for node in nodes:
            for name in list(node.attr):  # what a node is called or how it is run
                if name.startswith("_") or name in NOT_COMPARED:
                    node.attr.pop(name)
            for key in sorted(node.attr):  # a map has no order of its own
                for function in (node.attr[key].func, *node.attr[key].list.func):
                    if function.name:
                        function.name = number(function.name)
            if node.op in functions:
                node.op = number(node.op)
            found.append((within + node.name, node.SerializeToString(deterministic=True)))

    describe(definition.node, "")
    done = 0
    while done < len(numbers):  # functions call further ones
        name = list(numbers)[done]
        function = functions[name]
        describe(function.node_def, f"{number(name)}: ")
        found.append((f"{number(name)}: results", repr(sorted(function.ret.items())).encode()))
        done += 1
    return found


def digest(operations: list[tuple[str, bytes]]) -> str:
    """SHA-256 over what `operations` returned: equal for equal graphs in any process."""
    return hashlib.sha256(repr(operations).encode()).hexdigest()


def first_difference(one: list, other: list) -> str | None:
    """The name of the first operation that differs between two graphs; None if none does."""
    for first, second in itertools.zip_longest(one, other):
        if first != second:
            return (first or second)[0]
    return None
