"""This project's loop alone; its batches are read by tf.data in the session, not by its threads.

A pipeline of whole blocks of batches, which NumPy gathers, in the same order and for the same
steps: the weights are equal. Elements of one batch, put together by `batch`, took four times the
processor time; parts of a block, put together by `concat`, are copied while steps wait.
"""

import project_bare
import tensorflow as tf

v1 = tf.compat.v1


def read_by_tf_data(model):
    """Let tf.data read the blocks after the first one, which are trained on one after the other."""
    feed = model.feed
    dtypes = [array.dtype for array in feed.arrays.values()]

    def gather(block):
        rows = feed.share(int(block) * feed.steps, feed.steps).ravel()
        return [array[rows] for array in feed.arrays.values()]

    def arrays(block):
        return tf.numpy_function(gather, [block], dtypes, stateful=False)

    with model.graph.as_default():
        blocks = tf.data.Dataset.counter(1).map(arrays, num_parallel_calls=4)
        iterator = v1.data.make_initializable_iterator(blocks.prefetch(1))
        found = zip(feed.arrays, iterator.get_next(), strict=True)
        held = {name: held.variable for name, held in feed.variables.items()}
        filled = [held[name].assign(array, read_value=False) for name, array in found]
    model.session.run(iterator.initializer)
    feed.read = feed.begin = lambda block: ()  # our threads read nothing more
    feed.load = lambda _: model.session.run(filled)


if __name__ == "__main__":
    project_bare.main(data="stream", prepare=read_by_tf_data)
