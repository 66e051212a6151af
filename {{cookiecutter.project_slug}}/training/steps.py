"""The fast loop: one call of the session trains many steps.

The training data lies in variables on the device, see training/feeding.py, the steps are a while
loop, and the host feeds nothing but row numbers: Python does no work inside a chunk.
training/compilation.py says what of it XLA compiles.
"""

import numpy as np
import tensorflow as tf

CHUNK_ROWS = 2**17  # row numbers fed at a time, at most: half a megabyte
CHUNK_STEPS = 1000
CHUNK_SECONDS = 1.0  # Ctrl-C waits for the end of a chunk


def all_nodes(graph, scope: str = "") -> list:
    """The nodes of a graph in a scope, such as "optimizer/", and those of all its functions."""
    definition = graph.as_graph_def()
    own = [node for node in definition.node if node.name.startswith(scope)]
    return [*own, *(n for f in definition.library.function for n in f.node_def)]


def check_hidden_state(graph) -> None:
    """ValueError names a random op that counts its calls: no checkpoint holds such a counter."""
    for node in all_nodes(graph):
        if node.op in ("PyFunc", "PyFuncStateless", "EagerPyFunc"):
            raise ValueError(
                f"{node.name} ({node.op}) calls Python, by tf.numpy_function or tf.py_function: "
                "what it does is in no graph and no checkpoint; use operations of TensorFlow, or "
                "compute it in inputs"
            )
        if "seed2" in node.attr or node.op == "RngReadAndSkip":  # all of TensorFlow's that count
            raise ValueError(
                f"{node.name} ({node.op}) keeps hidden state, so a resumed run would differ; "
                "use self.truncated_normal, self.dropout or tf.random.stateless_*, "
                "and give every get_variable an initializer"
            )


def chunk_steps(batch_size: int) -> int:
    """The most steps of one chunk."""
    return max(1, min(CHUNK_STEPS, CHUNK_ROWS // batch_size))


class CompiledLoop:
    """The loop over `train_step(batch)`, which makes one update and returns its loss.

    data: {name: Held [examples, ...]}, see training/feeding.py; watched: the variables that must
    stay finite; jit: as --jit, see training/compilation.py.
    """

    def __init__(self, train_step, data, watched, batch_size, jit):
        self.size = chunk_steps(batch_size)
        self.limit = 1  # steps in the next chunk: one at first, to see how long it takes
        self.rows = tf.compat.v1.placeholder(tf.int32, [self.size, batch_size], "rows")
        self.count = tf.compat.v1.placeholder(tf.int32, [], "count")
        self.buffer = np.zeros([self.size, batch_size], np.int32)

        if jit == "step":
            train_step = tf.function(train_step, jit_compile=True, autograph=False)

        @tf.function(jit_compile=jit == "loop", autograph=False)
        def train_steps():
            def go_on(done, loss, losses):
                return (done < self.count) & tf.math.is_finite(loss)

            def step(done, loss, losses):
                batch = {name: held.rows(self.rows[done]) for name, held in data.items()}
                loss = train_step(batch)
                return done + 1, loss, losses.write(done, loss)

            losses = tf.TensorArray(tf.float32, self.size, element_shape=[])
            done, _, losses = tf.while_loop(go_on, step, (0, 0.0, losses))
            return done, losses.stack()

        done, losses = train_steps()
        with tf.control_dependencies([done]):  # by TensorFlow: XLA would compile a quarter longer
            floats = [v.read_value() for v in watched if v.dtype.is_floating]
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])
        self.outputs = done, losses, finite

    def run(self, session, rows: np.ndarray, feed: dict) -> tuple[np.ndarray, bool]:
        """Train on the batches of rows, int32 [count <= size, batch_size].

        Returns the loss of each step, float32 [done], and whether all is finite. Stops after the
        first step with a non-finite loss.
        """
        count = len(rows)
        self.buffer[:count] = rows
        fed = {self.rows: self.buffer, self.count: count, **feed}
        done, losses, finite = session.run(self.outputs, fed)
        return losses[:done], bool(finite)

    def adapt(self, count: int, seconds: float) -> None:
        """Choose the length of the next chunk, by how long the last one took."""
        if count:
            self.limit = int(min(self.size, max(1, CHUNK_SECONDS * count / max(seconds, 1e-6))))
