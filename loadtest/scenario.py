"""The latency table: random requests one after the other, sequence length by sequence length."""

import contextlib
import logging
import random
import time
from collections.abc import Callable

from loadtest.client import AnswerError, Reply, RequestError, TargetError, V2Client
from loadtest.options import Options
from loadtest.prompts import Prompt, make_prompt
from loadtest.recording import Recording

logger = logging.getLogger(__name__)

Report = Callable[[int, float, int, Exception | None], None]
"""Told of each measured request: sequence length, seconds, bytes, what went wrong."""


def run_latency_table(host: str, options: Options, recording: Recording, report: Report) -> None:
    """Send every request to the target into `recording`; ends early when the target is lost."""
    try:
        client = V2Client(host, options.model_name, options.request_timeout)
        client.check_ready()
    except TargetError as error:
        recording.fail(str(error))
        return
    rng = random.Random(options.seed)
    with contextlib.closing(client):
        for length in options.lengths:
            answering = _measure(client, length, options, rng, recording, report)
            _log_progress(length, recording)
            if not answering:
                return


def _measure(
    client: V2Client,
    length: int,
    options: Options,
    rng: random.Random,
    recording: Recording,
    report: Report,
) -> bool:
    """Measure one sequence length; False when the target was lost."""
    for number in range(options.warmup + options.requests_per_length):
        prompt = make_prompt(length, rng)
        measured = number >= options.warmup
        begin = time.perf_counter()
        try:
            reply = _ask(client, length, prompt)
        except RequestError as error:
            if measured:
                report(length, time.perf_counter() - begin, 0, error)
            recording.fail(str(error), length)
            if isinstance(error, TargetError):
                return False
        else:
            if measured:
                report(length, reply.latency_s, reply.size, None)
                recording.add(length, reply.latency_s, reply.server_ms)
    return True


def _ask(client: V2Client, length: int, prompt: Prompt) -> Reply:
    reply = client.infer(prompt)
    if reply.sequence_length < length:
        raise AnswerError(
            f"asked for {length} tokens, the model saw {reply.sequence_length}: "
            "its windows are shorter and the context was split, or its vocabulary is another"
        )
    if reply.sequence_length > length:
        raise AnswerError(
            f"asked for {length} tokens, the model saw {reply.sequence_length}: "
            "its vocabulary is another"
        )
    return reply


def _log_progress(length: int, recording: Recording) -> None:
    row = recording.row(length)
    mean = "nothing" if row.mean_ms is None else f"mean {row.mean_ms:.2f} ms"
    failures = f", {row.failures} failed" if row.failures else ""
    logger.info("seq %d: %s over %d requests%s", length, mean, row.requests, failures)
