"""main.py with one more model, whose weights depend on its number of threads on any processor.

    python tests/project/search_by_threads.py --search=hyperband --nb_process=2
    SPOIL=1 python tests/project/search_by_threads.py ...     divides processors among processes

Whether those of other models do depends on the processor. With SPOIL, a trial's threads follow from
the number of processes: a defect that must be found.
"""

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "{{cookiecutter.project_slug}}"
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import models  # noqa: E402, I001  first: it defers the import of TensorFlow
from toy import Toy  # noqa: E402


class ByThreads(Toy):
    """The toy model; its loss is proportional to the number of threads."""

    def loss(self, outputs, batch):
        return super().loss(outputs, batch) * self.config["threads"]


models.MODELS["ByThreads"] = ByThreads

import main  # noqa: E402  the flags know the models from here on
from hpsearch.local import LocalExecutor  # noqa: E402

if os.environ.get("SPOIL"):
    submit = LocalExecutor.submit
    LocalExecutor.submit = lambda self, job, config: submit(
        self, job, config | {"threads": max(1, 4 // self.nb_process)}
    )

if __name__ == "__main__":
    sys.exit(main.main(sys.argv))
