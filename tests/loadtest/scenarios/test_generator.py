"""The generator alone: what it tells when it can no longer go on."""

from __future__ import annotations

import random
from typing import Any

import gevent
import pytest

from loadtest.errors import OptionError
from loadtest.phases import PREPARE, SEQUENTIAL, Phase
from loadtest.prompts import Prompt
from loadtest.scenarios.generator import Generator
from loadtest.scenarios.texts import OneTokenTexts
from loadtest.targets import Target
from tests.loadtest.given import options
from tests.loadtest.qa_server import QAServer


@pytest.fixture
def told() -> list[tuple[str, dict[str, Any]]]:
    return []


def test_failure_of_its_own_ends_the_test(
    server: QAServer, told: list[tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(what: str, data: dict[str, Any]) -> None:
        told.append((what, data))

    target = Target("a", server.url)
    generator = Generator(options("--lengths", "8"), [target], 0, tell, lambda *_: None)
    generator.begin(Phase(0, PREPARE, ["a"]), 1)
    while not told:
        gevent.sleep(0.01)
    assert told == [("over", {"number": 0, "worker": 0})]

    def make(self: OneTokenTexts, length: int, rng: random.Random) -> Prompt:
        raise OptionError("no such text")

    monkeypatch.setattr(OneTokenTexts, "make", make)
    generator.begin(Phase(1, SEQUENTIAL, ["a"]), 1)
    with pytest.raises(OptionError):
        generator.turn(0)
    why = "given up, as the load test itself failed: no such text"
    assert told[1:] == [("lost", {"target": "a", "why": why})]
    # Locust lets the user have another turn, which has nothing left to do.
    gevent.spawn_later(0.05, generator.pause)
    generator.turn(0)
    assert told[2:] == [("over", {"number": 1, "worker": 0})]
    generator.close()
