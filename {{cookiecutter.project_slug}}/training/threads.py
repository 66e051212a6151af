"""How many threads multiply matrices: part of a run, because it decides over the last bits.

Eigen, which TensorFlow multiplies with, cuts a matrix product by the sizes of the caches and by the
number of threads that it is given, and another cut adds in another order. Which processors serve
these threads, and how many, changes nothing.
"""

from pathlib import Path

import tensorflow as tf

from models.hyperparameters import ConfigError
from training.processors import affinity

TASKS = Path("/proc/self/task")  # a folder for each thread of this process, on Linux
not_in_force = set()  # numbers that came too late: a session had been opened before


def claim(count, gpus=True):
    """Give TensorFlow its number of threads: one pool for the whole process, made once.

    gpus: whether the process may use them. ConfigError if the pool is there with another number.
    """
    options = tf.config.threading
    fresh = options.get_intra_op_parallelism_threads() != count
    try:
        options.set_intra_op_parallelism_threads(count)
        options.set_inter_op_parallelism_threads(count)  # of no influence on the bits
        if not gpus:
            tf.config.set_visible_devices([], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # TensorFlow has begun: nothing of this can be changed any more
        in_force = options.get_intra_op_parallelism_threads() or affinity()
        if in_force != count:
            refuse(count, f"this process has {in_force} threads already")
        return
    before = os_threads()
    tf.config.list_logical_devices("CPU")  # TensorFlow begins, and keeps the number from now on
    if fresh and before and os_threads() < before + 2 * count:  # it made no pool now
        not_in_force.add(count)
    if count in not_in_force:
        refuse(count, "a session that was opened before has made the threads of this process")


def os_threads():
    """All threads of this process, TensorFlow's own included; 0 where the system does not tell."""
    return len(list(TASKS.iterdir())) if TASKS.exists() else 0


def refuse(count, reason):
    raise ConfigError(
        f"--threads={count}: {reason}, and TensorFlow makes them once; "
        "use the same number, or a process of its own for this model"
    )
