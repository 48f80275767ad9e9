"""What is let in: bounds on waiting requests and tokens, and when to come back.

Not safe for several threads by itself; batching.py holds a lock around it.
"""

from __future__ import annotations

import math

from predictor.errors import NotReady, QueueFull, RequestTooLarge

# English has four to five characters per token; the exact count replaces the estimate.
_CHARACTERS_PER_TOKEN = 4
# A text can have more: only what is surely too large is refused before it is tokenized.
_MOST_CHARACTERS_PER_TOKEN = 16
_SMOOTHING = 0.9
_LONGEST_RETRY = 60


class Admission:
    """Counts what waits, and refuses what is too much.

    Attributes:
        requests: Requests that are admitted and not yet answered.
        waiting: Requests among them that have not run, or not entirely.
        tokens: Tokens that wait for a run, estimated for texts that are not tokenized yet.
        max_tokens: Most of them.
    """

    def __init__(self, max_requests: int, max_tokens: int) -> None:
        """Takes the bounds on waiting requests and waiting tokens."""
        self.requests = 0
        self.waiting = 0
        self.tokens = 0
        self._max_requests = max_requests
        self.max_tokens = max_tokens
        self._open = True
        self._tokens_per_second = 0.0

    def close(self) -> None:
        """Lets nobody in any more."""
        self._open = False

    def admit(self, characters: int) -> int:
        """Lets a request in; returns the tokens that it is estimated to wait with.

        Args:
            characters: Of all its texts.

        Raises:
            NotReady: The server is shutting down.
            RequestTooLarge: The request could never be let in.
            QueueFull: Too much waits already.
        """
        if not self._open:
            raise NotReady("the server is shutting down")
        if characters > _MOST_CHARACTERS_PER_TOKEN * self.max_tokens:
            raise self._too_large(f"has {characters} characters")
        if self.waiting >= self._max_requests:
            raise QueueFull(f"{self.waiting} requests wait already", self._retry_after())
        estimate = min(math.ceil(characters / _CHARACTERS_PER_TOKEN), self.max_tokens)
        self._check_room(estimate)
        self.requests += 1
        self.waiting += 1
        self.tokens += estimate
        return estimate

    def correct(self, estimate: int, tokens: int) -> None:
        """Replaces the estimate by the count.

        Raises:
            RequestTooLarge: The request could never be let in.
            QueueFull: With so many tokens it would not have been let in.
        """
        self.tokens -= estimate
        if tokens > self.max_tokens:
            raise self._too_large(f"has {tokens} tokens")
        self._check_room(tokens)
        self.tokens += tokens

    def ran(self, tokens: int, seconds: float) -> None:
        """Notes a run's speed, from which the time to come back follows."""
        rate = tokens / max(seconds, 1e-6)
        old = self._tokens_per_second or rate
        self._tokens_per_second = _SMOOTHING * old + (1 - _SMOOTHING) * rate

    def _check_room(self, tokens: int) -> None:
        # Whatever fits by itself is let in where nothing waits.
        if self.tokens and self.tokens + tokens > self.max_tokens:
            raise QueueFull(f"{self.tokens} tokens wait already", self._retry_after())

    def _too_large(self, what: str) -> RequestTooLarge:
        return RequestTooLarge(f"the request {what}; at most {self.max_tokens} tokens are taken")

    def _retry_after(self) -> int:
        seconds = self.tokens / self._tokens_per_second if self._tokens_per_second else 1.0
        return max(1, min(math.ceil(seconds), _LONGEST_RETRY))
