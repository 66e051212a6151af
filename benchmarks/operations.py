"""How long single operations and their gradients take with each --jit, on a CPU.

    python benchmarks/operations.py                about two minutes; on an idle machine only
    python benchmarks/operations.py --only=conv    operations whose names hold one of these words

This is the evidence for the table SLOW_ON_CPU in the project's training/compilation.py: operations
that are slow within the loop that XLA compiles, for which the project trains without it. What is
timed is the project's own loop, over steps that hold one operation: its mean square, gradients for
its weights, and their update. The last column is what the project would choose. Writes
build/bench/operations.md and operations.json.
"""

import argparse
import os
import re
import sys
import time

import numpy as np
import prepare
import processes
import report
from operations_table import BATCH_SIZE, operations

EXAMPLES, STEPS = 256, 200  # steps in one call, at most
SECONDS = 0.3  # of one timed call; the fastest of three counts
JITS = ("loop", "step", "off")
COLUMNS = ["operation", *(f"{jit}, µs" for jit in JITS), "loop / off", "step / off", "chosen"]


def microseconds(operation, jit, threads):
    """What a step takes, in microseconds, and the --jit that the project would choose."""
    import tensorflow as tf

    from training import compilation
    from training.feeding import on_device
    from training.steps import CompiledLoop

    shape, shapes, function = operation
    rng, v1 = np.random.default_rng(0), tf.compat.v1
    examples = rng.standard_normal([EXAMPLES, *shape], np.float32)
    orders = rng.integers(0, EXAMPLES, [STEPS, BATCH_SIZE])
    with tf.Graph().as_default() as graph:
        first = [0.1 * rng.standard_normal(s, np.float32) for s in shapes]
        weights = [v1.get_variable(f"w{i}", initializer=w) for i, w in enumerate(first)]
        data, fill, placeholders = on_device({"values": examples})

        def step(batch):
            values = tf.ensure_shape(batch["values"], [BATCH_SIZE, *shape])
            loss = tf.reduce_mean(tf.square(function(values, weights)))
            pairs = zip(tf.gradients(loss, weights), weights, strict=True)
            update = v1.train.GradientDescentOptimizer(1e-6).apply_gradients(pairs)
            with tf.control_dependencies([update]):
                return tf.identity(loss)

        loop = CompiledLoop(step, data, weights, BATCH_SIZE, jit)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(fill, {placeholders["values"]: examples})
            loop.run(session, orders[:1], {})  # compiles
            seconds = timed(loop, session, orders[:2])
            count = int(min(STEPS, max(2, SECONDS / seconds)))
            best = min(timed(loop, session, orders[:count]) for _ in range(3))
    config = {"device": "cpu", "threads": threads, "deterministic": False}
    return 1e6 * best, compilation.suits(graph, config)[0]


def timed(loop, session, rows):
    """Seconds a step."""
    began = time.perf_counter()
    loop.run(session, rows, {})
    return (time.perf_counter() - began) / len(rows)


def measure(operation, threads):
    """{jit: µs, "chosen": jit, "failed": {jit: reason}} of one operation."""
    found = {"failed": {}}
    for jit in JITS:
        try:
            found[jit], found["chosen"] = microseconds(operation, jit, threads)
        except Exception as error:  # XLA lacks some operations; the others must still be measured
            reason = re.search("No registered .*? OpKernel", str(error)) or [type(error).__name__]
            found["failed"][jit] = reason[0]
    return found


def row(name, found):
    """The cells of one operation."""
    times = [f"{found[jit]:,.0f}" if jit in found else "-" for jit in JITS]
    ratios = [
        f"{found[jit] / found['off']:.2f}" if {jit, "off"} <= found.keys() else "-"
        for jit in JITS[:2]
    ]
    return [name, *times, *ratios, found.get("chosen", "-")]


def main():
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description="Time single operations with each --jit, on a CPU."
    )
    parser.add_argument("--only", default="", help="words in the names of operations, with commas")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count()))
    options = parser.parse_args()
    prepare.BUILD.mkdir(parents=True, exist_ok=True)
    machine = prepare.machine(options.threads)
    processes.limit_to(options.threads)
    _, project = prepare.template_and_project()
    sys.path.insert(0, str(project))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from training import device

    device.prepare_device({"threads": options.threads, "device": "cpu", "deterministic": False})
    results = {}
    for name, operation in operations(tf).items():
        if any(word in name for word in options.only.split(",")):
            results[name] = measure(operation, options.threads)
            print(*row(name, results[name]), results[name]["failed"] or "", flush=True)
    failed = [[f"{n}, {jit}", why] for n, r in results.items() for jit, why in r["failed"].items()]
    rows = [row(name, found) for name, found in results.items()]
    tables = [
        ("A step with its gradient", COLUMNS, rows),
        ("Not measured", ["operation", "reason"], failed),
    ]
    about = f"{options.threads} threads"
    report.write("operations", about, machine, tables, prepare.BUILD, results)


if __name__ == "__main__":
    main()
