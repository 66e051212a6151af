"""The registry of models, and how to make one: `make_model({"model_name": "MNIST", "lr": 0.1})`.

A new model is a file in this folder, a line in MODELS and a test.
"""

from training import tensorflow_import

tensorflow_import.put_off()

from models.config import nearest  # noqa: E402
from models.hyperparameters import ConfigError  # noqa: E402
from models.linear_regression import LinearRegression  # noqa: E402
from models.mnist import MNIST  # noqa: E402
from training.run_folder import recorded_config  # noqa: E402

MODELS = {model.__name__: model for model in (LinearRegression, MNIST)}
DEFAULT_MODEL = "LinearRegression"


def get_model_class(config):
    """The class that a config asks for: by name, by the run it goes on from, or the default."""
    name = config.get("model_name")
    for folder in (config.get("result_dir"), config.get("from_checkpoint")):
        name = name or (recorded_config(folder).get("model_name") if folder else None)
    name = name or DEFAULT_MODEL
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise ConfigError(f"--model_name={name} is unknown{nearest(name, MODELS)}; known: {known}")
    return MODELS[name]


def make_model(config):
    """Build a ready model from a config; what it leaves out is completed. Writes nothing."""
    return get_model_class(config)(config)
