"""Whatever bytes reach a real server's port, it goes on serving, and takes none for a defect."""

import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.local.servers import HOST
from tests.damage import SCRATCHES
from tests.integration.calls import ANSWER, JSON, V1, V2, Inquiry, ask, call

BROKEN, PIPELINED = 400, 40
SECONDS = 10  # a connection that takes longer hangs
GOOD = json.dumps(ask()).encode()


def http(path, content, *headers, length=None, method="POST", version="1.1"):
    """A request as bytes on the wire; the length is the content's own, and False leaves it out."""
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *headers]
    if length is not False:
        lines.append(f"Content-Length: {len(content) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def chunked(content, sizes):
    """A body in chunks; a size is written as it is given, right or wrong."""
    chunks = [
        f"{size}\r\n".encode("latin-1") + content[at::3] + b"\r\n" for at, size in enumerate(sizes)
    ]
    return b"".join(chunks) + b"0\r\n\r\n"


def talk(server, content, *, hang_up):
    """All that the server says to these bytes until it ends the connection."""
    said = b""
    with socket.create_connection((HOST, server.port), timeout=SECONDS) as connection:
        try:
            connection.sendall(content)
            if hang_up:
                return said
            # A server that waits for more gets to know that there is none.
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                said += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    return said


@pytest.fixture(scope="module")
def clean_log(server):
    """Fails where the server took anything for a defect of its own."""
    before = len(server.log.read_text())
    yield
    text = server.log.read_text()[before:]
    assert "Traceback" not in text
    assert "Exception in ASGI" not in text


LENGTHS = st.sampled_from(
    [None, False, 0, 1, -1, "", "x", "1, 2", "9" * 30, "+5", "0x1", 10**7, len(GOOD) + 5]
)
EXTRA = st.lists(
    st.sampled_from(
        ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Expect: 100-continue",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Upgrade: h2c", "Connection: close",
         "Content-Length: 3", "no colon", ": no name", "X: " + "y" * 70_000, " folded", "X: \x00",
         "Inference-Header-Content-Length: " + "9" * 5000]
    ),
    max_size=2,
)  # fmt: skip
ODD_PATHS = ["*", "http://[", "//", V2 + "?" + "q" * 70_000, "/%zz", "no/slash"]
MALFORMED = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.builds(lambda path: http(path, GOOD), st.sampled_from(ODD_PATHS)),
    st.builds(
        lambda method, version: http(V2, GOOD, method=method, version=version),
        st.sampled_from(["POST", "GET", "PRI", "CONNECT", "P\tOST", ""]),
        st.sampled_from(["1.1", "1.0", "0.9", "2.0", "x"]),
    ),
    st.builds(
        lambda path, content, length: http(path, content, length=length),
        st.sampled_from([V1, V2, "/v1/models/nobody", "/metrics"]),
        st.sampled_from([b"", GOOD, GOOD[:40], GOOD + GOOD]),
        LENGTHS,
    ),
    st.builds(
        lambda sizes: http(V2, chunked(GOOD, sizes), "Transfer-Encoding: chunked", length=False),
        st.lists(st.sampled_from(["5", f"{len(GOOD[::3]):x}", "zz", "-1", "f" * 20]), max_size=3),
    ),
    st.builds(lambda extra, length: http(V2, GOOD, *extra, length=length), EXTRA, LENGTHS),
    st.builds(lambda scratch: scratch(http(V2, GOOD)), SCRATCHES),
)


@pytest.mark.usefixtures("clean_log")
@settings(max_examples=BROKEN)
@given(MALFORMED, st.sampled_from([False, False, False, True]))
def test_broken_http(server, content, hang_up):
    said = talk(server, content, hang_up=hang_up)
    assert not said or said.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 5" not in said
    assert server.process.poll() is None


PATHS = st.sampled_from(["v1", "v2_json", "v2_binary"])


@pytest.mark.usefixtures("clean_log")
@settings(max_examples=PIPELINED)
@given(st.lists(PATHS, min_size=1, max_size=5), st.lists(st.integers(1, 3000), max_size=3))
def test_pipelined_requests_are_answered_in_order(server, forms, cuts):
    content = b""
    for position, form in enumerate(forms):
        path, sent, headers = getattr(Inquiry(), form)()
        lines = [f"{name}: {value}" for name, value in headers.items()]
        last = ["Connection: close"] if position == len(forms) - 1 else []
        content += http(path, sent.encode() if isinstance(sent, str) else sent, *lines, *last)
    said = b""
    with socket.create_connection((HOST, server.port), timeout=SECONDS) as connection:
        for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(content)], strict=True):
            connection.sendall(content[start:end])
        while part := connection.recv(65536):
            said += part
    assert said.count(b"HTTP/1.1 200 OK\r\n") == said.count(b"HTTP/1.1") == len(forms)
    members = [b"predictions" if form == "v1" else b"outputs" for form in forms]
    answers = said.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert all(member in answer for member, answer in zip(members, answers, strict=True))


def test_a_good_request_is_answered_afterwards(server):
    reply = call(server, "POST", V2, ask(), JSON)
    assert reply.status == 200
    assert ANSWER in reply.content.decode()
