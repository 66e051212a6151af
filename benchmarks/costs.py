"""What a real run does beside training, in milliseconds for each 1,000 steps.

    python benchmarks/costs.py               MNIST with its defaults, in a rendered project
    python benchmarks/costs.py --epochs=40

Each part is timed where it is called; what runs in the background, beside later steps, is marked.
Between them the same steps are trained bare, without any of it, so that a machine whose speed
changes is as fast for both. Medians of periods of 1,000 steps; writes build/bench/costs.md, too.
"""

import sys
import tempfile
import time
from statistics import median

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
    """Train in a run folder, and the same steps bare, a period of one beside one of the other.

    Returns [(seconds of parts, seconds of all, seconds of the bare steps)], one a period. The bare
    steps come in the middle of a period, when the last checkpoint's commit has ended.
    """
    from models import make_model
    from training import checkpoints, events, loop, metrics, progress, run

    periods = []
    with make_model(config | {"result_dir": None}) as bare, make_model(config) as model:
        bare.prepare_steps()
        began, bare_seconds = None, None

        def marked(stop):
            nonlocal began, bare_seconds
            now = time.perf_counter()
            if model.step % PERIOD == 0:
                if began is not None and bare_seconds is not None:
                    periods.append((dict(timer.seconds), now - began - bare_seconds, bare_seconds))
                timer.seconds.clear()
                began, bare_seconds = now, None
                stop = min(stop, model.step + PERIOD // 2)
            elif model.step % PERIOD == PERIOD // 2:
                for _ in loop.advance(bare, bare.step + PERIOD):
                    pass
                bare_seconds = time.perf_counter() - now
            return learn(stop)

        timer.wrap(model, "learn_from_epoch", "train")
        learn = model.learn_from_epoch
        model.learn_from_epoch = marked
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
    return periods[1:]  # the first one compiles


def main():
    options = contest.arguments()
    _, project = prepare.template_and_project()
    prepare.real_digits(project)
    sys.path.insert(0, str(project))
    count = -(-options.epochs * contest.STEPS_PER_EPOCH // PERIOD)
    timer = Timer()
    with tempfile.TemporaryDirectory() as folder:
        config = {"model_name": "MNIST", "threads": options.threads, "random_seed": 0}
        config |= {"max_iter": (2 + count) * PERIOD + 1, "result_dir": f"{folder}/run"}
        periods = real_run(config, timer)
    parts = {
        part: median(seconds.get(part, 0.0) for seconds, _, _ in periods) for part in periods[0][0]
    }
    total = median(all_ for _, all_, _ in periods)
    background = parts.pop(BACKGROUND, 0.0)
    parts["rest"] = total - sum(parts.values())
    lines = ["| part of a real run | ms per 1,000 steps | share |", "|---|---:|---:|"]
    for part, took in sorted(parts.items(), key=lambda item: -item[1]):
        lines.append(f"| {part} | {1000 * took:.1f} | {took / total:.1%} |")
    bare = median(bare for _, _, bare in periods)
    ratio = median(bare / all_ for _, all_, bare in periods)
    lines += [
        f"| all | {1000 * total:.1f} | 100 % |",
        f"| beside it: {BACKGROUND} | {1000 * background:.1f} | |",
        f"| the same steps, bare | {1000 * bare:.1f} | {ratio:.1%} |",
    ]
    print("\n".join(lines))
    (prepare.BUILD / "costs.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
