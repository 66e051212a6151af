"""Flags of the shell, made from the tables of the models and of the run."""

from typing import Any

from absl import flags

from models import DEFAULT_MODEL, MODELS, get_model_class
from setting import ConfigError, Setting, as_text, nearest
from settings import RUN_SETTINGS
from training.contract import check_table

STAGES = (
    Setting("infer", bool, False, "print predictions of the run in --result_dir"),
    Setting("evaluate", bool, False, "evaluate the run in --result_dir on its test split"),
    Setting("export", bool, False, "write the run in --result_dir for other programs, to R/export"),
    Setting("verify", bool, False, "train the run in --result_dir again and compare, bit for bit"),
    Setting("search", str, None, "search the model's hyper-parameters",
            choices=("random", "hyperband", "lr")),
    Setting("fullsearch", bool, False, "hyperband, then lr, then hyperband with the best lr"),
    Setting("compare", bool, False, "compare runs: the folders named after it, or all in results"),
    Setting("promote", bool, False, "make the winner of the search in --result_dir the --best"),
    Setting("board", bool, False, "start TensorBoard on the runs in --result_dir (default: all)"),
    Setting("doctor", bool, False, "say what is wrong on this machine, and what to do about it"),
)  # fmt: skip
SEARCHES = ("search", "fullsearch")
ALONE = {  # stages that train no model: the only flags that go with them
    "board": ("result_dir", "model_name", "port"),
    "compare": ("sort_by", "format", "plot", "output"),
    "doctor": ("result_dir",),
}
SEARCH = (
    Setting("nb_process", int, None, "processes that train at the same time (default: as many as "
            "the processors allow)", 1, 1024, goes_with=SEARCHES),
    Setting("executor", str, "local", "where: on this machine, or on a Ray cluster",
            choices=("local", "ray"), goes_with=SEARCHES),
    Setting("ray_address", str, "auto", "the cluster's host:port; auto: the one of this machine",
            goes_with=("executor=ray",)),
    Setting("search_seed", int, 0, "what the configurations are drawn from", 0, 2**31 - 2,
            goes_with=SEARCHES),
    Setting("fixed_params", dict, {}, "hyper-parameters not to search, as '{\"lr\": 0.001}'",
            goes_with=SEARCHES),
    Setting("eta", int, 3, "each rung of hyperband keeps the best 1 / eta", 2, 100,
            goes_with=SEARCHES),
    Setting("min_iter", int, None, "fewest steps of a trial (default: max_iter / 27)", 1, 10**9,
            goes_with=SEARCHES),
    Setting("sampler", str, "gp", "how configurations are drawn: by a Gaussian process or TPE, "
            "which look at the scores so far, or at random", choices=("gp", "tpe", "random"),
            goes_with=("search=random", "search=hyperband", "fullsearch")),
    Setting("trials", int, None, "trials of the search; hyperband rounds up, to whole brackets "
            "(default: one round of hyperband's, or what costs as much)", 1, 10**6,
            goes_with=("search=random", "search=hyperband")),
    Setting("lr_points", int, 37, "learning rates of a search=lr", 2, 10**4,
            goes_with=("search=lr", "fullsearch")),
    Setting("ranges", dict, {}, "what to draw from, as '{\"lr\": [0.01, 0.5]}': low and high on "
            "the setting's scale, or choices", goes_with=SEARCHES),
    Setting("confirm", int, 3, "other seeds with which the best trials are trained again; 0: none",
            0, 100, goes_with=SEARCHES),
    Setting("try", list, None, "configurations to train first, as '[{\"lr\": 0.1}]' (default: the "
            "promoted best)", goes_with=("search=random", "search=hyperband", "fullsearch")),
    Setting("max_hours", float, None, "stop after so many hours; the same command goes on", 0.0,
            1e6, goes_with=SEARCHES),
    Setting("dry_run", bool, False, "print the schedule and its cost, write nothing",
            goes_with=SEARCHES),
)  # fmt: skip
SHELL = (
    Setting("model_name", str, DEFAULT_MODEL, "the model", choices=tuple(MODELS)),
    Setting("best", bool, False, "best known hyper-parameters; an explicit flag still wins",
            goes_with=("training", "search=lr")),
    Setting("force", bool, False, "promote a winner that is worse, too", goes_with=("promote",)),
    Setting("input", str, None, "what to infer from: numbers with commas, a file .csv, .json, "
            ".npy, .png or .jpg, a folder of pictures, or - (default: examples of valid)",
            goes_with=("infer",)),
    Setting("format", str, None, "text, json or csv; npy for predictions, markdown for --compare "
            "(default: what the name of --output says, or text)",
            choices=("text", "json", "csv", "npy", "markdown"), goes_with=("infer", "compare")),
    Setting("output", str, None, "a file for the predictions or the comparison, instead of the "
            "screen; a comparison is also drawn (.png), or made a page (.html)",
            goes_with=("infer", "compare")),
    Setting("plot", bool, False, "draw the curves of the compared runs, into compare.png or "
            "--output", goes_with=("compare",)),
    Setting("port", int, None, "of TensorBoard (default: 6006, or the next free one)", 0, 65535,
            goes_with=("board",)),
    Setting("sort_by", str, None, "a column, such as valid_loss, lr or duration (default: the "
            "model's objective on valid)", goes_with=("compare",)),
    Setting("help", bool, False, "show the flags of the model"),
)  # fmt: skip

