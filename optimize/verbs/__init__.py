"""The verbs of `python -m optimize`: their command line, and each step of a build alone."""
