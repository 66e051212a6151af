"""How many networks a search trains, and whether it is worth it to compile them."""

import math
from collections.abc import Iterable

from hpsearch import confirmation, hyperband
from settings import Setting

SHORT = 4000  # steps in which XLA saves as much as it takes to compile a small network


def jit(
    kind: str, budget: tuple[int, int, int], trials: int, confirm: int, free: Iterable[Setting]
) -> dict[str, str]:
    """{"jit": "short"} if the networks of a search train too few steps for XLA; otherwise {}.

    budget: max_iter, min_iter and eta; free: the settings that are drawn.
    """
    if kind not in ("random", "hyperband"):
        return {}  # the learning rates of a grid have one network
    each = budget[0] if kind == "random" else hyperband.mean_steps(*budget)
    again = (1 + confirmation.BEST) * confirm  # in graphs of their own: a seed is part of a graph
    networks = min(trials, math.prod(map(number_of_values, free))) + again
    return {"jit": "short"} if trials * each + again * budget[0] <= SHORT * networks else {}


def number_of_values(setting: Setting) -> float:
    """How many networks the values of a setting ask for; infinite without a grid."""
    if setting.name == "lr":
        return 1  # it is fed
    if setting.choices or setting.type is bool:
        return len(setting.search)
    return math.inf if setting.is_list or not setting.grid() else len(setting.grid())
