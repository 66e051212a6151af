"""The data that models train on: `load_mnist` and `fake_digits` in `data.loaders`, and the
command that fetches MNIST, `python data/download.py`."""
