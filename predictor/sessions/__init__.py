"""What runs the model: the Session protocol, and each implementation of it."""
