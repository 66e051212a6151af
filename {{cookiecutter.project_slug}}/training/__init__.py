"""What a training run needs besides its model: batches, the run folder, checkpoints, progress.

Whatever is imported from here, TensorFlow is loaded only when it is first used.
"""

from training.tensorflow_import import import_lazily

import_lazily()
