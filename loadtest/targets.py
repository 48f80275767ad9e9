"""What is measured: the target at --host, or those of a targets file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from loadtest.errors import OptionError
from loadtest.options import PROTOCOLS, Options


@dataclass(frozen=True)
class Target:
    """One model at one address; `max_length` in tokens, 0 and empty texts for "not given".

    `note` is what a reader of its figures should know.
    """

    name: str
    host: str
    protocol: str = "v2"
    model: str = "qa"
    host_header: str = ""
    token: str = ""
    tokenizer: str = ""
    max_length: int = 0
    note: str = ""


_KEYS = {field.name for field in fields(Target)} | {"token_env"}


def targets_of(options: Options, host: str) -> list[Target]:
    """The targets to measure, at least one, the baseline first; raises OptionError."""
    default = Target(
        name="",
        host=host,
        protocol=options.protocol,
        model=options.model_name,
        host_header=options.host_header,
        token=options.token,
        tokenizer=options.tokenizer,
        max_length=options.max_length,
    )
    if not options.targets:
        if not host:
            raise OptionError("no target: give --host http://name:port, or --targets")
        targets = [replace(default, name=options.target_name or host)]
    else:
        targets = _chosen(read_targets(Path(options.targets), default), options.target_name)
    for target in targets:
        if target.tokenizer and not Path(target.tokenizer).is_file():
            raise OptionError(f"target {target.name}: there is no tokenizer {target.tokenizer}")
    return targets


def read_targets(path: Path, default: Target) -> list[Target]:
    """All targets of a file, what it leaves out taken from the default; raises OptionError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    entries = document.get("targets") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise OptionError(f"{path} has no list named targets")
    targets: list[Target] = []
    for number, entry in enumerate(entries, 1):
        try:
            target = _target(_checked(entry), default, path.parent)
        except OptionError as error:
            raise OptionError(f"{path}, target {number}: {error}") from error
        if target.name in [other.name for other in targets]:
            raise OptionError(f"{path}, target {number}: {target.name!r} is there twice")
        targets.append(target)
    return targets


def _chosen(targets: Sequence[Target], names: str) -> list[Target]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [target.name for target in targets]
    for name in wanted:
        if name not in known:
            raise OptionError(f"there is no target {name!r}: there are {', '.join(known)}")
    return [target for target in targets if not wanted or target.name in wanted]


def _checked(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise OptionError("it is not a mapping with a name and a host")
    for key, value in entry.items():
        if key not in _KEYS:
            raise OptionError(f"unknown key {key!r}; there are {', '.join(sorted(_KEYS))}")
        wanted = int if key == "max_length" else str
        if type(value) is not wanted or not value:
            raise OptionError(f"{key} is {value!r}, not a {'number' if wanted is int else 'text'}")
    if "name" not in entry:
        raise OptionError("it has no name")
    return entry


def _target(entry: dict[str, Any], default: Target, folder: Path) -> Target:
    values = {key: value for key, value in entry.items() if key != "token_env"}
    if "token_env" in entry:
        values["token"] = os.environ.get(entry["token_env"], "")
        if not values["token"]:
            raise OptionError(f"the variable {entry['token_env']} of token_env is not set")
    if "tokenizer" in entry:
        # A path of the file counts from the file's folder.
        values["tokenizer"] = str(folder / entry["tokenizer"])
    target = replace(default, **values)
    if target.protocol not in PROTOCOLS:
        raise OptionError(f"protocol {target.protocol!r} is none of {', '.join(PROTOCOLS)}")
    if not target.host:
        raise OptionError("it has no host")
    return target
