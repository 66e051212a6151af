"""TensorBoard on the runs that are there: python main.py --board

The server runs in this process, and a helper of TensorBoard that reads files in another. It answers
on this machine's own address only, and does not load TensorFlow.
TensorBoard finds the columns of its page HPARAMS in the runs, of whatever models they are; here
each gets what the models' tables say of it.
"""

import contextlib
import io
import os
import time
from pathlib import Path

from models import MODELS
from settings import ConfigError
from training.folders import from_here

HOST = "127.0.0.1"


def serve(folder: Path, port: int | None = None) -> None:
    """Serve a folder of runs, until KeyboardInterrupt. port: by default 6006, or the next free one.

    FileNotFoundError if no run is there, ConfigError if the port cannot be had, ValueError without
    the package tensorboard.
    """
    files = (name for *_, names in os.walk(folder, followlinks=True) for name in names)
    if not any("events.out.tfevents" in name for name in files):
        raise FileNotFoundError(
            f"{from_here(folder)} holds no run yet; train a model, or name another folder"
        )
    url = launch(folder, port)
    print(f"TensorBoard shows {from_here(folder)} at {url} until Ctrl-C", flush=True)
    while True:
        time.sleep(3600)


def launch(folder: Path, port: int | None) -> str:
    """Start the server in a thread of its own; errors as in `serve`. Returns its address."""
    try:
        from tensorboard import default, program
        from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
    except ImportError as error:
        raise ValueError(
            f"TensorBoard cannot be loaded ({error}): pip install --upgrade tensorboard"
        ) from None
    changed = {HParamsPlugin: with_tables(HParamsPlugin)}
    board = program.TensorBoard([changed.get(p, p) for p in default.get_plugins()])
    board.configure(logdir=str(folder.absolute()), host=HOST, port=port)
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a note on how it reads files
            return board.launch()
    except program.TensorBoardPortInUseError:
        remedy = "leave it out, and the next free one is taken"
        raise ConfigError(f"--port={port} is in use by another program; {remedy}") from None
    except program.TensorBoardServerException as error:
        raise ConfigError(f"{error.msg}; name another one with --port") from None


def with_tables(plugin: type) -> type:
    """TensorBoard's plugin HPARAMS, with the descriptions of `describe`."""
    from tensorboard.plugins.hparams import backend_context

    class Context(backend_context.Context):
        def experiment_from_metadata(self, *arguments, **options):
            return describe(super().experiment_from_metadata(*arguments, **options))

    class Plugin(plugin):
        def __init__(self, context):
            super().__init__(context)
            self._context = Context(context)

    return Plugin


def describe(experiment):
    """Add the models' tables to what TensorBoard found in the runs, its protocol buffer Experiment.

    Each hyper-parameter gets its help and its choices. The objectives are the first metrics, then
    the loss: by them the page sorts and filters.
    """
    table = {s.name: s for model in MODELS.values() for s in model.hyperparameters}
    for info in experiment.hparam_infos:
        if setting := table.get(info.name):
            info.description = setting.help
            if setting.choices and not setting.is_list:
                found = [value for value in info.domain_discrete if value not in setting.choices]
                info.domain_discrete.Clear()
                info.domain_discrete.extend([*setting.choices, *found])
    objectives = {model.objective[0] for model in MODELS.values()} - {"loss"}
    order = {**dict.fromkeys(objectives, 0), "loss": 1}
    metrics = sorted(experiment.metric_infos, key=lambda info: order.get(info.name.tag, 2))
    del experiment.metric_infos[:]
    experiment.metric_infos.extend(metrics)
    return experiment
