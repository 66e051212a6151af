"""A trained model in use: what it is given, what it answers, and its export."""
