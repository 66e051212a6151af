"""What a model must give. Each error names the method, or the line of its table, and the remedy."""

import re

import tensorflow as tf

from conditions import SIGNS, broken
from setting import ConfigError, Setting
from training.steps import check_hidden_state

TYPES = (int, float, str, bool, list[int], list[float], list[str])  # of hyper-parameters
TAKEN = {"loss", "step", "split"}  # by every record of metrics.jsonl
GUIDE = "docs/write-a-model.md"


def not_written(model, method: str) -> NotImplementedError:
    """The error for a method that every model must have."""
    return NotImplementedError(f"{type(model).__name__}.{method} is not written; {GUIDE} shows how")


def check_table(model_class: type, flags: tuple[Setting, ...] = ()) -> None:
    """ValueError names the line of a model's table that cannot work; flags: further names."""
    hyperparameters, owner = model_class.hyperparameters, model_class.__name__
    run = model_class.settings()[len(hyperparameters) :]
    taken = {setting.name for setting in (*run, *flags)}
    for setting in hyperparameters:
        name, table = setting.name, f"{owner}.hyperparameters"
        if name in taken:
            raise ValueError(f"{table}: the name {name} is taken; choose another one")
        if setting.type not in TYPES:
            names = ", ".join(setting._replace(type=kind).type_name for kind in TYPES)
            raise ValueError(f"{table}: {name} is of type {setting.type_name}, not of {names}")
        taken.add(name)
    for setting in (*hyperparameters, *run):
        try:
            setting.check(setting.default)
        except ConfigError as error:
            where = setting.name if setting in run else "hyperparameters"
            raise ValueError(f"{owner}.{where}: the default {error}; correct it there") from None
    before = {}
    for setting in hyperparameters:
        if problem := problem_of_list(setting) or problem_of_condition(setting, before):
            raise ValueError(f"{owner}.hyperparameters: {setting.name} {problem}")
        before[setting.name] = setting
    for constraint in model_class.constraints:
        if problem := problem_of_constraint(constraint, before):
            raise ValueError(f"{owner}.constraints: {constraint} {problem}")
    defaults = {setting.name: setting.default for setting in hyperparameters}
    if problem := broken(hyperparameters, model_class.constraints, defaults):
        raise ValueError(f"{owner}.constraints: the defaults {problem}; correct them")


def problem_of_list(setting: Setting) -> str:
    """What is wrong with a line for a list, in words that follow its name; or ""."""
    if not setting.is_list:
        return "is no list, and has lengths" if setting.lengths else ""
    if not isinstance(setting.default, list):
        return f"has the default {setting.default}, which is no list"
    if setting.type == list[str] and not setting.choices:
        return "is a list of str without choices, which a flag could not tell from one another"
    return ""


def problem_of_condition(setting: Setting, before: dict[str, Setting]) -> str:
    """What is wrong with only_with, in words that follow the setting's name; or "".

    before: {name: setting} of the lines before it.
    """
    if not setting.only_with:
        return ""
    name, *values = setting.only_with
    if name not in before or before[name].is_list or not values:
        return ("has only_with, which must be the name of a setting before it, no list, and the "
                f"values with which it is used; it is {setting.only_with}")  # fmt: skip
    try:
        for value in values:
            before[name].check(value)
    except ConfigError as error:
        return f"has only_with with a value that cannot be: {error}"
    return ""


def problem_of_constraint(constraint: tuple, table: dict[str, Setting]) -> str:
    """What is wrong with a constraint, in words that follow it; or ""."""
    numbers = [name for name, setting in table.items() if setting.type in (int, float)]
    if len(constraint) == 3 and {constraint[0], constraint[2]} <= set(numbers):
        if constraint[1] in SIGNS:
            return ""
    signs, names = ", ".join(SIGNS), ", ".join(numbers)
    return f"is not two numbers of the table with a sign between them: {names}; {signs}"


def check_outputs(model, outputs) -> None:
    """ValueError if inference gives nothing."""
    if outputs is None:
        raise ValueError(f"{type(model).__name__}.inference returns {kind_of(outputs)}")


def named_predictions(model, predicted) -> dict:
    """{name: tensor [batch, ...]}, each tensor with its name in the graph; or ValueError."""
    if not isinstance(predicted, dict):
        raise ValueError(
            f"{type(model).__name__}.predictions returns {kind_of(predicted)}, not a dictionary "
            "{name: tensor [batch, ...]}"
        )
    tensors = {name: tf.identity(values, name) for name, values in predicted.items()}
    for name, tensor in tensors.items():
        if tensor.shape.rank == 0:
            raise ValueError(f"{type(model).__name__}.predictions: {name} is one number for all "
                             "examples; it must be a tensor [batch, ...]")  # fmt: skip
    return tensors


