"""What a model runs on: the number of threads, and whether GPUs are used.

The number of threads belongs to a run, because it determines the last bits. Eigen, TensorFlow's
library for matrix products, splits a product by the sizes of the caches and by the number of
threads that it is given; another split adds in another order. Which processors run these threads,
and how many, changes nothing.
"""

import contextlib
import functools
from pathlib import Path

import tensorflow as tf

from settings import ConfigError
from training.processors import affinity, as_gpus, read


def prepare_device(config: dict) -> None:
    """Set up this process for --threads, --device and --deterministic; ConfigError if it cannot."""
    set_up_threads(config)
    if not tf.compat.v1.resource_variables_enabled():
        raise ValueError(
            "tf.disable_v2_behavior() disables the variables and loops that training needs; "
            "remove that line: graphs, sessions and placeholders work without it"
        )
    if config["deterministic"]:
        tf.config.experimental.enable_op_determinism()
    if config["device"] == "gpu" and not has_gpu(config):
        raise ConfigError("--device=gpu: TensorFlow sees no GPU here; use --device=auto")
    gpus, wanted = len(tf.config.list_physical_devices("GPU")), config["nb_replicas"]
    if has_gpu(config) and gpus < wanted:
        raise ConfigError(f"--nb_replicas={wanted}: TensorFlow sees {as_gpus(gpus)} here")


def has_gpu(config: dict) -> bool:
    """Whether steps run on a GPU."""
    return config["device"] != "cpu" and bool(tf.config.list_physical_devices("GPU"))


def gpus(config: dict) -> list[str]:
    """The names of the GPUs on which steps run; [] if they run on the processor."""
    found = tf.config.list_physical_devices("GPU") if has_gpu(config) else []
    details = map(tf.config.experimental.get_device_details, found[: config["nb_replicas"]])
    return [about.get("device_name", "a GPU") for about in details]


def named(gpus: list[str]) -> str:
    """What `gpus` returned, for a person."""
    return ", ".join(map(str, gpus or [])) or "the processor"


def replicas(config: dict) -> list[str]:
    """The devices of --nb_replicas: GPUs, or without them as many devices of the processor."""
    kind = "GPU" if has_gpu(config) else "CPU"
    return [f"{kind}:{number}" for number in range(config["nb_replicas"])]


def session_config(config: dict) -> "tf.compat.v1.ConfigProto":
    """A session that allocates a GPU's memory as it is needed; no GPU with --device=cpu."""
    no_gpu = {"GPU": 0} if config["device"] == "cpu" else {}
    return tf.compat.v1.ConfigProto(
        gpu_options=tf.compat.v1.GPUOptions(allow_growth=True),
        device_count={"CPU": config["nb_replicas"]} | no_gpu,
        intra_op_parallelism_threads=config["threads"],
        inter_op_parallelism_threads=config["threads"],
    )


def set_up_threads(config: dict) -> None:
    """Set TensorFlow's number of threads; ConfigError if this process has another one already."""
    count, options = config["threads"], tf.config.threading
    try:
        options.set_intra_op_parallelism_threads(count)
        options.set_inter_op_parallelism_threads(count)  # of no influence on the bits
        if config["device"] == "cpu":
            tf.config.set_visible_devices([], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        pass  # TensorFlow has begun in this process, and keeps what it has
    there = pool_size()
    if there != count:
        raise ConfigError(
            f"--threads={count}: this process has {there} threads already, and TensorFlow creates "
            f"them once; use --threads={there}, or another process for this model"
        )


@functools.cache
def pool_size() -> int:
    """How many threads TensorFlow multiplies with in this process; it creates them once.

    Linux shows the names of threads; XLA has the same number as TensorFlow. Elsewhere it is the
    number that TensorFlow was asked for.
    """
    tf.config.list_logical_devices("CPU")  # creates the threads, unless they are there
    without_gpu = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
    with contextlib.suppress(tf.errors.OpError), tf.Graph().as_default():  # if XLA is not there
        number = tf.compat.v1.placeholder(tf.float32, [])
        product = tf.function(lambda: number * number, jit_compile=True, autograph=False)()
        with tf.compat.v1.Session(config=without_gpu) as session:
            session.run(product, {number: 1.0})  # lets XLA create its threads
    names = [read(file) for file in Path("/proc/self/task").glob("*/comm")]
    asked = tf.config.threading.get_intra_op_parallelism_threads()
    return names.count("tf_XLAEigen") or asked or affinity()
