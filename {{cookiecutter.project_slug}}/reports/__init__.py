"""What people look at after training: runs beside each other. Nothing here needs TensorFlow."""
