"""The API server's side of `pods/portforward` over a websocket (v4.channel.k8s.io).

Channel 0 carries the port's bytes, channel 1 its errors; each begins with a frame that names the
port, two bytes, the low one first.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler

from websocket import ABNF
from websocket._abnf import frame_buffer

PROTOCOL = "v4.channel.k8s.io"
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def forward(handler: BaseHTTPRequestHandler, port: int, target: int) -> None:
    """Upgrades a request and carries bytes between it and `target`, a port of loopback.

    Args:
        handler: Holds the request.
        port: What the client asked for.
        target: Where nobody need listen.
    """
    key = handler.headers["Sec-WebSocket-Key"] + _MAGIC
    offered = handler.headers["Sec-WebSocket-Protocol"].replace(" ", "").split(",")
    assert PROTOCOL in offered
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    accepted = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    handler.send_header("Sec-WebSocket-Accept", accepted)
    handler.send_header("Sec-WebSocket-Protocol", PROTOCOL)
    handler.end_headers()
    handler.wfile.flush()
    handler.close_connection = True

    def send(channel: int, data: bytes) -> None:
        handler.connection.sendall(_frame(bytes([channel]) + data, ABNF.OPCODE_BINARY))

    for channel in (0, 1):
        send(channel, port.to_bytes(2, "little"))
    try:
        pod = socket.create_connection(("127.0.0.1", target))
    except OSError as error:
        send(1, f"dial tcp4 127.0.0.1:{port}: {error.strerror}".encode())
        handler.connection.sendall(_frame(b"\x03\xe8", ABNF.OPCODE_CLOSE))
        return
    with pod:
        back = threading.Thread(target=_carry_back, args=(pod, send), daemon=True)
        back.start()
        _carry_there(handler, pod)
        pod.shutdown(socket.SHUT_RDWR)
        back.join(5)


def _carry_there(handler: BaseHTTPRequestHandler, pod: socket.socket) -> None:
    frames = frame_buffer(lambda size: handler.rfile.read1(size) or _gone(), True)
    try:
        while True:
            frame = frames.recv_frame()
            if frame.opcode == ABNF.OPCODE_CLOSE:
                return
            if frame.opcode == ABNF.OPCODE_BINARY and frame.data[0] == 0:
                pod.sendall(frame.data[1:])
    except OSError:
        return


def _carry_back(pod: socket.socket, send) -> None:  # type: ignore[no-untyped-def]
    try:
        while data := pod.recv(65536):
            send(0, data)
    except OSError:
        return


def _gone() -> bytes:
    raise ConnectionResetError("the client has gone")


def _frame(data: bytes, opcode: int) -> bytes:
    # A server's frames are not masked.
    frame = ABNF(1, 0, 0, 0, opcode, 0, data)
    return bytes(frame.format())
