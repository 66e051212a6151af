"""Every way to import TensorFlow works at the head of a model's file, and --help stays quick.

Each form is tried in a process of its own with a small package that is built like TensorFlow, and
all of them in two processes with TensorFlow itself, which takes seconds to load.
"""

import subprocess
import sys

import pytest

from training.files import PROJECT

# How it is imported, what is then used of it, and whether TensorFlow waits until then.
FORMS = [
    ("import tensorflow as tf", "tf.zeros", True),
    ("import tensorflow as tf", "tf.__version__.split", True),
    ("import tensorflow", "tensorflow.compat.v1.Session", True),
    ("import tensorflow.compat.v1 as tf", "tf.Session", False),
    ("import tensorflow.compat.v1 as tf", "tf.__version__.split", False),
    ("import tensorflow.compat.v1", "tensorflow.compat.v1.Session", False),
    ("import tensorflow.compat.v1.nn as nn", "nn.relu", False),
    ("import tensorflow.keras.layers as layers", "layers.Dense", False),
    ("import importlib; tf = importlib.import_module('tensorflow.compat.v1')", "tf.Session", False),
    ("from tensorflow import keras", "keras.layers.Dense", False),
    ("from tensorflow.keras import layers", "layers.Dense", False),
    ("from tensorflow.keras.layers import Dense", "Dense", False),
    ("from tensorflow.keras.layers import *", "Dense", False),
    ("from tensorflow.compat import v1 as tf", "tf.Session", False),
    ("from tensorflow.compat.v1 import *", "Session", False),
    ("from tensorflow.python.framework import ops", "ops.Graph", False),
    ("from tensorflow import *", "zeros", False),
]
PACKAGE = {
    "": "from tensorflow import compat, keras, python\nclass Graph: pass\ndef zeros(): pass",
    "compat": "from tensorflow.compat import v1",
    "compat/v1": "from tensorflow.compat.v1 import nn\nclass Session: pass\n__version__ = '2'",
    "compat/v1/nn": "def relu(): pass",
    "keras": "from tensorflow.keras import layers",
    "keras/layers": "class Dense: pass\n_hidden = 1",
    "python": "from tensorflow.python import framework",
    "python/framework": "from tensorflow.python.framework import ops",
    "python/framework/ops": "class Graph: pass",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a package tensorflow that loads at once."""
    folder = tmp_path_factory.mktemp("package")
    for path, text in PACKAGE.items():
        (folder / "tensorflow" / path).mkdir(parents=True)
        (folder / "tensorflow" / path / "__init__.py").write_text(text)
    file = folder / "tensorflow" / "__init__.py"
    file.write_text(file.read_text() + "\n__version__ = '2'\n__all__ = ['Graph', 'zeros']\n")
    return folder


def python(*lines, first="."):
    """Run lines in a process of their own. Returns (exit status, output, errors).

    first: a folder in which Python looks for modules before others.
    """
    lines = [
        f"import sys; sys.path.insert(0, {str(first)!r})",
        "from training import tensorflow_import; tensorflow_import.import_lazily()",
        *lines,
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    return answer.returncode, answer.stdout, answer.stderr


IS_LOADED = "print('tensorflow.python' in sys.modules)"


@pytest.mark.parametrize("form, used, waits", FORMS, ids=[f"{f}: {u}" for f, u, _ in FORMS])
def test_an_import_gives_what_a_plain_one_gives(package, form, used, waits):
    answer = python(
        form, IS_LOADED,
        f"print(callable({used}))", IS_LOADED,
        "import tensorflow", "print(callable(tensorflow.Graph))",  # the module itself is whole, too
        first=package,
    )  # fmt: skip
    assert answer == (0, f"{not waits}\nTrue\nTrue\nTrue\n", "")


def test_a_star_takes_public_names_only(package):
    star = ["from tensorflow.keras.layers import *", "print('Dense' in dir(), '_hidden' in dir())"]
    assert python(*star, first=package) == (0, "True False\n", "")


def test_the_names_of_the_module_are_those_of_tensorflow(package):
    lines = ["import tensorflow as tf", "print('zeros' in dir(tf))"]
    assert python(*lines, first=package) == (0, "True\n", "")


def test_what_python_asks_of_every_module_loads_nothing(package):
    lines = ["import inspect, tensorflow", "print(inspect.getmodule(lambda: 0))", IS_LOADED]
    answer = python(*lines, first=package)
    assert answer == (0, "<module '__main__' (built-in)>\nFalse\n", "")


def test_what_tensorflow_does_not_have_is_an_error_of_the_import(package):
    status, _, errors = python("import tensorflow.contrib as c", first=package)
    assert status == 1 and errors.endswith("No module named 'tensorflow.contrib'\n")
    status, _, errors = python("from tensorflow.keras import nothing", first=package)
    assert status == 1 and "ImportError: cannot import name 'nothing'" in errors


def test_all_forms_work_with_tensorflow_itself_and_mean_the_same():
    """And the second line of old scripts works, or is refused in words."""
    waiting = [(form, used) for form, used, waits in FORMS if waits]
    others = [(form, used) for form, used, waits in FORMS if not waits]
    status, output, errors = python(
        "import models",
        f"names = [({{}}, *form) for form in {waiting}]",
        "for space, form, _ in names: exec(form, space)",
        IS_LOADED,
        "print(all(callable(eval(used, space)) for space, _, used in names))",
        f"names = [({{}}, *form) for form in {others}]",
        "for space, form, used in names: exec(form, space); assert callable(eval(used, space))",
        "import tensorflow, tensorflow.compat.v1 as v1",
        "from tensorflow.compat import v1 as again",
        "print(v1.Session is again.Session is tensorflow.compat.v1.Session)",
        "v1.disable_eager_execution()",
        "print(models.make_model({}).step)",
        "v1.disable_v2_behavior()",
        "models.make_model({})",
    )
    assert (status, output) == (1, "False\nTrue\nTrue\n0\n")
    assert "ValueError: tf.disable_v2_behavior()" in errors
    assert errors.endswith("placeholders work without it\n")


def test_a_star_may_be_the_first_that_is_used_of_tensorflow():
    answer = python("from tensorflow.keras.layers import *", "print(Dense.__name__)")
    assert answer == (0, "Dense\n", "")


KERAS = "print(any(name.partition('.')[0] == 'keras' for name in sys.modules))"


def test_keras_is_loaded_when_it_is_first_used_and_not_before():
    lines = ["import tensorflow as tf", "tf.zeros", KERAS, "tf.keras.layers.Dense", KERAS]
    assert python(*lines) == (0, "False\nTrue\n", "")
    plain = "sys.modules.pop('tensorflow')"  # the control: TensorFlow by itself loads it
    status, output, _ = python(plain, "import tensorflow", KERAS)
    assert (status, output) == (0, "True\n")


def test_keras_may_come_first():
    lines = ["import keras", "print(keras.layers.Dense.__name__)", "import tensorflow as tf",
             "print(tf.keras.layers.Dense is keras.layers.Dense)"]  # fmt: skip
    assert python(*lines) == (0, "Dense\nTrue\n", "")


MODEL = """
import sys
import models
from models.mnist import MNIST
from training.digests import weights_sha256
import tensorflow as tf

class Dense(MNIST):
    def inference(self, batch, training):
        if not hasattr(self, "stack"):
            self.stack = [tf.keras.layers.Flatten(), tf.keras.layers.Dense(10)]
        values = tf.cast(batch["images"], tf.float32)
        for layer in self.stack:
            values = layer(values)
        return values

for seed in (1, 2):
    with Dense({"fake_data": True, "random_seed": seed, "jit": "off"}) as model:
        model.prepare_steps()  # builds it twice
        print(model.graph_sha256, weights_sha256(model.weights()))
"""


def test_a_model_of_keras_does_not_depend_on_when_keras_is_loaded():
    later, first = python(MODEL), python("import keras", MODEL)
    assert later[0] == 0 and later[1] == first[1], later
    one, two = later[1].splitlines()
    assert one != two
