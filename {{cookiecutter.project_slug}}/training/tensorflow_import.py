"""TensorFlow comes when it is first used, and without its start-up notes.

Its import takes seconds: `--help` and wrong flags are answered without it. After
`put_off()`, an ordinary `import tensorflow as tf` costs nothing until an attribute is asked for.
"""

import contextlib
import faulthandler
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
    """Put a module into place that loads TensorFlow when something in it is asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only
    if "tensorflow" in sys.modules:
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None:
        raise SystemExit("error: TensorFlow is not installed; see Install in README.md")
    module = importlib.util.module_from_spec(spec)
    module.__class__ = PutOff
    sys.modules["tensorflow"] = module


class PutOff(types.ModuleType):
    """A module that fills itself at the first attribute that it lacks."""

    def __getattr__(self, name):
        self.__class__ = types.ModuleType
        with without_noise():
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)

    def is_tensor(self, value):
        """Whether it is a tensor, as matplotlib asks of what it draws: none is, as yet."""
        return False


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
