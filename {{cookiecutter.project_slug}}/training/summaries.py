"""What TensorBoard shows: curves for train and valid, the graph, every variable, pictures.

Version 1 summaries: they need no tensorboard package, and one event writer each for train and
valid lets TensorBoard draw both curves into one chart.
"""

import contextlib
import re
import threading

import numpy as np
import tensorflow as tf

from training.files import sync


def scalar(tag, value):
    """One point of a curve."""
    return tf.compat.v1.Summary.Value(tag=tag, simple_value=value)


def histogram(tag, values):
    """How the values of an array are distributed, in 30 buckets of equal width.

    NumPy counts them five times as fast as TensorFlow's histogram op does on a CPU.
    """
    values = np.asarray(values, np.float64)
    counts, edges = np.histogram(values, bins=30)
    proto = tf.compat.v1.HistogramProto(
        min=values.min(),
        max=values.max(),
        num=values.size,
        sum=values.sum(),
        sum_squares=np.square(values).sum(),
        bucket_limit=edges[1:],
        bucket=counts,
    )
    return tf.compat.v1.Summary.Value(tag=tag, histo=proto)


class Writers:
    """The event writers of one run: `with Writers(run.path, model, resumed_at) as writers`."""

    def __init__(self, run_path, model, resumed_at=None):
        self.folders = {split: run_path / split for split in ("train", "valid")}
        self.writers, self.files = {}, {}
        self.sizes, self.waiting = {}, dict.fromkeys(self.folders, False)  # since the last sync
        self.lock = threading.Lock()  # one thread adds, another one syncs
        for split, folder in self.folders.items():
            # A number of its own: two starts in one second would write the same file.
            before = set(folder.glob("events.*"))
            numbers = [int(p.suffix[1:]) for p in before if re.fullmatch(r"\.\d+", p.suffix)]
            number = max(numbers, default=-1) + 1
            with model.graph.as_default():
                self.writers[split] = tf.compat.v1.summary.FileWriter(
                    str(folder), flush_secs=10, filename_suffix=f".{number:05d}"
                )
            (self.files[split],) = set(folder.glob("events.*")) - before
        if resumed_at is None:
            self.writers["train"].add_graph(model.graph)
            self.add_hyperparameters({s.name: model.config[s.name] for s in model.hyperparameters})
        else:
            # TensorBoard drops what an earlier process recorded from this step on.
            start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
            for writer in self.writers.values():
                writer.add_session_log(start, resumed_at + 1)

    def __enter__(self):
        # What stops a writer's own thread is raised again by flush: not to be printed besides.
        self.hook, self.level = threading.excepthook, tf.get_logger().level
        threading.excepthook = self.leave_out_writers
        tf.get_logger().setLevel("FATAL")
        return self

    def leave_out_writers(self, arguments):
        """What Python calls when a thread ends with an exception."""
        if arguments.thread is None or arguments.thread.name != "EventLoggerThread":
            self.hook(arguments)

    def __exit__(self, *error):
        for writer in self.writers.values():
            with contextlib.suppress(Exception):  # it was raised by flush before
                writer.close()
        threading.excepthook = self.hook
        tf.get_logger().setLevel(self.level)

    def add_hyperparameters(self, hyperparameters):
        """What TensorBoard's HPARAMS page compares runs by, where tensorboard is installed."""
        try:
            from tensorboard.plugins.hparams import summary
        except ImportError:
            return
        content = summary.session_start_pb(hyperparameters).SerializeToString()
        self.writers["valid"].add_summary(tf.compat.v1.Summary.FromString(content))

    def add_scalars(self, split, points):
        """Add {step: {name: value}} to the curves of a split."""
        for step, values in points.items():
            parts = [scalar(name, value) for name, value in values.items()]
            self.add(split, step, tf.compat.v1.Summary(value=parts))

    def add_variables(self, step, arrays):
        """Add mean, standard deviation, minimum, maximum and histogram of {name: array}."""
        parts = []
        for name, array in arrays.items():
            for statistic in (np.mean, np.std, np.min, np.max):
                parts.append(scalar(f"{name}/{statistic.__name__}", statistic(array)))
            parts.append(histogram(name, array))
        self.add("train", step, tf.compat.v1.Summary(value=parts))

    def add(self, split, step, summaries):
        """Add summaries, also serialized ones as the session returns them."""
        with self.lock:
            self.writers[split].add_summary(summaries, step)
            self.waiting[split] = True

    def sync(self):
        """Wait until all events are on the disk."""
        for split, path in self.files.items():
            with self.lock:
                self.flush(split, path)
            sync(path)
            sync(self.folders[split])

    def flush(self, split, path):
        """Write what waits in memory; OSError if it cannot be written."""
        try:
            self.writers[split].flush()
        except Exception as error:  # whatever stopped the writer's own thread
            raise OSError(f"{path} cannot be written: {error}") from None
        size = path.stat().st_size
        if self.waiting[split] and size == self.sizes.get(split):  # lost without an error
            raise OSError(f"{path} cannot be written: it does not grow")
        self.sizes[split], self.waiting[split] = size, False
