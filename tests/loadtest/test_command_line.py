"""The options, from the command line and out of the web UI's form."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from loadtest.command_line import variable
from loadtest.errors import OptionError
from tests.loadtest.given import Parser, options


def test_every_option_has_its_variable() -> None:
    parser = Parser()
    assert parser.variables
    assert all(name == variable(flag) for flag, name in parser.variables.items())
    assert parser.variables["--requests-per-length"] == "LOADTEST_REQUESTS_PER_LENGTH"


def test_values() -> None:
    given = options("--lengths", "64, 8", "--max-p99", "12.5", num_users=7)
    assert given.token_counts == (64, 8)
    assert (given.max_p99, given.users, options().users) == (12.5, 7, 1)
    assert options().token_counts == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scenario", "quick"),
        ("protocol", "v3"),
        ("lengths", "8,8"),
        ("lengths", "8,x"),
        ("lengths", "0"),
        ("requests_per_length", "0"),
        ("warmup", "-1"),
        ("max_users", "1.5"),
        ("rate", "0"),
        ("rate", "nan"),
        ("rate", "inf"),
        ("duration", "-1"),
        ("max_p99", "fast"),
        ("max_error_rate", "1.5"),
    ],
)
def test_what_is_refused_on_the_command_line_is_refused_in_the_web_ui(
    name: str, value: Any
) -> None:
    flag = f"--{name.replace('_', '-')}"
    with pytest.raises(argparse.ArgumentError):
        Parser().parse_args([f"{flag}={value}"])
    with pytest.raises(OptionError, match=flag):
        options(**{name: value})


def test_a_model_needs_a_name() -> None:
    with pytest.raises(argparse.ArgumentError):
        Parser().parse_args(["--model-name", " "])