TUTORIALS = {  # flags of TensorFlow's tutorials and of the articles: ours
    "learning_rate": "--lr",
    "train_dir": "--result_dir",
    "log_dir": "--result_dir",
    "checkpoint_dir": "--result_dir",
    "max_steps": "--max_iter",
    "num_epochs": "--max_iter, in steps",
    "seed": "--random_seed",
    "dropout": "a hyper-parameter of the model's own table",
    "input_data_dir": "the model's method inputs, which reads data/",
    "data_dir": "the model's method inputs, which reads data/",
    "nb_units": "a hyper-parameter of the model's own table",
    "randomsearch": "--search=random",
    "hyperband": "--search=hyperband",
    "nojit": "--jit=off",
}


def parse(argv: list[str]) -> tuple[type, dict[str, Any]]:
    """Return (model class, {flag: value} of what was given); ConfigError if anything is wrong.

    The folders that stand after --compare are given["folders"].
    """
    argv = ["--help" if text == "-h" else text for text in argv]
    try:
        early, _ = parse_with((*SHELL, *RUN_SETTINGS), argv, known_only=True)
        model_class = get_model_class(early)
        check_table(model_class, (*STAGES, *SEARCH, *SHELL))
        table = (*STAGES, *SEARCH, *SHELL, *model_class.settings())
        given, rest = parse_with(table, argv, known_only=False)
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(unknown_flag(error.flagname, model_class, table)) from None
    except flags.Error as error:
        raise ConfigError(str(error).replace("flag --", "--", 1)) from None
    if rest and not given.get("compare"):
        raise ConfigError(f"{rest[0]!r} is not a flag; settings are given as --name=value")
    check_combination(table, given)
    return model_class, given | ({"folders": rest} if rest else {})


def parse_with(table, argv, known_only):
    """Let absl split the arguments. Returns {flag: value} and the arguments left over."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    for setting in table:  # absl keeps texts, which the settings parse
        text = flags.Flag(
            flags.ArgumentParser(), None, setting.name, None, "", boolean=setting.type is bool
        )
        flags.DEFINE_flag(text, values)
    rest = values(argv, known_only=known_only)[1:]
    texts = values.flag_values_dict()
    given = {s.name: s.parse(texts[s.name]) for s in table if texts[s.name] is not None}
    return given, rest


def unknown_flag(name, model_class, table):
    """A message that names the models with this flag, our word for it, or a similar flag."""
    owners = [o for o, c in MODELS.items() if name in {s.name for s in c.settings()}]
    if name in TUTORIALS and not owners:
        return f"--{name} is not a flag of {model_class.__name__}; here it is {TUTORIALS[name]}"
    hint = f"; it is a flag of {owners[0]}" if owners else nearest(name, [s.name for s in table])
    return f"--{name} is not a flag of {model_class.__name__}{hint}"


def check_combination(table, given):
    """ConfigError if the flags do not go together."""
    stages = [stage.name for stage in STAGES if given.get(stage.name)]
    stage = stages[0] if stages else "training"
    if len(stages) > 1:
        raise ConfigError(f"--{stages[0]} and --{stages[1]}: one stage at a time")
    for name in ("model_name", "result_dir", "from_checkpoint", "input", "output"):
        if given.get(name) == "":  # most likely an unset variable of the shell
            raise ConfigError(f"--{name} is empty")
    if stage in ("infer", "evaluate", "export", "verify", "promote") and not given.get(
        "result_dir"
    ):
        what = "a search" if stage == "promote" else "a trained run"
        raise ConfigError(f"--{stage} needs --result_dir=R, the folder of {what}")
    others = set(given) - {stage, "debug", "help"} - set(ALONE.get(stage, given))
    if others:
        hint = ": name folders after it" if stage == "compare" else ""
        raise ConfigError(f"--{min(others)} does not go with --{stage}{hint}")
    for setting in table:
        if given.get(setting.name, False) is False:
            continue
        setting.check(given[setting.name])
        conditions = setting.goes_with
        if conditions and not any(holds(condition, stage, given) for condition in conditions):
            names = ", ".join(c if c == "training" else f"--{c}" for c in conditions)
            names = " or ".join(names.rsplit(", ", 1))
            raise ConfigError(f"--{setting.name} goes with {names}")


def holds(condition, stage, given):
    """Whether "infer", "training" or "search=lr", say, describes what was given."""
    name, _, value = condition.partition("=")
    return condition == stage or (given.get(name) == value if value else bool(given.get(name)))


def print_help(usage: str, model_class: type) -> None:
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
            default = "" if plain else f"={as_text(setting.default)}"
            used = f"only with {setting.condition()}" if setting.only_with else ""
            notes = "; ".join(filter(None, (setting.allowed(), used)))
            notes = f" [{notes}]" if notes else ""
            print(f"  --{setting.name + default:<33} {setting.help}{notes}")
