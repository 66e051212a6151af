"""Every way to import TensorFlow works at the head of a model's file, and --help stays quick."""

import subprocess
import sys

import pytest

from training.files import PROJECT

# How it is imported, what is then used of it, and whether TensorFlow waits until then.
FORMS = [
    ("import tensorflow as tf", "tf.zeros", True),
    ("import tensorflow", "tensorflow.compat.v1.Session", True),
    ("import tensorflow.compat.v1 as tf", "tf.get_variable", True),
    ("import tensorflow.compat.v1", "tensorflow.compat.v1.Session", True),
    ("import tensorflow.compat.v1.nn as nn", "nn.relu", True),
    ("import tensorflow.keras.backend as K", "K.clear_session", True),
    ("from tensorflow import keras", "keras.layers.Dense", False),
    ("from tensorflow.keras import layers", "layers.Dense", False),
    ("from tensorflow.keras.layers import Dense", "Dense.call", False),
    ("from tensorflow.compat import v1 as tf", "tf.placeholder", False),
    ("from tensorflow.python.framework import ops", "ops.Graph", False),
    ("import importlib; tf = importlib.import_module('tensorflow.compat.v1')", "tf.Session", True),
]


def python(*lines):
    """Run lines in a process of their own. Returns (exit status, output, errors)."""
    command = [sys.executable, "-c", "\n".join(lines)]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return answer.returncode, answer.stdout, answer.stderr


LOADED = "print('tensorflow.python' in sys.modules)"


@pytest.mark.parametrize("form, used, waits", FORMS, ids=[form for form, _, _ in FORMS])
def test_an_import_gives_what_plain_tensorflow_gives(form, used, waits):
    answer = python(
        "import sys, models",
        form,
        LOADED,
        f"print(callable({used}))",
        LOADED,
        "import tensorflow",  # the module itself is whole, too
        "print(tensorflow.Graph().seed)",
    )
    assert answer == (0, f"{not waits}\nTrue\nTrue\nNone\n", "")


def test_all_forms_work_together_and_mean_the_same():
    answer = python(
        "import sys, models",
        *(form for form, _, _ in FORMS if " as tf" not in form),
        "import tensorflow.compat.v1 as v1",
        "from tensorflow.compat import v1 as again",
        "print(v1.Session is again.Session is tensorflow.compat.v1.Session)",
    )
    assert answer == (0, "True\n", "")


def test_the_second_line_of_old_scripts_is_refused_in_words():
    old = ["import tensorflow.compat.v1 as tf", "from models import make_model"]
    status, output, errors = python(
        "import models", *old, "tf.disable_eager_execution()", "print(make_model({}).step)"
    )
    assert (status, output, errors) == (0, "0\n", "")
    status, _, errors = python("import models", *old, "tf.disable_v2_behavior()", "make_model({})")
    assert status == 1 and "ValueError: tf.disable_v2_behavior()" in errors
    assert errors.endswith("placeholders work without it\n")


def test_what_tensorflow_does_not_have_is_said_when_it_is_used():
    status, _, errors = python("import models", "import tensorflow.contrib as c", "c.layers")
    assert status == 1 and errors.endswith("No module named 'tensorflow.contrib'\n")
    status, _, errors = python("import models", "from tensorflow.keras import nothing")
    assert status == 1 and "ImportError: cannot import name 'nothing'" in errors
