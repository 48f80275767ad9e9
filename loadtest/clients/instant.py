"""`python -m loadtest.clients.instant`: answers at once, to measure what clients cost.

It listens on a free port of the loopback, prints it, and ends when its standard input does.
"""

import argparse
import asyncio
import sys
from concurrent import futures
from typing import Any

import grpc

from loadtest.clients import oip_pb2

_V2 = (
    b'{"outputs": [{"name": "sequence_length", "datatype": "INT64", "shape": [1], "data": [128]}]}'
)
_V1 = b'{"predictions": [{"answer": "", "score": 0.0, "start": 0, "end": 0}]}'
_HOST = "127.0.0.1"


class _Rest(asyncio.Protocol):
    """One HTTP/1.1 connection: each request is answered when its body has come."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.lower().split(b"\r\n")
        sizes = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        if len(body) < sum(sizes):
            return
        self._received = body[sum(sizes) :]
        answer = _V1 if b"/v1/" in lines[0] else _V2
        size = b"%d" % len(answer)
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: " + size + b"\r\n\r\n" + answer)


async def _serve_rest() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Rest, _HOST, 0)
    _say(server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)


def _serve_grpc() -> None:
    response = oip_pb2.ModelInferResponse()
    output = response.outputs.add(name="sequence_length", datatype="INT64", shape=[1])
    output.contents.int64_contents.append(128)
    ready = oip_pb2.ModelReadyResponse(ready=True)
    answers: dict[str, Any] = {"ModelInfer": response, "ModelReady": ready}
    service = grpc.method_handlers_generic_handler(
        "inference.GRPCInferenceService",
        {name: _always(answer.SerializeToString()) for name, answer in answers.items()},
    )
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(f"{_HOST}:0")
    server.start()
    _say(port)
    sys.stdin.read()
    server.stop(None)


def _always(answer: bytes) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)


def _say(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def main() -> None:
    """Serves until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.clients.instant", description=__doc__)
    parser.add_argument("--grpc", action="store_true", help="serve gRPC instead of REST")
    if parser.parse_args().grpc:
        _serve_grpc()
    else:
        asyncio.run(_serve_rest())


if __name__ == "__main__":
    main()
