"""Engines stay loaded within a budget, and a benchmark visits those that do not fit in groups."""

import pytest

from optimize import engines
from optimize.engines import Engines
from optimize.evaluation import benchmark
from predictor.engine import Engine
from tests.conftest import FAKE_SESSION


@pytest.fixture
def folders(make_artifact, monkeypatch):
    """Four artifacts of 20 bytes each."""
    monkeypatch.setattr(engines, "session_for", lambda _: FAKE_SESSION)
    made = {name: make_artifact(name) for name in "abcd"}
    assert {engines._size(folder) for folder in made.values()} == {19}
    return made


@pytest.fixture
def loads(monkeypatch):
    """Names of the folders in the order in which they are loaded."""
    loaded = []
    load = Engine.load

    def counting(folder, **options):
        loaded.append(folder.name)
        return load(folder, **options)

    monkeypatch.setattr(Engine, "load", counting)
    return loaded


def test_the_ones_asked_for_last_stay(folders, loads):
    some = Engines(threads=1, most_bytes=40)
    a, b = (some.get(folders[name], cuda_graph=True) for name in "ab")
    assert some.get(folders["a"], cuda_graph=True) is a
    some.get(folders["c"], cuda_graph=True)
    assert some.get(folders["a"], cuda_graph=True) is a
    assert some.get(folders["b"], cuda_graph=True) is not b
    assert loads == ["a", "b", "c", "b"]
    some.release()
    assert some.get(folders["b"], cuda_graph=True) is not b
    # One that is too large alone is loaded, and nothing beside it.
    small = Engines(threads=1, most_bytes=10)
    small.get(folders["a"], cuda_graph=True)
    small.get(folders["b"], cuda_graph=True)
    small.get(folders["b"], cuda_graph=True)
    assert loads[5:] == ["a", "b"]


def test_groups_fill_the_budget_in_order(folders):
    paths = list(folders.values())
    a, b, c, d = paths
    assert Engines(1, most_bytes=40).groups(paths) == [[a, b], [c, d]]
    assert Engines(1, most_bytes=76).groups(paths) == [paths]
    assert Engines(1, most_bytes=10).groups(paths[:2]) == [[a], [b]]


def test_every_round_has_every_step_also_in_groups(make_artifact):
    runs = []

    class Spy:
        def __init__(self, name, engine):
            self.name, self.spec, self.prepare, self.session = (
                name,
                engine.spec,
                engine.prepare,
                self,
            )
            self._engine = engine

        def run(self, batch):
            runs.append((self.name, batch["input_ids"].shape[1]))
            return self._engine.session.run(batch)

    spies = {n: Spy(n, Engine.load(make_artifact(n), session=FAKE_SESSION)) for n in "abc"}
    found = benchmark.sample(
        spies, (8, 32), 3, groups=lambda names: [names[:2], names[2:]]
    )  # fmt: skip
    cases = {(name, length) for name in "abc" for length in (8, 32)}
    assert {case: len(values) for case, values in found.items()} == dict.fromkeys(cases, 3)
    rounds = [runs[i : i + 12] for i in range(0, len(runs), 12)]
    assert len(rounds) == 3 + benchmark.BURN_IN_ROUNDS
    for visited in rounds:
        # Two at once and then one, each once to warm it up, and once more.
        for part, count in ((visited[:8], 2), (visited[8:], 1)):
            assert len({name for name, _ in part}) == count
            half = len(part) // 2
            assert sorted(part[:half]) == sorted(part[half:])
            assert len(set(part)) == half
    assert len({tuple(name for name, _ in visited) for visited in rounds}) > 1
