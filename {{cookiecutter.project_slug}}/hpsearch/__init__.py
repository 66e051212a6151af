"""The search for hyper-parameters; its schedulers are pure functions, without TensorFlow."""
