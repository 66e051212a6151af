"""The data that models train on: MNIST in `data.loaders`, made-up digits in `data.fake_digits`, and
the command that fetches MNIST, `python data/download.py`."""
