"""A V2 REST client for one question-answering model: one request at a time, each timed."""

import http.client
import json
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import gevent

from loadtest.prompts import Prompt


class RequestError(Exception):
    """A request that failed; the message is one line for the user.

    RequestError
    ├── TargetError    no whole answer came: asking again makes no sense
    └── AnswerError    an answer came, but not the right one
    """


class TargetError(RequestError):
    """The target is not there, not ready, or did not answer in time."""


class AnswerError(RequestError):
    """The target answered with an error, or with something that is no answer."""


@dataclass(frozen=True)
class Reply:
    """One answered request: latency in seconds, size in bytes, server stages in milliseconds."""

    latency_s: float
    size: int
    sequence_length: int
    server_ms: dict[str, float]


class V2Client:
    """Asks one model over one kept connection; `request_timeout` in seconds, for a whole answer."""

    def __init__(self, host: str, model_name: str, request_timeout: float) -> None:
        """Raises TargetError for a host that is no http or https URL."""
        try:
            url = urlsplit(host)
            name, port = url.hostname, url.port
        except ValueError as error:
            raise TargetError(f"the host {host!r} is not a URL: {error}") from error
        if url.scheme not in ("http", "https") or not name:
            raise TargetError(f"the host {host!r} is not like http://name:port")
        # The standard library's connection costs the least time per request of the usual clients,
        # does not delay small packets, and never sends a request twice.
        secure = url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = connect(name, port)
        self._host = host
        self._model_name = model_name
        self._model_path = f"{url.path.rstrip('/')}/v2/models/{quote(model_name, safe='')}"
        self._request_timeout = request_timeout

    def check_ready(self) -> None:
        """Raises TargetError unless the model is ready."""
        status, _, body, _ = self._send("GET", "/ready")
        if status != 200:
            reason = error_text(status, body)
            raise TargetError(f"{self._host}: model {self._model_name!r} is not ready: {reason}")

    def infer(self, prompt: Prompt) -> Reply:
        """Ask one question, timed until the whole answer is read; raises RequestError."""
        payload = {
            "inputs": [
                {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}
                for name, text in (("question", prompt.question), ("context", prompt.context))
            ]
        }
        status, headers, body, latency_s = self._send(
            "POST", "/infer", json.dumps(payload).encode()
        )
        if status != 200:
            raise AnswerError(error_text(status, body))
        return Reply(
            latency_s=latency_s,
            size=len(body),
            sequence_length=_sequence_length(body),
            server_ms=parse_server_timing(headers.get("server-timing", "")),
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes, float]:
        headers = {"Content-Type": "application/json"} if body else {}
        too_late = TimeoutError(f"not whole within {self._request_timeout:g} s")
        begin = time.perf_counter()
        try:
            # A socket's timeout starts anew with every packet; this one is for the whole call.
            with gevent.Timeout(self._request_timeout, too_late):
                self._connection.request(method, self._model_path + path, body, headers)
                response = self._connection.getresponse()
                answer = response.read()
                latency_s = time.perf_counter() - begin
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise TargetError(f"no answer from {self._host}: {reason}") from error
        return response.status, response.headers, answer, latency_s


def error_text(status: int, body: bytes) -> str:
    """One line on an HTTP error, with the server's own words where it sent `{"error": ...}`."""
    try:
        words = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        words = body.decode("utf-8", "replace")
    return f"HTTP {status}: {' '.join(words.split())[:200] or 'no reason given'}"


_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_STAGE = re.compile(rf"({_TOKEN})((?:\s*;\s*{_TOKEN}(?:\s*=\s*{_VALUE})?)*)")
_PARAMETER = re.compile(rf";\s*({_TOKEN})(?:\s*=\s*({_VALUE}))?")
_DURATION = re.compile(r'"?(\d+(?:\.\d*)?|\.\d+)"?')


def parse_server_timing(header: str) -> dict[str, float]:
    """Stage → milliseconds of a Server-Timing header; stages without a duration are left out."""
    stages: dict[str, float] = {}
    for name, parameters in _STAGE.findall(header):
        for parameter, value in _PARAMETER.findall(parameters):
            duration = _DURATION.fullmatch(value)
            if parameter.lower() == "dur" and duration:
                stages[name] = float(duration[1])
    return stages


def _sequence_length(body: bytes) -> int:
    try:
        outputs: list[dict[str, Any]] = json.loads(body)["outputs"]
        data = {output["name"]: output["data"] for output in outputs}
        return int(data["sequence_length"][0])
    except (ValueError, KeyError, TypeError, IndexError):
        raise AnswerError(
            "the answer has no output sequence_length (is this a question-answering model?)"
        ) from None
