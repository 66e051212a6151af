"""The registry of models, and how to make one: `make_model({"model_name": NAME, "lr": 0.1})`.

A new model is a file in this folder and two edits here: its import, and its name in MODELS.
tests/test_every_model.py tests it.
"""

from typing import Any

from settings import ConfigError, nearest
from training import cluster, repeatable, workers
from training.provenance import recorded_config, recorded_search

with repeatable.seeded(0):  # what a model's file draws when it is imported is always the same
    from models.basic_model import BasicModel
    from models.linear_regression import LinearRegression
    from models.mnist import MNIST

MODELS = {model.__name__: model for model in (LinearRegression, MNIST)}
DEFAULT_MODEL = next(iter(MODELS))


def get_model_class(config: dict[str, Any]) -> type[BasicModel]:
    """The class that a config asks for: by name, by the run that it continues, or the default."""
    name = config.get("model_name")
    for folder in (config.get("result_dir"), config.get("from_checkpoint")):
        name = name or recorded_config(folder).get("model_name")
    name = name or recorded_search(config.get("result_dir")).get("model_name") or DEFAULT_MODEL
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise ConfigError(f"--model_name={name} is unknown{nearest(name, MODELS)}; known: {known}")
    return MODELS[name]


def make_model(config: dict[str, Any]) -> BasicModel:
    """Build a model, ready to train; what the config leaves out is completed. Writes nothing.

    On a worker of a cluster, TF_CONFIG, this waits for all others, and the chief's config holds.
    """
    config = cluster.shared(config, lambda own: get_model_class(own).complete(own))
    with workers.telling():
        return get_model_class(config)(config)
