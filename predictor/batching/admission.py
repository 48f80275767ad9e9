"""What is let in: bounds on waiting requests and tokens, and when to come back.

Not safe for several threads by itself; the batcher holds a lock around it.
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
    """Counts what waits, and refuses what is too much; its permits keep the counts.

    Attributes:
        requests: Requests that are admitted and not yet answered.
        waiting: Requests among them that wait; see Permit.
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

    def admit(self, characters: int) -> Permit:
        """Lets a request in, which waits with as many tokens as it is estimated to have.

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
        return Permit(self, estimate)

    def ran(self, tokens: int, seconds: float) -> None:
        """Notes a run's speed, from which the time to come back follows."""
        rate = tokens / max(seconds, 1e-6)
        old = self._tokens_per_second or rate
        self._tokens_per_second = _SMOOTHING * old + (1 - _SMOOTHING) * rate

    def check_count(self, tokens: int) -> None:
        """Whether a request could be let in with so many tokens, now that they are counted.

        Raises:
            RequestTooLarge: The request could never be let in.
            QueueFull: With so many tokens it would not have been let in.
        """
        if tokens > self.max_tokens:
            raise self._too_large(f"has {tokens} tokens")
        self._check_room(tokens)

    def _check_room(self, tokens: int) -> None:
        # Whatever fits by itself is let in where nothing waits.
        if self.tokens and self.tokens + tokens > self.max_tokens:
            raise QueueFull(f"{self.tokens} tokens wait already", self._retry_after())

    def _too_large(self, what: str) -> RequestTooLarge:
        return RequestTooLarge(f"the request {what}; at most {self.max_tokens} tokens are taken")

    def _retry_after(self) -> int:
        seconds = self.tokens / self._tokens_per_second if self._tokens_per_second else 1.0
        return max(1, min(math.ceil(seconds), _LONGEST_RETRY))


class Permit:
    """What an admitted request takes of the bounds, from its admission until its release.

    Attributes:
        waiting: Whether some of it has not started to run.
    """

    def __init__(self, admission: Admission, estimate: int) -> None:
        """Takes room for a request that is estimated to have so many tokens."""
        self._admission = admission
        self._tokens = 0
        self.waiting = True
        admission.requests += 1
        admission.waiting += 1
        self._add(estimate)

    def counted(self, tokens: int) -> None:
        """Replaces the estimate by the count; raises what Admission.check_count does."""
        self._add(-self._tokens)
        self._admission.check_count(tokens)
        self._add(tokens)

    def started(self, tokens: int) -> None:
        """So many of the counted tokens start to run, and wait no longer."""
        self._add(-tokens)
        if not self._tokens:
            self._stop_waiting()

    def released(self) -> None:
        """The request is answered, refused or abandoned: nothing of it waits, once and for all."""
        self._add(-self._tokens)
        self._stop_waiting()
        self._admission.requests -= 1

    def _add(self, tokens: int) -> None:
        self._tokens += tokens
        self._admission.tokens += tokens

    def _stop_waiting(self) -> None:
        self._admission.waiting -= self.waiting
        self.waiting = False
