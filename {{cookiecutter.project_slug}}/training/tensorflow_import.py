"""Import TensorFlow when it is first used, and without its start-up messages.

Its import takes seconds, which `--help` and wrong flags do not need. After `import_lazily()`,
`import tensorflow as tf` costs nothing until an attribute is used. Other forms, such as
`import tensorflow.compat.v1 as tf`, load TensorFlow at once. Keras, a third of the time, is loaded
when `tf.keras` or `keras` is first used.
"""

import contextlib
import faulthandler
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import re
import sys
import tempfile
import types

# Messages that the native libraries write before they read TF_CPP_MIN_LOG_LEVEL.
NOISE = re.compile(
    rb"[IW]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IW] "
    rb"|WARNING: All log messages before|To enable the following instructions"
)


def import_lazily() -> None:
    """Register a module that loads TensorFlow when one of its attributes is used."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    if "tensorflow" in sys.modules:
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None:  # and `import tensorflow` will say so
        return
    module = importlib.util.module_from_spec(spec)
    del module.__path__  # Python asks for it when it looks for a module within tensorflow
    module.__class__ = LazyTensorFlow
    sys.modules["tensorflow"] = module


class LazyTensorFlow(types.ModuleType):
    """The module tensorflow, until it is loaded."""

    def __getattr__(self, name):
        self.load()
        return getattr(self, name)

    def __dir__(self):
        self.load()
        return dir(self)

    def load(self):
        """Become TensorFlow itself."""
        self.__class__ = types.ModuleType
        self.__path__ = self.__spec__.submodule_search_locations
        with without_noise(), without_keras():
            self.__spec__.loader.exec_module(self)

    def is_tensor(self, value):
        """Whether it is a tensor, as matplotlib asks: none is before TensorFlow is loaded."""
        return False


class KerasLater(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets Keras be found, but not loaded, as long as TensorFlow is being loaded.

    At the end of its own import TensorFlow tries to load Keras, so that Keras may register classes
    for files of SavedModel. Later, the first use of Keras loads it, and leaves Python's and NumPy's
    generators as they are: what a model draws must not depend on when that is.
    """

    def __init__(self):
        self.is_held = True

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name) if name == "keras" else None
        if spec:
            self.loader, spec.loader = spec.loader, self
        return spec

    def exec_module(self, module):
        if self.is_held:
            raise ImportError("Keras is loaded when it is first used")
        sys.meta_path.remove(self)
        module.__loader__ = module.__spec__.loader = self.loader
        import numpy as np  # here: without any package, main.py --doctor needs this file

        python, numpy = random.getstate(), np.random.get_state()
        try:
            self.loader.exec_module(module)
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextlib.contextmanager
def without_keras():
    """Within it, Keras is not loaded."""
    later = KerasLater()
    sys.meta_path.insert(0, later)
    try:
        yield
    finally:
        later.is_held = False


@contextlib.contextmanager
def without_noise(everything: bool = False):
    """Hold back what native code writes to standard error; afterwards write all but the noise.

    everything: whether all of it is noise.
    """
    if sys.stderr is None:  # closed
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    watch = not faulthandler.is_enabled()
    if watch:
        faulthandler.enable(stderr)  # a crash in native code is not held back
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            if watch:
                faulthandler.disable()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not (everything or NOISE.match(line)):
                    os.write(2, line)
