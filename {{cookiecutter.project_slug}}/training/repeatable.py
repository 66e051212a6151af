"""A graph that is built twice from one configuration must be the same graph.

What is drawn while it is built is drawn from the configuration's seed, and numbers in names begin
anew with each model. What differs all the same was drawn or counted elsewhere, and is refused.
"""

import contextlib
import itertools
import random
import re
import sys

import numpy as np

compared = set()  # the classes of models of which two builds were found equal


@contextlib.contextmanager
def seeded(seed):
    """Within it Python's and NumPy's own generators start from a seed, and Keras's names from one.

    Keras's layers draw their seeds from Python's generator, which nobody else sets.
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


def operations(graph):
    """Every operation of a graph and of its functions: [(name, definition in bytes)].

    The names of functions hold numbers that are counted through the process; here they are
    numbered in the order of their first use.
    """
    definition = graph.as_graph_def()
    functions = {function.signature.name: function for function in definition.library.function}
    numbers, found = {}, []

    def number(name):
        plain = re.sub(r"^__inference_|_\d+(?=_|$)", "", name)
        return f"{plain} {numbers.setdefault(name, len(numbers))}"

    def describe(nodes, within):
        for node in nodes:
            for name in (
                "_gradient_op_type",
                "shared_name",
            ):  # counted, too, or drawn; mean nothing
                node.attr.pop(name, None)
            for key in sorted(node.attr):  # a map: its own order is any
                for function in (node.attr[key].func, *node.attr[key].list.func):
                    if function.name:
                        function.name = number(function.name)
            if node.op in functions:
                node.op = number(node.op)
            found.append((within + node.name, node.SerializeToString(deterministic=True)))

    describe(definition.node, "")
    done = 0
    while done < len(numbers):  # functions name further ones
        name = list(numbers)[done]
        function = functions[name]
        describe(function.node_def, f"{number(name)}: ")
        found.append((f"{number(name)}: results", repr(sorted(function.ret.items())).encode()))
        done += 1
    return found


def refuse_another_build(model, jit):
    """ValueError if a model and its steps, built once more, are others; looked at once per class.

    It costs as much as building a graph, some tenths of a second at most.
    """
    if type(model) in compared:
        return
    twin = object.__new__(type(model))
    twin.splits = model.splits  # the arrays that are there
    twin.__init__(model.config)
    with twin:
        twin.build_steps(twin.build_data()[0], jit)
        name = first_difference(operations(model.graph), operations(twin.graph))
    if name:
        raise ValueError(
            f"{type(model).__name__} is another one when it is built again, first in {name}: what "
            "is drawn must follow from random_seed. Make layers in inference, which may keep them "
            "in self, or give each of them a seed"
        )
    compared.add(type(model))


def first_difference(one, other):
    """The name of the first of `operations` that two graphs do not share; None if there is none."""
    for first, second in itertools.zip_longest(one, other):
        if first != second:
            return (first or second)[0]
    return None
