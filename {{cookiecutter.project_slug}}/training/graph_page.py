"""The graph as TensorBoard's page shows it: inputs, layers, loss, metrics and optimizer.

The graph that runs holds more: the training data, the compiled steps, initial values, the saver.
"""

import re

import tensorflow as tf


def drawing(graph: "tf.Graph", roots) -> "tf.compat.v1.GraphDef":
    """What `roots`, nested tensors and operations, need. Not to be run.

    The scope "inference" is taken out of the names, so that the variables of a layer lie in the
    same box as its operations.
    """
    definition, names = graph.as_graph_def(add_shapes=True), drawn_names(graph, roots)
    nodes = {node.name: node for node in definition.node}
    functions = {function.signature.name: function for function in definition.library.function}
    called = reachable(
        [name for node in names for name in calls(nodes[node], functions)],
        lambda name: [n for node in functions[name].node_def for n in calls(node, functions)],
    )
    drawn = tf.compat.v1.GraphDef(versions=definition.versions)
    drawn.library.function.extend(f for name, f in functions.items() if name in called)
    for node in definition.node:
        if node.name in names:
            inputs = [text.replace(plain(text), names[plain(text)], 1) for text in node.input]
            copy = drawn.node.add()
            copy.CopyFrom(node)
            copy.name = names[node.name]
            copy.input[:] = inputs
            copy.attr.pop("_class", None)  # names of operations beside which it runs
    return drawn


def drawn_names(graph: "tf.Graph", roots) -> dict[str, str]:
    """The names of the operations that `roots` need, and the names with which they are drawn."""
    roots = [operation_of(root) for root in tf.nest.flatten(roots)]
    needed = [operation.name for operation in reachable(roots, before)]
    names, taken = {}, set(needed)
    for name in needed:  # a name that is taken is kept as it is
        short = re.sub(r"(^|/)inference/", r"\1", name)
        names[name] = name if short in taken else short
        taken.add(short)
    return names


def operation_of(root):
    """The operation of a tensor, or the operation itself."""
    return getattr(root, "op", root)


def before(operation) -> list:
    """The operations for which one has to wait: those of its inputs, then the others."""
    return [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]


def reachable(roots, following) -> dict:
    """The roots, and all that follow from them, as the keys of a dictionary in a fixed order."""
    found, waiting = {}, list(roots)
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = None
            waiting += following(one)
    return found


def plain(text):
    """The operation of a node's input, which is like "name", "name:1" or "^name"."""
    return re.sub(r"^\^|:\d+$", "", text)


def calls(node, functions):
    """The names of the functions that a node calls."""
    named = [node.op]
    for value in node.attr.values():
        named += [value.func.name, *(function.name for function in value.list.func)]
    return [name for name in named if name in functions]
