"""The search for hyper-parameters. Its schedulers are pure: no TensorFlow, no clock."""
