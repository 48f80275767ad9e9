"""What the client makes of hosts, errors and Server-Timing headers."""

import pytest

from loadtest.client import TargetError, V2Client, error_text, parse_server_timing


@pytest.mark.parametrize(
    ("header", "stages"),
    [
        ("", {}),
        ("run;dur=12.5", {"run": 12.5}),
        ("tokenize;dur=0.4, queue;dur=0, run;dur=12", {"tokenize": 0.4, "queue": 0, "run": 12}),
        ('run;desc="a, b;dur=1";dur=3', {"run": 3}),
        ('run;dur="7.25"', {"run": 7.25}),
        ("cache, run ; DUR = .5", {"run": 0.5}),
        ("run;dur=fast", {}),
    ],
)
def test_parse_server_timing(header: str, stages: dict[str, float]) -> None:
    assert parse_server_timing(header) == stages


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "no model named x"}', "HTTP 404: no model named x"),
        (b'{"error": "two\\nlines"}', "HTTP 404: two lines"),
        (b"<h1>Not\n found</h1>", "HTTP 404: <h1>Not found</h1>"),
        (b'{"detail": 1}', 'HTTP 404: {"detail": 1}'),
        (b"[]", "HTTP 404: []"),
        (b"", "HTTP 404: no reason given"),
        (b"\xff" * 500, "HTTP 404: " + "�" * 200),
    ],
)
def test_error_text(body: bytes, text: str) -> None:
    assert error_text(404, body) == text


@pytest.mark.parametrize("host", ["", "127.0.0.1:8080", "ftp://host", "http://", "http://a:b"])
def test_host_that_is_no_url(host: str) -> None:
    with pytest.raises(TargetError, match="the host"):
        V2Client(host, "qa", 1)
