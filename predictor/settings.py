"""Settings from the environment (`SPANSERVE_…`) and the command line; nothing else reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from predictor.errors import StartupError
from predictor.sessions.loading import NAMES, ORT_SESSION

PREFIX = "SPANSERVE_"
_SESSION = rf"^({'|'.join(name for name in NAMES if name.isalpha())}|[\w.]+:\w+)$"
# Kubernetes announces every Service of the namespace in such variables (NAME=value). A value tells
# the link NAME_PORT from a setting of that name, misspelt.
_SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=\d*"
    r"|PORT=(tcp|udp|sctp)://.*|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*)"
)


class Settings(BaseSettings):
    """What can be set about the predictor beside KServe's own flags."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    model_dir: Path = Path("/mnt/models")
    """Folder of the artifact to serve."""
    session: str = Field(default=ORT_SESSION, pattern=_SESSION)
    """What runs the model: ort, remote, torch or fake, or a class by its dotted name."""
    remote_url: str = Field(default="", pattern=r"^([^\s/]+:\d+)?$")
    """host:port of the server that runs the model, for RemoteSession; else --predictor_host's."""
    remote_model: str = ""
    """The model's name on that server; the artifact's own where this is empty."""
    remote_timeout: float = Field(default=30.0, gt=0)
    """Seconds within which that server must have answered a run (else 504)."""
    remote_start_seconds: float = Field(default=60.0, ge=0)
    """Seconds to wait at the start for that server to have the model ready."""
    provider: str = "auto"
    """Execution provider, such as CPUExecutionProvider; auto picks by the artifact's target."""
    threads: int = Field(default=0, ge=0)
    """Threads for one run; 0 for as many as the container may use."""
    max_batch_tokens: int = Field(default=0, ge=0)
    """Token budget of a batch, padding counted; 0 for what pays on the provider."""
    cuda_graph: bool = True
    """Whether CUDA runs are replayed as captured graphs (on, off)."""
    io_binding: bool = True
    """Whether inputs and outputs are bound in place (on, off)."""
    batching: bool = True
    """Whether features of several requests share a run (on, off)."""
    max_queue_requests: int = Field(default=512, ge=1)
    """Most requests that wait for a run; more are refused with 429."""
    max_queue_tokens: int = Field(default=65536, ge=1)
    """Most tokens that wait for a run; a longer request is refused with 413."""
    request_timeout: float = Field(default=30.0, ge=0)
    """Seconds within which a request's runs must have started (else 504); 0 for any time."""
    drain_seconds: float = Field(default=2.0, ge=0)
    """Seconds from SIGTERM, which makes the server not ready, until it accepts nothing new."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged; debug has a line for every request."""
    max_request_bytes: int = Field(default=8388608, ge=1024)
    """Largest REST body, in bytes; gRPC's is --grpc_max_receive_message_length."""
    host: str = "0.0.0.0"
    """IPv4 address to listen on."""


def read_settings(given: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line (`given`) over the environment over the defaults.

    Raises:
        StartupError: A value is bad, or a variable with our prefix names no setting.
    """
    for name, value in environ.items():
        setting = name.removeprefix(PREFIX)
        if setting == name or _SERVICE_LINK.fullmatch(f"{name}={value}"):
            continue
        if setting.lower() not in Settings.model_fields:
            known = ", ".join(PREFIX + field.upper() for field in Settings.model_fields)
            raise StartupError(f"environment variable {name} names no setting; there are {known}")
    try:
        chosen: dict[str, Any] = {n: value for n, value in given.items() if value is not None}
        return Settings(**chosen)
    except ValidationError as error:
        problem = error.errors()[0]
        raise StartupError(f"setting {problem['loc'][0]}: {problem['msg']}") from error
