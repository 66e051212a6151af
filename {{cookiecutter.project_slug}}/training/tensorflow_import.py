"""Import TensorFlow when it is first used, and without its start-up messages.

Its import takes seconds, which `--help` and wrong flags do not need. After `import_lazily()`,
`import tensorflow as tf` and `import tensorflow.compat.v1 as tf` cost nothing until an attribute is
used. `from tensorflow.keras import layers` uses one, and loads TensorFlow at once.
"""

import contextlib
import faulthandler
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
import tempfile
import types

# Messages that the native libraries write before they read TF_CPP_MIN_LOG_LEVEL.
NOISE = re.compile(
    rb"[IW]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IW] "
    rb"|WARNING: All log messages before|To enable the following instructions"
)
# All of TensorFlow's names with underscores; Python asks any module for others, such as __file__.
DUNDERS = (
    "__all__", "__version__", "__git_version__", "__compiler_version__", "__cxx_version__",
    "__cxx11_abi_flag__", "__monolithic_build__", "__internal__", "__operators__",
)  # fmt: skip


def import_lazily():
    """Register modules that load TensorFlow when one of their attributes is used."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    if "tensorflow" in sys.modules:
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None:
        raise SystemExit("error: TensorFlow is not installed; see Install in README.md")
    module = importlib.util.module_from_spec(spec)
    module.__class__ = LazyTensorFlow
    sys.modules["tensorflow"] = module
    sys.meta_path.insert(0, LazySubmodule)


def loaded(name):
    """Load TensorFlow into the registered module, once. Returns the module of a name within it."""
    module = sys.modules["tensorflow"]
    if type(module) is LazyTensorFlow:
        sys.meta_path.remove(LazySubmodule)
        for other in [other for other in sys.modules if type(sys.modules[other]) is LazySubmodule]:
            del sys.modules[other]
        module.__class__ = types.ModuleType
        with without_noise():
            module.__spec__.loader.exec_module(module)
    return importlib.import_module(name)


class LazyModule(types.ModuleType):
    """A module that loads TensorFlow at the first attribute that it lacks."""

    def __getattr__(self, name):
        if name.startswith("__") and name not in DUNDERS:
            raise AttributeError(name)
        module = loaded(self.__name__)
        if name == "__all__" and not hasattr(module, name):  # for `import *`
            return [name for name in dir(module) if not name.startswith("_")]
        return getattr(module, name)

    def __dir__(self):
        return dir(loaded(self.__name__))


class LazyTensorFlow(LazyModule):
    """The module tensorflow itself, until it is loaded."""

    def is_tensor(self, value):
        """Whether it is a tensor, as matplotlib asks: none is before TensorFlow is loaded."""
        return False


class LazySubmodule(LazyModule):
    """Stands for a module within tensorflow.

    The class itself is the finder and the loader of such modules until TensorFlow is loaded.
    """

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        within = name.startswith("tensorflow.")
        return importlib.machinery.ModuleSpec(name, cls, is_package=True) if within else None

    @classmethod
    def create_module(cls, spec):
        return cls(spec.name)

    @classmethod
    def exec_module(cls, module):
        pass


@contextlib.contextmanager
def without_noise():
    """Hold back what native code writes to standard error; afterwards write all but the noise."""
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
                if not NOISE.match(line):
                    os.write(2, line)
