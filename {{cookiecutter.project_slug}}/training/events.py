"""What TensorBoard shows: curves for train and valid, the graph, every variable, images.

loss, accuracy, ...    of an evaluation: of the sample of train and of valid, in one chart
training/...           batch_loss and examples_per_second, of the training steps; learning_rate and
                       gradient_norm, at each evaluation
variables/...          variables that are one number; of the others, histograms
summaries/...          what a model's own `summaries` gives

TensorBoard reads files of records, each a protocol buffer `Event`. One file for train and one for
valid let it draw both curves into one chart. Every start of a run adds two new files.
"""

import contextlib
import socket
import time
from typing import Any

import numpy as np
import tensorflow as tf

from conditions import used
from setting import as_text
from training.files import sync
from training.graph_page import drawing
from training.messages import one_line


def scalar(tag, value):
    """One point of a curve."""
    return tf.compat.v1.Summary.Value(tag=tag, simple_value=np.asarray(value).item())


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


class Events:
    """The event files of one start of a run; is_new: whether it is the first start."""

    def __init__(self, run_path, model, is_new):
        self.paths, self.writers = {}, {}
        for split in ("train", "valid"):
            folder = run_path / split
            folder.mkdir(exist_ok=True)
            # Numbered: two starts in one second would otherwise write the same file.
            numbers = [int(path.suffix[1:]) for path in folder.glob(f"events.*.{'[0-9]' * 5}")]
            name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
            self.paths[split] = folder / f"{name}.{max(numbers, default=-1) + 1:05d}"
            with self.writing(split):
                self.writers[split] = tf.io.TFRecordWriter(str(self.paths[split]))
            self.add(split, file_version="brain.Event:2")
        if is_new:
            graph = drawing(model.graph, model.graph_page)
            self.add("train", graph_def=graph.SerializeToString())
            in_use = used(model.hyperparameters, model.config)
            own = [s.name for s in model.hyperparameters if s.name in in_use]
            names = ["model_name", *own, "random_seed"]
            self.add_hyperparameters({name: model.config[name] for name in names})
        else:
            # TensorBoard drops what an earlier process recorded from this step on.
            start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
            for split in self.writers:
                self.add(split, model.step + 1, session_log=start)

    def add_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        """Add what TensorBoard's HPARAMS page shows, if the package tensorboard is installed."""
        with contextlib.suppress(ImportError):
            from tensorboard.plugins.hparams import summary

            # The page knows numbers and texts.
            shown = {
                n: as_text(v) if isinstance(v, list) else v for n, v in hyperparameters.items()
            }
            content = summary.session_start_pb(shown).SerializeToString()
            self.add("valid", summary=tf.compat.v1.Summary.FromString(content))

    def add_end(self, succeeded: bool, step: int) -> None:
        """Add how a run ended to the HPARAMS page, if the package tensorboard is installed."""
        with contextlib.suppress(ImportError):
            from tensorboard.plugins.hparams import api_pb2, summary

            status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
            content = summary.session_end_pb(status).SerializeToString()
            self.add("valid", step, summary=tf.compat.v1.Summary.FromString(content))

    def add_scalars(self, split: str, step: int, values: dict[str, float]) -> None:
        """Add {name: value} to the curves of a split."""
        parts = [scalar(name, value) for name, value in values.items()]
        self.add(split, step, summary=tf.compat.v1.Summary(value=parts))

    def add_inspection(self, step, scalars, arrays, summary: bytes | None) -> None:
        """Add what evaluation.inspect returns; the model's summary, of valid, to its curves."""
        parts = [scalar(name, value) for name, value in scalars.items()]
        parts += [histogram(name, array) for name, array in arrays.items()]
        self.add("train", step, summary=tf.compat.v1.Summary(value=parts))
        if summary is not None:
            self.add("valid", step, summary=tf.compat.v1.Summary.FromString(summary))

    def add(self, split: str, step: int = 0, **content) -> None:
        """Add one event; content: a field of the protocol buffer, such as summary."""
        event = tf.compat.v1.Event(wall_time=time.time(), step=step, **content)
        with self.writing(split):
            self.writers[split].write(event.SerializeToString())
            self.writers[split].flush()

    def sync(self) -> None:
        """Wait until all events are on the disk."""
        for path in self.paths.values():
            sync(path)
            sync(path.parent)

    def close(self) -> None:
        for split in self.writers:
            with contextlib.suppress(OSError), self.writing(split):  # add has raised it before
                self.writers[split].close()

    @contextlib.contextmanager
    def writing(self, split):
        """Turn TensorFlow's errors into OSError that names the file."""
        try:
            yield
        except tf.errors.OpError as error:
            raise OSError(f"{self.paths[split]} cannot be written: {one_line(error)}") from None
