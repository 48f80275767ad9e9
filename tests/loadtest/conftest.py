"""What the load test's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loadtest.qa_server import QAServer, serving


@pytest.fixture
def server() -> Iterator[QAServer]:
    with serving() as server:
        yield server
