"""TensorFlow comes when it is first used, and without its start-up notes.

Its import takes seconds: `--help` and wrong flags are answered without it. After `put_off()`,
`import tensorflow as tf` and `import tensorflow.compat.v1 as tf` cost nothing until an attribute is
asked for. `from tensorflow.keras import layers` asks for one, and loads TensorFlow at once.
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

# Notes and warnings that the native libraries write before TF_CPP_MIN_LOG_LEVEL is in force.
NOISE = re.compile(
    rb"[IW]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IW] "
    rb"|WARNING: All log messages before|To enable the following instructions"
)


def put_off():
    """Put modules into place that load TensorFlow when something in them is asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    if "tensorflow" in sys.modules:
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None:
        raise SystemExit("error: TensorFlow is not installed; see Install in README.md")
    module = importlib.util.module_from_spec(spec)
    module.__class__ = PutOff
    sys.modules["tensorflow"] = module
    sys.meta_path.insert(0, StandIn)


def load():
    """Fill the module that was put into place, unless it is full."""
    module = sys.modules["tensorflow"]
    if type(module) is PutOff:
        sys.meta_path.remove(StandIn)
        for name in [name for name, other in sys.modules.items() if type(other) is StandIn]:
            del sys.modules[name]
        module.__class__ = types.ModuleType
        with without_noise():
            module.__spec__.loader.exec_module(module)


class PutOff(types.ModuleType):
    """The module tensorflow itself, which is filled at the first attribute that it lacks."""

    def __getattr__(self, name):
        load()
        return getattr(self, name)

    def is_tensor(self, value):
        """Whether it is a tensor, as matplotlib asks of what it draws: none is, as yet."""
        return False


class StandIn(types.ModuleType):
    """Stands for a module within tensorflow, of which it asks for every attribute.

    The class itself is what Python's import asks for such modules until TensorFlow is loaded.
    """

    def __getattr__(self, name):
        load()
        return getattr(importlib.import_module(self.__name__), name)

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        within = name.startswith("tensorflow.")
        return importlib.machinery.ModuleSpec(name, cls, is_package=True) if within else None

    @classmethod
    def create_module(cls, spec):
        module = cls(spec.name)
        module.__path__ = []  # else asked for, while the module is made
        return module

    @classmethod
    def exec_module(cls, module):
        pass


@contextlib.contextmanager
def without_noise():
    """Hold back what native code writes to standard error; let through all but the noise."""
    if sys.stderr is None:  # closed: there is no screen to keep clean
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
