"""Traces, for --trace_every=N: how long each operation takes, and how much memory it needs.

A traced step has one more call of the session, after its update: loss, metrics, predictions and
gradients of the first --batch_size examples of the sample of train. It changes no variable. The
operations are those of TensorBoard's graph page, in TensorFlow's own kernels: XLA compiles the
steps that train into one, in which nothing can be told apart.

traces/step-N.json    for chrome://tracing or https://ui.perfetto.dev
train/                for the graph page: choose "step N" as tag, and a colour
"""

import json
import re

import tensorflow as tf

from training.batches import fed
from training.evaluation import SAMPLE, arrays_of
from training.files import make_folder, write_atomically
from training.graph_page import before, drawn_names, operation_of

READS = ("VarHandleOp", "ReadVariableOp")  # stateful operations that change nothing


def record(model, run) -> None:
    """Trace a model at its step, and add what is found to its run."""
    stats = trace(model)
    make_folder(run.path / "traces")
    file = run.path / "traces" / f"step-{model.step}.json"
    write_atomically(file, json.dumps(timeline(stats.step_stats)))
    names = drawn_names(model.graph, model.graph_page)
    for device in stats.step_stats.dev_stats:
        for node in device.node_stats:
            node.node_name = names.get(node.node_name, node.node_name)
    content = {"tag": f"step {model.step}", "run_metadata": stats.SerializeToString()}
    run.events.add("train", model.step, tagged_run_metadata=content)


def trace(model) -> "tf.compat.v1.RunMetadata":
    """Run the traced operations. Returns when each started and ended, and its memory."""
    v1, size = tf.compat.v1, model.config["batch_size"]
    few = {name: array[:size] for name, array in arrays_of(model, SAMPLE).items()}
    feed = fed(model.batch, few) | {model.lr: model.config["lr"]}
    wanted, stats = targets(model), v1.RunMetadata()
    model.session.run(wanted, feed)  # the first call takes longer than all others
    full = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    model.session.run(wanted, feed, options=full, run_metadata=stats)
    return stats


def targets(model) -> "list[tf.Operation]":
    """The operations to run: an evaluation, and of the update all that changes no variable."""
    *evaluation, _ = model.graph_page
    wanted = dict.fromkeys(map(operation_of, tf.nest.flatten(evaluation)))
    evaluated, drawn = (drawn_names(model.graph, roots) for roots in (evaluation, model.graph_page))
    harmless = set()  # those that may run
    for operation in model.graph.get_operations():  # inputs come first
        if operation.name in drawn:
            inputs = before(operation)
            if operation.name in evaluated or (reads(operation) and harmless.issuperset(inputs)):
                harmless.add(operation)
            else:
                wanted |= dict.fromkeys(other for other in inputs if other in harmless)
    return [operation for operation in wanted if operation.type != "Placeholder"]


def reads(operation) -> bool:
    """Whether an operation changes nothing by itself."""
    is_gradient = operation.name.startswith("update/gradients/")  # a loop's counts as stateful
    return is_gradient or not operation.op_def.is_stateful or operation.type in READS


def timeline(step_stats) -> dict:
    """The trace as Chrome reads it: a process for each device, in which an event has a line to
    itself; times in microseconds from the first start.
    """
    starts = [node.all_start_micros for d in step_stats.dev_stats for node in d.node_stats]
    events = []
    for process, device in enumerate(step_stats.dev_stats):
        about = {"name": "process_name", "ph": "M", "pid": process}
        events.append(about | {"args": {"name": device.device}})
        ends = []  # of the last event in each line
        for node in sorted(device.node_stats, key=lambda node: node.all_start_micros):
            start = node.all_start_micros - min(starts)
            free = (line for line, end in enumerate(ends) if end <= start)
            line = next(free, len(ends))
            ends[line : line + 1] = [start + node.all_end_rel_micros]
            about = {"name": kind(node), "ph": "X", "pid": process, "tid": line}
            about |= {"ts": start, "dur": node.all_end_rel_micros}
            events.append(about | {"args": {"name": node.node_name, "bytes": memory(node)}})
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def kind(node):
    """What kind of operation it is, such as "MatMul"; its name, if that is not known."""
    found = re.search(r" = (\w+)\(", node.timeline_label)
    return found[1] if found else node.node_name


def memory(node):
    """The bytes that it allocated, at most at one time."""
    return sum(used.peak_bytes for used in node.memory)
