"""A line through 100 points: y = weight * x + bias, by gradient descent.

It ends at the least-squares solution. Nearly all of its 3 s are the import of TensorFlow.

    python main.py
"""

import numpy as np
import tensorflow as tf

from models.basic_model import BasicModel
from settings import Setting, optimization
from training.batches import random_stream
from training.drawing import WIDTH, picture

POINTS = 100
SLOPE, NOISE = 3.0, 0.3  # the law: y = 3x + noise of this standard deviation


class LinearRegression(BasicModel):
    """One weight and one bias against the mean squared error."""

    hyperparameters = (
        *optimization(lr=0.5, batch_size=POINTS, decay_steps=200),
        Setting("initial_mean", float, 0.0, "mean of the first weight", -1e6, 1e6),
        Setting("initial_stddev", float, 1.0, "standard deviation of the first weight", 0.0, 1e6),
    )  # fmt: skip
    max_iter = 200
    eval_every = 20
    objective = ("loss", "min")

    def inputs(self, split):
        """100 points of the law on [-1, 1]: {"x", "y"}, float32 [100]; fresh noise per split."""
        x = np.linspace(-1, 1, POINTS)
        noise = random_stream(self.config["random_seed"], f"points of {split}").normal(size=POINTS)
        return {"x": x.astype(np.float32), "y": (SLOPE * x + NOISE * noise).astype(np.float32)}

    def inference(self, batch, training):
        """y, float32 [batch], for batch["x"]."""
        mean, stddev = self.config["initial_mean"], self.config["initial_stddev"]
        weight = self.truncated_normal("weight", [], stddev, mean)
        bias = tf.compat.v1.get_variable("bias", [], initializer=tf.zeros_initializer())
        return weight * batch["x"] + bias

    def loss(self, outputs, batch):
        """Mean squared error."""
        return tf.reduce_mean(tf.square(outputs - batch["y"]))

    def evaluation(self, outputs, batch):
        """The absolute error of each example."""
        return {"absolute_error": tf.abs(outputs - batch["y"])}

    def predictions(self, outputs):
        return {"y": outputs}

    def summaries(self, batch, outputs, loss):
        """Where the points lie, and where the line has them."""
        values = {"x": batch["x"], "y": batch["y"], "line": outputs}
        return [tf.compat.v1.summary.histogram(name, array) for name, array in values.items()]

    def report(self, folder):
        """Draw fit.png; say how far the line is from the least-squares solution."""
        x, y = (self.load("train")[name] for name in ("x", "y"))
        w, b = (float(self.weights()[name]) for name in ("weight", "bias"))
        best_w, best_b = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]
        fitted = f"y = {w:.4f}x {'-' if b < 0 else '+'} {abs(b):.4f}"
        draw_fit(folder / "fit.png", x, y, w * x + b, fitted)
        differences = f"w differs by {abs(w - best_w):.1g}, b by {abs(b - best_b):.1g}"
        return [f"Fitted {fitted}", f"Least squares: {differences}"]


def draw_fit(path, x, y, line, label):
    """Draw the points and the fitted line as a PNG."""
    with picture(path, f"{POINTS} points and the fitted line, {label}", WIDTH, 4) as figure:
        figure.subplots_adjust(0.12, 0.13, 0.97, 0.97)
        axes = figure.subplots()
        axes.scatter(x, y, s=14, alpha=0.7, label=f"{POINTS} points, y = {SLOPE:g}x + noise")
        axes.plot(x, line, color="tab:orange", linewidth=2, label=label)
        axes.set(xlabel="x", ylabel="y")
        axes.legend(loc="upper left")