def check_methods(model) -> None:
    """ValueError if the model's loss, metrics or objective cannot be worked with."""
    name, loss, metrics = type(model).__name__, model.evaluation_loss, model.metrics
    if not tf.is_tensor(loss):
        raise ValueError(f"{name}.loss returns {kind_of(loss)}, not a tensor")
    if loss.dtype != tf.float32 or loss.shape.rank != 0:
        raise ValueError(
            f"{name}.loss gives {loss.dtype.name} {loss.shape}, not one float32 number: "
            "see tf.reduce_mean"
        )
    if not isinstance(metrics, dict):
        raise ValueError(f"{name}.evaluation returns {kind_of(metrics)}, not a dictionary "
                         "{metric: tensor [batch]}")  # fmt: skip
    for metric, values in metrics.items():
        if not tf.is_tensor(values) or values.shape.rank not in (1, None):
            raise ValueError(f"{name}.evaluation: {metric} must have one value for each example, "
                             "as a tensor [batch]; for others, see metrics_of_split")  # fmt: skip
    if not has_own_metrics(model):
        check_metrics(model, metrics, "evaluation")


def check_metrics(model, metrics: dict, method: str) -> None:
    """ValueError if a metric has a name that is taken, or the objective is none of them."""
    name = type(model).__name__
    if not isinstance(metrics, dict):
        raise ValueError(f"{name}.{method} returns {kind_of(metrics)}, not a dictionary")
    for metric in TAKEN & set(metrics):
        raise ValueError(f"{name}.{method}: {metric} is taken, choose another name")
    if model.objective[0] not in {"loss", *metrics}:
        known = ", ".join(["loss", *metrics])
        raise ValueError(f"{name}.objective is {model.objective[0]}, which is no metric; "
                         f"there are {known}")  # fmt: skip


def check_saved(model) -> None:
    """ValueError names a variable that no checkpoint would hold."""
    for operation in model.graph.get_operations():
        is_variable = operation.type in ("VarHandleOp", "VariableV2")
        if is_variable and operation.name not in model.saved:
            raise ValueError(
                f"{type(model).__name__}: no checkpoint would hold the variable {operation.name}, "
                "which is not among tf.compat.v1.global_variables(); make it without `collections`,"
                " and metrics in evaluation or metrics_of_split, not by tf.compat.v1.metrics"
            )


def has_own_metrics(model) -> bool:
    """Whether a model writes metrics_of_split, so that its metrics are known when it is called."""
    return type(model).metrics_of_split.__qualname__ != "BasicModel.metrics_of_split"


def has_own_step(model) -> bool:
    """Whether a model writes train_step."""
    return type(model).train_step.__qualname__ != "BasicModel.train_step"


def has_own_update(model) -> bool:
    """Whether a model writes train_step or update."""
    return has_own_step(model) or type(model).update.__module__ != "training.optimizers"


def kind_of(value) -> str:
    """What a method returned, in words."""
    if value is None:
        return "nothing (is its `return` missing?)"
    return "a tensor" if tf.is_tensor(value) else type(value).__name__


def build_step(model) -> "tf.Tensor":
    """Build a training step that is never run; ValueError if it makes variables that it must not.

    It creates the optimizers' slots in the model's own graph: in the compiled function's graph,
    which is built by the same method later, no variable can be made. Returns its loss.
    """
    size, failure = model.config["batch_size"], None
    before = {v.op.name for v in tf.compat.v1.global_variables()}
    try:
        with tf.name_scope("optimizer"):
            batch = {n: tf.ensure_shape(t, [size, *t.shape[1:]]) for n, t in model.batch.items()}
            loss = model.train_step(batch)
        if not tf.is_tensor(loss):
            raise ValueError(
                f"{type(model).__name__}.train_step returns {kind_of(loss)}, not the loss"
            )
    except ValueError as error:
        failure = error
        check_hidden_state(model.graph)  # a call of Python, say, has no gradient
    problem = problem_of_step(before, str(failure))
    if problem:
        raise ValueError(f"{type(model).__name__}.{problem}") from None
    if failure:
        raise failure
    return loss


def problem_of_step(before, failure):
    """What is wrong with a step that was built, in words that follow the model's name; or "".

    before: the names of the variables there were; failure: what TensorFlow said.
    """
    new = [v.op.name for v in tf.compat.v1.trainable_variables() if v.op.name not in before]
    if new:
        return (
            f"train_step makes the variable {new[0]}, which evaluation does not know: take it from "
            "self.truncated_normal or tf.compat.v1.get_variable in inference, so that the call for "
            "training finds what the one for evaluation made"
        )
    missing = re.match(r"Variable (\S+) does not exist, or was not created with", failure)
    if missing:
        return (
            f"inference makes the variable {missing[1]} only when training: it is called for "
            "evaluation first, and must make every variable then"
        )
    if failure.startswith("No gradients provided for any variable"):
        return (
            "loss does not depend on any variable: compute it from what inference returns, "
            "without operations that have no gradient, such as tf.argmax or tf.round"
        )
    return ""
