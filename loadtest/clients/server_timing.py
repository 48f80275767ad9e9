"""The standard Server-Timing header."""

import re

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
