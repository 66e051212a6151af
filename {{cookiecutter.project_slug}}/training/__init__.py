"""What a training run needs besides its model: batches, the run folder, checkpoints, progress."""
