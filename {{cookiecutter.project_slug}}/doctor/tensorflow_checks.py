"""The checks of --doctor that use TensorFlow; examination.py says what a check returns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

from doctor.checks import FAULT, NOTE, OK, what_was_raised
from settings import RUN_SETTINGS
from training import processors
from training.contract import check_table
from training.device import prepare_device, session_config
from training.messages import one_line

DEVICES = Path("/dev")  # where Linux has a file nvidia0 for the first GPU


def models():
    """Whether the files of the models can be imported, and their tables make flags."""
    try:
        from command_line import SEARCH, SHELL, STAGES
        from models import MODELS

        for model_class in MODELS.values():
            check_table(model_class, (*STAGES, *SEARCH, *SHELL))
    except ValueError as error:
        return FAULT, str(error)  # with what to do
    except Exception as error:
        return FAULT, f"{what_was_raised(error)}: python main.py --debug shows where"
    return OK, ", ".join(MODELS)


def gpus():
    """Which GPUs TensorFlow sees, and whether there are some that it does not see."""
    seen = tf.config.list_physical_devices("GPU")
    if seen:
        details = map(tf.config.experimental.get_device_details, seen)
        return OK, ", ".join(about.get("device_name", "a GPU") for about in details)
    if not has_gpu():
        return NOTE, "none: training runs on the processor"
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        value = os.environ["CUDA_VISIBLE_DEVICES"]
        return NOTE, f"hidden by CUDA_VISIBLE_DEVICES={value}: training runs on the processor"
    install = f'pip install "tensorflow[and-cuda]=={tf.__version__}"'
    if not tf.test.is_built_with_cuda():
        install = f"pip uninstall tensorflow-cpu, then {install}"
    return FAULT, f"there is one that TensorFlow does not see; nvidia-smi must list it: {install}"


def has_gpu():
    """Whether this machine has a GPU of NVIDIA that TensorFlow could use."""
    if sys.platform != "linux":
        return False
    return any(DEVICES.glob("nvidia[0-9]*")) or "GPU 0" in nvidia_smi("-L")


def nvidia_smi(*arguments):
    """What the tool of NVIDIA's driver answers; "" if it is not there or fails."""
    try:
        command = ["nvidia-smi", *arguments]
        answer = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def gpu_memory():
    """Whether TensorFlow takes a GPU's memory as it needs it, and not all at once."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    before = memory_in_use()
    multiply()
    after = memory_in_use()
    if not before or len(before) != len(after):
        return NOTE, "it should be taken as needed, but without nvidia-smi that cannot be seen"
    taken = [(end - start, total) for (start, total), (end, _) in zip(before, after, strict=True)]
    most, total = max(taken, key=lambda pair: pair[0] / pair[1])
    said = f"a small product took {most:,} of {total:,} MiB"
    if most > total / 2:
        return FAULT, f"all is taken at once, {said}: unset TF_FORCE_GPU_ALLOW_GROWTH"
    return OK, f"is taken as needed, {said}"


def memory_in_use():
    """Of each GPU: MiB in use and MiB in all, as [(used, total)]; [] if the driver does not say."""
    query = "--query-gpu=memory.used,memory.total"
    answer = nvidia_smi(query, "--format=csv,noheader,nounits")
    return [(int(u), int(t)) for u, t in re.findall(r"^(\d+), (\d+)$", answer, re.MULTILINE)]


def threads():
    """How many threads a run gets by default."""
    prepare_device(config())
    count, there = processors.count(), os.cpu_count()
    return OK, f"{count}, as this process may use {count} of {there} processors (--threads)"


def xla():
    """Whether XLA compiles here."""
    try:
        multiply(jit_compile=True)
    except (tf.errors.OpError, ValueError) as error:
        return NOTE, f"it does not compile here ({one_line(error)}): training goes on without it"
    return OK, "it compiles"


def multiply(**options):
    """Multiply two small matrices as training does, in a session of the project's own kind."""
    prepare_device(config())
    with tf.Graph().as_default():
        matrix = tf.compat.v1.placeholder(tf.float32, [2, 2])
        product = tf.function(lambda: matrix @ matrix, autograph=False, **options)()
        with tf.compat.v1.Session(config=session_config(config())) as session:
            result = session.run(product, {matrix: [[1, 2], [3, 4]]})
    if result.tolist() != [[7, 10], [15, 22]]:
        raise ArithmeticError(f"a product was {result.tolist()}, not [[7, 10], [15, 22]]")


def config():
    """The settings of a run by which a process is set up."""
    found = {setting.name: setting.default for setting in RUN_SETTINGS}
    return found | {"threads": processors.count()}


CHECKS = {
    "models": models,
    "GPUs": gpus,
    "GPU memory": gpu_memory,
    "threads": threads,
    "XLA": xla,
}
