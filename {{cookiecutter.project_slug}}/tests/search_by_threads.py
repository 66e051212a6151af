"""main.py with one more model, whose weights depend on its number of threads on any processor.

    python tests/search_by_threads.py --model_name=ByThreads --search=hyperband --nb_process=2
    SPOIL=1 python tests/search_by_threads.py ...     divides processors among processes

Whether MNIST's do depends on the processor. With SPOIL, a trial's threads follow from the number of
processes: a defect that must be found.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import main  # noqa: E402
from hpsearch.local import LocalExecutor  # noqa: E402
from models import MODELS  # noqa: E402
from models.mnist import MNIST  # noqa: E402


class ByThreads(MNIST):
    """MNIST's network, whose loss is as much greater as there are threads."""

    def loss(self, outputs, batch):
        return super().loss(outputs, batch) * self.config["threads"]


MODELS["ByThreads"] = ByThreads
if os.environ.get("SPOIL"):
    start = LocalExecutor.start
    LocalExecutor.start = lambda self, job, config: start(
        self, job, config | {"threads": max(1, 4 // self.nb_process)}
    )

if __name__ == "__main__":
    sys.exit(main.main(sys.argv))
