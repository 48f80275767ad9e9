"""Readiness where the session depends on another server, in every protocol's words."""

import pytest

from tests.integration.asgi import Request, application
from tests.integration.sessions import AwaySession

SESSION = "tests.integration.sessions:AwaySession"
READY = ("/v2/models/qa/ready", "/v2/models/qa/versions/3/ready", "/v2/health/ready")
READY += ("/v1/models/qa",)


@pytest.fixture
def client(fake_artifact):
    with application(fake_artifact, SESSION) as only:
        yield only


@pytest.mark.parametrize("path", READY)
def test_ready_follows_the_remote(client, monkeypatch, path):
    assert client.send(Request("GET", path)).status == 200
    monkeypatch.setattr(AwaySession, "there", False)
    assert client.send(Request("GET", path)).status == 503
    assert client.send(Request("GET", "/v2/health/live")).status == 200
    monkeypatch.undo()
    assert client.send(Request("GET", path)).status == 200
