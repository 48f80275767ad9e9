"""What a served version must do: name itself, and answer a plain question from the context."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from k8s.rollout.access import Access, Reply
from k8s.rollout.cluster import Object
from k8s.rollout.errors import NotServing

QUESTION = "Where does the old clockmaker live?"
CONTEXT = (
    "The old clockmaker lives in Lisbon. Every morning he winds the clocks in his shop, and in "
    "the evening he walks along the river."
)
# The service is there but cannot take this request now: it is asked again.
_LATER = {429, 502, 503, 504}


class NotYet(Exception):
    """It may be well in a moment; the text says what it lacks."""


@dataclass(frozen=True)
class Smoke:
    """A question to ask, and the model to ask it."""

    model: str
    question: str = QUESTION
    context: str = CONTEXT

    def check_version(self, access: Access, pod: Object, version: int) -> None:
        """Raises NotYet unless the pod serves the artifact of this version."""
        path = f"/v2/models/{quote(self.model)}/artifact"
        reply = access.ask(pod, "GET", path)
        try:
            served = int((reply.body or {})["artifact"]["version"])
        except (KeyError, TypeError, ValueError):
            # Whatever is wrong with it: a pod of another version may be on its way out.
            raise NotYet(f"{_name(pod)}: {path}: HTTP {reply.status}, no version") from None
        if served != version:
            raise NotYet(f"{_name(pod)} serves version {served}")

    def check_answer(self, access: Access, pod: Object) -> str:
        """The answer, a part of the context; raises NotServing for a wrong one, or NotYet."""
        inputs = [
            {"name": name, "datatype": "BYTES", "shape": [1], "data": [text]}
            for name, text in (("question", self.question), ("context", self.context))
        ]
        path = f"/v2/models/{quote(self.model)}/infer"
        body = _answered(pod, access.ask(pod, "POST", path, {"inputs": inputs}))
        try:
            outputs = {tensor["name"]: tensor["data"][0] for tensor in body["outputs"]}
            answer, score = outputs["answer"], outputs["score"]
            start, end = outputs["start"], outputs["end"]
        except (KeyError, TypeError, IndexError):
            raise _wrong(pod, "the answer lacks one of answer, score, start and end") from None
        if not answer:
            raise _wrong(pod, f"no answer to {self.question!r}")
        if not _finite(score):
            raise _wrong(pod, f"the score {score!r} is no finite number")
        if not (_whole(start) and _whole(end) and self.context[start:end] == answer):
            raise _wrong(pod, f"the answer {answer!r} is not the context's text at {start}:{end}")
        return str(answer)


def _answered(pod: Object, reply: Reply) -> dict[str, Any]:
    if reply.status == 200 and reply.body is not None:
        return reply.body
    said = (reply.body or {}).get("error", "no reason given")
    text = f"{_name(pod)}: HTTP {reply.status}: {said}"
    if reply.status in _LATER:
        raise NotYet(text)
    raise NotServing(text)


def _wrong(pod: Object, text: str) -> NotServing:
    return NotServing(f"smoke test: {_name(pod)}: {text}")


def _name(pod: Object) -> str:
    return f"pod {pod['metadata']['name']}"


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
