"""Random search (Bergstra and Bengio, JMLR 2012): configurations drawn independently."""

from training.batches import random_stream


def configurations(model_class, search_seed, trials, fixed_params=()):
    """Return the hyper-parameters of trials 0, ..., trials - 1: a list of dictionaries.

    Each follows from (search_seed, its index) alone, so that more trials leave the first ones as
    they are, and fixing one hyper-parameter leaves the others as they are.
    """
    fixed_params = dict(fixed_params)
    seeds = (random_stream(search_seed, "trial", i).integers(2**31 - 1) for i in range(trials))
    return [model_class.get_random_config(fixed_params, int(seed)) for seed in seeds]
