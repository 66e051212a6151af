"""Which passes a search makes, one after the other; a later pass may need what an earlier found."""

from hpsearch import hyperband, learningrate, randomsearch


def passes(model_class, settings):
    """A generator: yields the brackets of a pass and is sent the best hyper-parameters so far.

    settings: those of search.json. A full search is Hyperband, then the learning rate of what that
    found, then Hyperband with this learning rate fixed.
    """
    search, fixed = settings["search"], settings["fixed_params"]
    budget = settings["max_iter"], settings["min_iter"], settings["eta"]

    def draw(numbers, fixed=fixed):
        return randomsearch.configurations(model_class, settings["search_seed"], numbers, fixed)

    if search == "random":  # as many as Hyperband's brackets cost
        count = len(hyperband.table(*budget)) ** 2
        yield randomsearch.brackets(draw, settings["max_iter"], count)
    elif search == "lr":
        yield learningrate.brackets(settings["base"] | fixed, settings["max_iter"])
    else:
        first_pass = hyperband.brackets(draw, *budget)
        best = yield first_pass
        if search == "fullsearch":
            first = sum(len(bracket.trials) for bracket in first_pass)
            best = yield learningrate.brackets(best, settings["max_iter"], first)
            fixed = fixed | {"lr": best["lr"]}
            first += learningrate.COUNT
            name = "hyperband, lr fixed,"
            yield hyperband.brackets(lambda numbers: draw(numbers, fixed), *budget, first, name)
