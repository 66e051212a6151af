"""What a real run does beside training, in milliseconds for each 1,000 steps.

    python benchmarks/costs.py               MNIST with its defaults, in a rendered project
    python benchmarks/costs.py --epochs=40

Each part is timed where it is called; what runs in the background, beside later steps, is marked.
Then the same steps are trained bare, without any of it. Prints a table, and writes it to
build/bench/costs.md.
"""

import sys
import tempfile
import time

import prepare

sys.path.insert(0, str(prepare.CHECKOUT / "benchmarks" / "contestants"))
import contest  # noqa: E402

PERIOD = 1000
BACKGROUND = "commit a checkpoint: sync, digests (background)"


class Timer:
    """Adds up the time of functions, without what other timed functions take within them."""

    def __init__(self):
        self.seconds, self.within = {}, []

    def wrap(self, owner, name, part):
        function = getattr(owner, name)

        def timed(*arguments, **options):
            began = time.perf_counter()
            outermost = part == BACKGROUND or not self.within  # another thread has its own
            if part != BACKGROUND:
                self.within.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                took = time.perf_counter() - began
                inner = 0.0 if part == BACKGROUND else self.within.pop()
                if not outermost:
                    self.within[-1] += took
                self.seconds[part] = self.seconds.get(part, 0.0) + took - inner

        setattr(owner, name, timed)


def real_run(config, timer):
    """Train in a run folder, timed from step 1,000 to the end of training. Returns seconds."""
    from models import make_model
    from training import checkpoints, events, loop, metrics, progress, run

    marks = []
    with make_model(config) as model:
        learn = model.learn_from_epoch

        def marked(stop):
            if model.step and model.step % PERIOD == 0:
                if not marks:
                    timer.seconds.clear()
                marks.append((model.step, time.perf_counter(), dict(timer.seconds)))
            return learn(stop)

        model.learn_from_epoch = marked
        timer.wrap(model, "learn_from_epoch", "train")
        timer.wrap(type(model), "evaluate", "evaluate the sample of train, and valid")
        timer.wrap(run, "inspect", "compute gradient norm, variables, the model's summaries")
        timer.wrap(events.Events, "add_inspection", "write histograms, images (TensorBoard)")
        timer.wrap(events.Events, "add_scalars", "write curves (TensorBoard)")
        timer.wrap(metrics.Metrics, "add", "write metrics.jsonl")
        timer.wrap(checkpoints.Checkpoints, "write", "write a checkpoint's files")
        timer.wrap(run.Run, "wait", "wait for the last checkpoint's commit")
        timer.wrap(run.Run, "commit", BACKGROUND)
        timer.wrap(progress.Progress, "report", "show progress")
        timer.wrap(loop.log, "info", "messages")
        model.train(final=False)
    return marks


def bare_run(config, steps):
    """Seconds of the same number of steps without a run folder."""
    from models import make_model
    from training.loop import advance

    with make_model(config | {"result_dir": None}) as model:
        model.prepare_steps()
        for _ in advance(model, PERIOD):
            pass
        began = time.perf_counter()
        for _ in advance(model, PERIOD + steps):
            pass
        return time.perf_counter() - began


def main():
    options = contest.arguments()
    _, project = prepare.template_and_project()
    prepare.real_digits(project)
    sys.path.insert(0, str(project))
    periods = -(-options.epochs * contest.STEPS_PER_EPOCH // PERIOD)
    timer = Timer()
    with tempfile.TemporaryDirectory() as folder:
        config = {"model_name": "MNIST", "threads": options.threads, "random_seed": 0}
        config |= {"max_iter": (1 + periods) * PERIOD + 1, "result_dir": f"{folder}/run"}
        marks = real_run(config, timer)
    (first, began, _), (last, ended, seconds) = marks[0], marks[-1]
    bare = [bare_run(config, last - first) for _ in range(3)]
    thousands, total = (last - first) / PERIOD, ended - began
    background = seconds.pop(BACKGROUND, 0.0)
    seconds["rest"] = total - sum(seconds.values())
    lines = ["| part of a real run | ms per 1,000 steps | share |", "|---|---:|---:|"]
    for part, took in sorted(seconds.items(), key=lambda item: -item[1]):
        lines.append(f"| {part} | {1000 * took / thousands:.1f} | {took / total:.1%} |")
    lines += [
        f"| all | {1000 * total / thousands:.1f} | 100 % |",
        f"| beside it: {BACKGROUND} | {1000 * background / thousands:.1f} | |",
        f"| the same steps, bare (median of 3) | {1000 * sorted(bare)[1] / thousands:.1f} "
        f"| {sorted(bare)[1] / total:.1%} |",
    ]
    print("\n".join(lines))
    (prepare.BUILD / "costs.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
