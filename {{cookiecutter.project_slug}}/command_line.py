"""Flags of the shell, made from the tables of the models and of the run."""

import re

from absl import flags

from models import DEFAULT_MODEL, MODELS, get_model_class
from models.config import RUN_SETTINGS, nearest
from models.hyperparameters import ConfigError, Setting

STAGES = (
    Setting("infer", bool, False, "print predictions of the run in --result_dir"),
    Setting("evaluate", bool, False, "evaluate the run in --result_dir on its test split"),
    Setting("verify", bool, False, "train the run in --result_dir again and compare, bit for bit"),
    Setting("search", str, None, "search the model's hyper-parameters",
            choices=("random", "hyperband", "lr")),
    Setting("fullsearch", bool, False, "hyperband, then lr, then hyperband with the best lr"),
    Setting("promote", bool, False, "make the winner of the search in --result_dir the --best"),
)  # fmt: skip
SEARCH = (
    Setting("nb_process", int, None, "processes that train at the same time; as many as the "
            "processors allow if not given", 1, 1024),
    Setting("executor", str, "local", "where: on this machine, or on a Ray cluster",
            choices=("local", "ray")),
    Setting("ray_address", str, "auto", "the cluster's host:port; auto: the one of this machine"),
    Setting("search_seed", int, 0, "what the configurations are drawn from", 0, 2**31 - 2),
    Setting("fixed_params", str, "{}", "hyper-parameters not to search, as '{\"lr\": 0.001}'"),
    Setting("eta", int, 3, "hyperband keeps one trial in so many", 2, 100),
    Setting("min_iter", int, None, "fewest steps of a trial; max_iter / 27 if not given", 1, 10**9),
    Setting("dry_run", bool, False, "print the schedule and what it takes, write nothing"),
)  # fmt: skip
SHELL = (
    Setting("model_name", str, DEFAULT_MODEL, "the model", choices=tuple(MODELS)),
    Setting("best", bool, False, "best known hyper-parameters; an explicit flag still wins"),
    Setting("input", str, None, "what to infer from: numbers with commas, or an image file"),
    Setting("help", bool, False, "show the flags of the model"),
)
DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def parse(argv):
    """Return (model class, {flag: value} of what was given); ConfigError if anything is wrong."""
    try:
        early, _ = parse_with((*SHELL, *RUN_SETTINGS), argv, known_only=True)
        model_class = get_model_class(early)
        settings = (*STAGES, *SEARCH, *SHELL, *model_class.settings())
        given, rest = parse_with(settings, argv, known_only=False)
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(unknown_flag(error.flagname, model_class, settings)) from None
    except flags.Error as error:
        raise ConfigError(wrong_value(str(error))) from None
    if rest:
        raise ConfigError(f"{rest[0]!r} is not a flag; settings are given as --name=value")
    check_combination(given)
    return model_class, given


def parse_with(settings, argv, known_only):
    """Parse with absl. Returns what was given, {flag: value}, and the arguments left over."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    for setting in settings:
        DEFINE[setting.type](setting.name, None, setting.help, flag_values=values)
    rest = values(argv, known_only=known_only)[1:]
    given = {name: value for name, value in values.flag_values_dict().items() if value is not None}
    return given, rest


def wrong_value(message):
    """What absl says of a flag's value, in our words."""
    found = re.match(r"flag --(\w+)=(.*?): ", message, re.DOTALL)
    types = {
        s.name: s.type for c in MODELS.values() for s in (*STAGES, *SEARCH, *SHELL, *c.settings())
    }
    if not found or found[1] not in types:
        return message.replace("flag --", "--", 1)
    return f"--{found[1]}={found[2]} is not of type {types[found[1]].__name__}"


def unknown_flag(name, model_class, settings):
    """Say whose flag it is, or which one is near."""
    owners = [o for o, c in MODELS.items() if name in {s.name for s in c.settings()}]
    hint = f"; it is one of {owners[0]}" if owners else nearest(name, [s.name for s in settings])
    return f"--{name} is not a flag of {model_class.__name__}{hint}"


def check_combination(given):
    """ConfigError if the flags do not go together."""
    stages = [stage.name for stage in STAGES if given.get(stage.name)]
    stage = stages[0] if stages else "training"
    for name in ("model_name", "result_dir", "from_checkpoint"):
        if given.get(name) == "":  # most likely an unset variable of the shell
            raise ConfigError(f"--{name} is empty")
    if len(stages) > 1:
        raise ConfigError(f"--{stages[0]} and --{stages[1]}: one stage at a time")
    searching = stage in ("search", "fullsearch")
    if stages and not searching and not given.get("result_dir"):
        what = "a search" if stage == "promote" else "a trained run"
        raise ConfigError(f"--{stage} needs --result_dir=R, the folder of {what}")
    if "input" in given and stage != "infer":
        raise ConfigError("--input goes with --infer")
    if "step" in given and stage not in ("infer", "evaluate") and "from_checkpoint" not in given:
        raise ConfigError("--step goes with --infer, --evaluate or --from_checkpoint")
    if stages and "from_checkpoint" in given:
        raise ConfigError(f"--from_checkpoint goes with training, not with --{stage}")
    step = given.get("step", "best")
    if step != "best" and not (step.isascii() and step.isdecimal()):
        raise ConfigError(f"--step={step} is neither a number nor best")
    for setting in (*STAGES, *SEARCH):
        if setting.name in given:
            setting.check(given[setting.name])
        if setting in SEARCH and setting.name in given and not searching:
            raise ConfigError(f"--{setting.name} goes with --search or --fullsearch")
    if "ray_address" in given and given.get("executor") != "ray":
        raise ConfigError("--ray_address goes with --executor=ray")
    if given.get("best") and stages and given.get("search") != "lr":
        raise ConfigError(f"--best goes with training, not with --{stage}")


def print_help(usage, model_class):
    """Print every flag of a model, with its default and what is allowed."""
    run = model_class.settings()[len(model_class.hyperparameters) :]
    parts = {
        "Stages, one at a time; without any of them, it trains": STAGES,
        "Settings of a search, in which --max_iter is the most steps of a trial": SEARCH,
        f"Hyper-parameters of {model_class.__name__}": model_class.hyperparameters,
        "Settings of a run": run,
        "Further flags": SHELL,
    }
    print(usage.strip())
    for title, settings in parts.items():
        print(f"\n{title}:")
        for setting in settings:
            plain = setting.type is bool or setting.default is None
            default = "" if plain else f"={setting.default}"
            allowed = f" [{setting.allowed()}]" if setting.allowed() else ""
            print(f"  --{setting.name + default:<33} {setting.help}{allowed}")
