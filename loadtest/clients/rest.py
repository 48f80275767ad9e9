"""What the REST clients share: one kept connection, a limit in time, errors in the user's words."""

import http.client
import json
import select
import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import gevent

from loadtest.clients.base import Reply
from loadtest.clients.server_timing import parse_server_timing
from loadtest.errors import AnswerError, RefusedError, TargetError
from loadtest.targets import Target


@dataclass(frozen=True)
class HttpAnswer:
    """A whole answer; `begun` and `ended` as in Reply."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    begun: float
    ended: float

    def reply(self, sequence_length: int | None) -> Reply:
        """The answer's figures."""
        stages = parse_server_timing(self.headers.get("server-timing", ""))
        return Reply(self.begun, self.ended, len(self.body), sequence_length, stages)


class HttpClient:
    """One kept connection to a target."""

    def __init__(self, target: Target, request_timeout: float) -> None:
        """Raises TargetError for a host that is no http or https URL."""
        try:
            url = urlsplit(target.host)
            name, port = url.hostname, url.port
        except ValueError as error:
            raise TargetError(f"the host {target.host!r} is not a URL: {error}") from error
        if url.scheme not in ("http", "https") or not name:
            raise TargetError(f"the host {target.host!r} is not like http://name:port")
        # The standard library's connection costs the least time per request of the usual clients,
        # does not delay small packets, and never sends a request twice.
        secure = url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = connect(name, port)
        self._target = target
        self._root = url.path.rstrip("/")
        self._request_timeout = request_timeout
        self._headers = {"Host": target.host_header} if target.host_header else {}
        if target.token:
            self._headers["Authorization"] = f"Bearer {target.token}"

    @property
    def model_path(self) -> str:
        """The model's name as a part of a path."""
        return quote(self._target.model, safe="")

    def check_path(self, path: str) -> None:
        """Raises TargetError unless the path is answered with 200."""
        answer = self.send("GET", path)
        if answer.status != 200:
            reason = error_text(answer.status, answer.body)
            where = f"{self._target.host}: model {self._target.model!r}"
            raise TargetError(f"{where} is not ready: {reason}")

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> HttpAnswer:
        """The answer with status 200; raises RequestError."""
        answer = self.send("POST", path, body, headers)
        if answer.status != 200:
            refused = answer.status in (429, 503)
            error = RefusedError if refused else AnswerError
            raise error(error_text(answer.status, answer.body))
        return answer

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> HttpAnswer:
        """Any whole answer; raises TargetError."""
        too_late = TimeoutError(f"not whole within {self._request_timeout:g} s")
        headers = self._headers | (headers or {})
        try:
            # A socket's timeout starts anew with every packet; this one is for the whole call.
            with gevent.Timeout(self._request_timeout, too_late):
                self._connect()
                begun = time.perf_counter()
                self._connection.request(method, self._root + path, body, headers)
                response = self._connection.getresponse()
                content = response.read()
                ended = time.perf_counter()
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise TargetError(f"no answer from {self._target.host}: {reason}") from error
        except BaseException:
            # The test is stopped meanwhile: the rest of this answer is not the next one's.
            self.close()
            raise
        return HttpAnswer(response.status, response.headers, content, begun, ended)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _connect(self) -> None:
        """Connect, or connect anew where the server has closed the connection meanwhile."""
        socket = self._connection.sock
        if socket is not None and select.select([socket], [], [], 0)[0]:
            self._connection.close()
        if self._connection.sock is None:
            self._connection.connect()


def error_text(status: int, body: bytes) -> str:
    """One line on an HTTP error, with the server's own words where it sent `{"error": ...}`."""
    try:
        words = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        words = body.decode("utf-8", "replace")
    return f"HTTP {status}: {' '.join(words.split())[:200] or 'no reason given'}"
