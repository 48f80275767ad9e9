"""What the settings describe, loaded and warm: Settings → Engine → Batcher → QAModel."""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

from predictor.batching.batcher import Batcher
from predictor.engine import Engine
from predictor.metrics import Metrics
from predictor.model import QAModel
from predictor.sessions import instructions
from predictor.sessions.cpu import available_cpus
from predictor.sessions.protocol import Remote, SessionOptions
from predictor.sessions.providers import CPU
from predictor.settings import Settings

logger = logging.getLogger(__name__)

_MOST_HELPERS = 4
# Where KServe's runtime for Triton listens for gRPC.
_TRITON_PORT = 9000


def load_model(
    name: str, settings: Settings, metrics: Metrics, predictor_host: str | None = None
) -> QAModel:
    """Loads the artifact and warms it up.

    Args:
        name: The served model's name.
        settings: What to load, and how to run it.
        metrics: Who counts.
        predictor_host: See session_options.

    Raises:
        StartupError: The artifact cannot be served.
    """
    options = session_options(settings, predictor_host)
    engine = Engine.load(settings.model_dir, session=settings.session, options=options)
    logger.info("warming up %s", name)
    batcher = Batcher(
        engine,
        batching=settings.batching,
        max_queue_requests=settings.max_queue_requests,
        max_queue_tokens=settings.max_queue_tokens,
        helpers=min(available_cpus(), _MOST_HELPERS),
        on_run=metrics.ran,
    )
    spec = engine.spec
    if engine.session.provider == CPU:
        here = instructions.detected()
        metrics.runs_on_cpu(
            instructions.named(here),
            instructions.named(spec.instruction_sets),
            instructions.agree(spec, here),
        )
    logger.info(
        "serving %s version %d (%s, %s) on %s",
        name,
        spec.version,
        spec.precision,
        spec.build_id[:12],
        engine.session.provider,
    )
    timeout = settings.request_timeout or None
    return QAModel(name, engine, batcher, metrics=metrics, request_timeout=timeout)


def session_options(settings: Settings, predictor_host: str | None) -> SessionOptions:
    """How the session runs its model: each option is the setting of its name.

    What Remote has is named `remote_…` there.

    Args:
        settings: Whose `remote_url` comes before the host.
        predictor_host: Where the model runs, as KServe's controller tells a transformer: with or
            without a port.
    """
    url = settings.remote_url or predictor_host or ""
    if url and ":" not in url:
        url = f"{url}:{_TRITON_PORT}"
    options: dict[str, Any] = {
        field.name: getattr(settings, field.name)
        for field in fields(SessionOptions)
        if field.name != "remote"
    }
    remote = {field.name: getattr(settings, f"remote_{field.name}") for field in fields(Remote)}
    return SessionOptions(**options, remote=Remote(**remote | {"url": url}))
