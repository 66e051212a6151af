"""What TensorBoard shows: curves for train and valid, the graph, every variable, pictures.

Version 1 summaries: they need no tensorboard package, and one event writer each for train and
valid lets TensorBoard draw both curves into one chart.
"""

import tensorflow as tf

from training.files import sync


def variable_summaries(variables):
    """Ops with mean, standard deviation, minimum, maximum and histogram of every variable."""
    summary = tf.compat.v1.summary
    ops = []
    for variable in variables:
        name = variable.op.name
        value = tf.cast(variable, tf.float32)
        ops += [
            summary.scalar(f"mean/{name}", tf.reduce_mean(value)),
            summary.scalar(f"stddev/{name}", tf.math.reduce_std(value)),
            summary.scalar(f"minimum/{name}", tf.reduce_min(value)),
            summary.scalar(f"maximum/{name}", tf.reduce_max(value)),
            summary.histogram(name, value),
        ]
    return ops


class Writers:
    """The event writers of one run: `with Writers(run.path, model, resumed_at) as writers`."""

    def __init__(self, run_path, model, resumed_at=None):
        self.folders = {split: run_path / split for split in ("train", "valid")}
        self.writers, self.files = {}, {}
        for split, folder in self.folders.items():
            # A number of its own: two starts in one second would write the same file.
            before = set(folder.glob("events.*"))
            number = max((int(path.suffix[1:]) + 1 for path in before), default=0)
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
        return self

    def __exit__(self, *error):
        for writer in self.writers.values():
            writer.close()

    def add_hyperparameters(self, hyperparameters):
        """What TensorBoard's HPARAMS page compares runs by, where tensorboard is installed."""
        try:
            from tensorboard.plugins.hparams import summary
        except ImportError:
            return
        content = summary.session_start_pb(hyperparameters).SerializeToString()
        self.writers["valid"].add_summary(tf.compat.v1.Summary.FromString(content))

    def add_scalars(self, split, step, values):
        """Add one point per value, a dictionary of floats, to the curves of a split."""
        points = [
            tf.compat.v1.Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
        ]
        self.writers[split].add_summary(tf.compat.v1.Summary(value=points), step)

    def add(self, split, step, summaries):
        """Add serialized summaries, as the session returns them."""
        self.writers[split].add_summary(summaries, step)

    def sync(self):
        """Wait until all events are on the disk."""
        for split, writer in self.writers.items():
            writer.flush()
            sync(self.files[split])
            sync(self.folders[split])
