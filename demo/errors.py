"""The one error of the demo."""


class DemoError(Exception):
    """The demo cannot go on; the text says why in one line."""
