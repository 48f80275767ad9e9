"""Options as Locust would hand them over."""

from __future__ import annotations

import argparse
from typing import Any

from loadtest.command_line import add_options, options_from
from loadtest.options import Options


class Parser(argparse.ArgumentParser):
    """Locust's parser knows `env_var`; argparse's does not. `variables` has those that are asked
    for."""

    def __init__(self) -> None:
        super().__init__(exit_on_error=False)
        self.variables: dict[str, str] = {}
        add_options(self)

    def add_argument_group(self, *args: Any, **kwargs: Any) -> Any:
        group = super().add_argument_group(*args, **kwargs)
        add = group.add_argument

        def add_argument(flag: str, *, env_var: str, **settings: Any) -> argparse.Action:
            self.variables[flag] = env_var
            return add(flag, **settings)

        group.add_argument = add_argument  # type: ignore[method-assign]
        return group


def options(*arguments: str, **changes: Any) -> Options:
    """The options of a command line, some changed as the web UI would."""
    namespace = Parser().parse_args(arguments)
    namespace.num_users = None
    for name, value in changes.items():
        setattr(namespace, name, value)
    return options_from(namespace)
