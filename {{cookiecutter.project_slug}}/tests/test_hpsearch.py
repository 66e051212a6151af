"""The schedulers of the search are pure."""

from hpsearch.randomsearch import configurations
from models import MODELS


def test_a_trial_follows_from_the_search_seed_and_its_index_alone():
    model_class = MODELS["MNIST"]
    ten = configurations(model_class, search_seed=0, trials=10)
    assert configurations(model_class, search_seed=0, trials=5) == ten[:5]
    assert configurations(model_class, search_seed=1, trials=10) != ten
    assert len({config["lr"] for config in ten}) == 10


def test_a_fixed_parameter_is_the_same_in_all_trials_and_leaves_the_others_as_drawn():
    model_class = MODELS["MNIST"]
    free = configurations(model_class, search_seed=0, trials=4)
    fixed = configurations(model_class, search_seed=0, trials=4, fixed_params={"lr": 0.01})
    assert fixed == [config | {"lr": 0.01} for config in free]
