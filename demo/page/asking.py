"""One question to all models at once, over the V2 protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from loadtest.clients.server_timing import parse_server_timing
from loadtest.errors import OptionError
from loadtest.targets import Target

CANDIDATES = 5
"""Answers asked for: the best one, and those it is chosen from."""

_ANSWER, _DESCRIPTION = httpx.Timeout(60, connect=5), httpx.Timeout(5)  # seconds
_PROTOCOLS = ("v2", "v2-binary")
_SHOWN = 300  # letters of an error that a server gives


class AskError(Exception):
    """A model gave no answer; the text says why in one line."""


@dataclass(frozen=True)
class Candidate:
    """A possible answer, `start` and `end` in code points of the text; empty for "no answer"."""

    text: str
    score: float
    start: int
    end: int


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        candidates: The best one first, at least one.
        sequence_length: Tokens of the longest window.
        stages: Milliseconds by stage, empty where the server does not tell.
        version: Of the model that answered, empty where the server does not tell.
    """

    candidates: tuple[Candidate, ...]
    sequence_length: int
    stages: dict[str, float]
    version: str

    @property
    def best(self) -> Candidate:
        """The answer."""
        return self.candidates[0]

    @property
    def milliseconds(self) -> float | None:
        """All stages together."""
        return sum(self.stages.values()) if self.stages else None


Outcome = Reply | AskError


class Model:
    """One target, and the connections to it."""

    def __init__(self, target: Target) -> None:
        """Raises OptionError for a target that the page cannot ask."""
        if target.protocol not in _PROTOCOLS:
            raise OptionError(
                f"target {target.name}: the page speaks V2 over HTTP, not {target.protocol}"
            )
        self.name = target.name
        headers = {"Host": target.host_header} if target.host_header else {}
        if target.token:
            headers["Authorization"] = f"Bearer {target.token}"
        try:
            root = httpx.URL(target.host)
            self._client = httpx.AsyncClient(base_url=root, headers=headers, trust_env=False)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise OptionError(f"target {target.name}: {target.host!r} is no URL") from error
        if root.scheme not in ("http", "https") or not root.host:
            raise OptionError(f"target {target.name}: {target.host!r} is not like http://name:port")
        self._path = f"/v2/models/{quote(target.model, safe='')}"

    async def close(self) -> None:
        """Gives its connections back."""
        await self._client.aclose()

    async def get(self, path: str = "") -> dict[str, Any]:
        """The object under a path of the model's; raises AskError."""
        return _document(await self._call("GET", self._path + path, _DESCRIPTION))

    async def ask(self, question: str, text: str) -> Reply:
        """The answer to a question about a text; raises AskError."""
        inputs = [
            {"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}
            for name, value in (("question", question), ("context", text))
        ]
        body = json.dumps({"inputs": inputs, "parameters": {"top_k": CANDIDATES}})
        response = await self._call("POST", f"{self._path}/infer", _ANSWER, body)
        document = _document(response)
        try:
            return _reply(document, response.headers.get("server-timing", ""))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise AskError("its answer has not the outputs of a Spanserve predictor") from error

    async def _call(
        self, method: str, path: str, timeout: httpx.Timeout, body: str | None = None
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            response = await self._client.request(
                method, path, content=body, headers=headers, timeout=timeout
            )
        except httpx.TimeoutException as error:
            raise AskError("it did not answer in time") from error
        except httpx.HTTPError as error:
            raise AskError("it cannot be reached") from error
        if response.status_code != 200:
            raise AskError(f"it answered {response.status_code}{_reason(response)}")
        return response


async def ask_all(
    models: Sequence[Model], question: str, text: str
) -> AsyncIterator[tuple[int, Outcome]]:
    """Asks all models at once; yields each one's place and outcome, the fastest first."""

    async def one(place: int, model: Model) -> tuple[int, Outcome]:
        try:
            return place, await model.ask(question, text)
        except AskError as error:
            return place, error

    tasks = [asyncio.create_task(one(place, model)) for place, model in enumerate(models)]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        # Who asked may have gone.
        for task in tasks:
            task.cancel()


def _reply(document: dict[str, Any], timing: str) -> Reply:
    columns = {output["name"]: output["data"] for output in document["outputs"]}
    names = ("answer", "score", "start", "end")
    candidates = [
        Candidate(str(text), float(score), int(start), int(end))
        for text, score, start, end in zip(*(columns[name] for name in names), strict=True)
    ]
    # Slots without a candidate start at -1.
    found = tuple(candidate for candidate in candidates if candidate.start >= 0)
    if not found:
        raise ValueError("there is no candidate")
    return Reply(
        found,
        int(columns["sequence_length"][0]),
        parse_server_timing(timing),
        str(document.get("model_version", "")),
    )


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError as error:
        raise AskError("its answer is not JSON") from error
    if not isinstance(document, dict):
        raise AskError("its answer is no JSON object")
    return document


def _reason(response: httpx.Response) -> str:
    """What a predictor says of an error, as one line."""
    try:
        text = str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {' '.join(text.split())[:_SHOWN]}"
