"""A model server with as much of V2 as a rollout asks for, right or wrong on demand."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Change = dict[str, Any]


class FakeModel:
    """Serves one version on a free port; `wrong` replaces outputs of its answers.

    `port` may be that of another server instead.
    """

    def __init__(self, version: int, wrong: Change | None = None, status: int = 200) -> None:
        def reply(path: str, request: Change) -> tuple[int, Change]:
            if path.endswith("/artifact"):
                return 200, {"artifact": {"version": version}}
            if status != 200:
                return status, {"error": "out of order"}
            (context,) = next(t["data"] for t in request["inputs"] if t["name"] == "context")
            end = context.index(".")
            outputs = {"answer": context[:end], "score": 0.9, "start": 0, "end": end}
            outputs |= wrong or {}
            tensors = [{"name": n, "data": [v]} for n, v in outputs.items() if v != "absent"]
            return 200, {"outputs": tensors}

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                code, body = reply(self.path, json.loads(self.rfile.read(length) or b"{}"))
                content = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
