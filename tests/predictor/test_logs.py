"""One JSON object per line."""

import json
import logging
import sys

from predictor.logs import JsonFormatter


def formatted(**extra):
    record = logging.getLogger("predictor.x").makeRecord(
        "predictor.x", logging.WARNING, __file__, 1, "refused: %s", ("é\nü",), None, extra=extra
    )
    return JsonFormatter().format(record)


def test_a_record_is_one_line_with_its_extras():
    line = formatted(status=429, path="/v2")
    assert "\n" not in line
    record = json.loads(line)
    assert record["time"].endswith("Z")
    del record["time"]
    assert record == {
        "level": "warning",
        "logger": "predictor.x",
        "message": "refused: é\nü",
        "status": 429,
        "path": "/v2",
    }


def test_an_exception_is_part_of_the_line():
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]
