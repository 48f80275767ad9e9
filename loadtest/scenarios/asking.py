"""One request after the other, each with its record, over connections that are used again."""

import time
from collections import defaultdict
from collections.abc import Callable

from loadtest.clients.base import Client, Reply
from loadtest.clients.factory import make_client
from loadtest.errors import RequestError, UnsentError, WrongError
from loadtest.prompts import Prompt
from loadtest.results.records import ANSWERED, Record
from loadtest.targets import Target

RowAt = Callable[[float], str]
"""Tells the row, "" for none, by perf_counter's clock."""


class Asker:
    """Asks targets, by any number of users at a time."""

    def __init__(self, timeout: float) -> None:
        """Takes the seconds after which a request without a whole answer has failed."""
        self._timeout = timeout
        self._idle: dict[str, list[Client]] = defaultdict(list)

    def close(self) -> None:
        """Closes every connection that nobody uses."""
        for clients in self._idle.values():
            while clients:
                clients.pop().close()

    def ask(
        self, target: Target, prompt: Prompt, length: int, row_at: RowAt, due: float | None = None
    ) -> Record:
        """One request.

        Args:
            target: Who is asked.
            prompt: What is asked.
            length: Its tokens, 0 where they are not known.
            row_at: Which rows it counts for.
            due: When it was to be sent, by perf_counter's clock; when it was sent by default.
        """
        begun = time.perf_counter()
        reply: Reply | None = None
        error: RequestError | None = None
        client: Client | None = None
        try:
            idle = self._idle[target.name]
            client = idle.pop() if idle else make_client(target, self._timeout)
            reply = client.infer(prompt)
            begun = reply.begun
            idle.append(client)
            client = None
            if reply.sequence_length is not None and length:
                _check_length(reply.sequence_length, length)
        except RequestError as failure:
            error = failure
        finally:
            if client is not None:
                client.close()
        ended = reply.ended if reply else time.perf_counter()
        due = begun if due is None else due
        return _record(target, length, row_at, (due, begun, ended), reply, error)

    def not_sent(self, target: Target, length: int, row_at: RowAt, due: float) -> Record:
        """The record of a request that was due and could not be sent; arguments as of `ask`."""
        words = f"not sent within {self._timeout:g} s"
        error = UnsentError(f"{words}: too many answers were waited for")
        now = time.perf_counter()
        return _record(target, length, row_at, (due, now, now), None, error)


def _record(
    target: Target,
    length: int,
    row_at: RowAt,
    times: tuple[float, float, float],
    reply: Reply | None,
    error: RequestError | None,
) -> Record:
    due, sent, ended = times
    return Record(
        target=target.name,
        row=row_at(due),
        ended_row=row_at(ended),
        at=time.time() + due - time.perf_counter(),
        tokens=length,
        seen=reply.sequence_length or 0 if reply else 0,
        latency_ms=(ended - due) * 1e3,
        late_ms=max(sent - due, 0.0) * 1e3,
        outcome=error.outcome if error else ANSWERED,
        message=str(error) if error else "",
        size=reply.size if reply else 0,
        server_ms=reply.server_ms if reply else {},
    )


def _check_length(seen: int, asked: int) -> None:
    if seen == asked:
        return
    reason = "its vocabulary is another"
    if seen < asked:
        reason = f"its windows are shorter and the context was split, or {reason}"
    raise WrongError(f"asked for {asked} tokens, the model saw {seen}: {reason}")
