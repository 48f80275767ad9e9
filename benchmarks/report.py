"""The figures as a table for people and as JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.processes import Cores
from benchmarks.rounds import Figure


def as_markdown(figures: Sequence[Figure]) -> str:
    """A Markdown table, its columns aligned so that a terminal shows it well too."""
    header = ["figure", "median (min … max)", "bound", "", "rounds", "sides", "what"]
    rows = [
        [
            figure.name,
            f"{figure.value.median:.3f} ({figure.value.low:.3f} … {figure.value.high:.3f}) "
            f"{figure.unit}",
            f"{'≤' if figure.at_most else '≥'} {figure.bound:g}",
            "held" if figure.held else "MISSED",
            str(figure.value.rounds),
            figure.detail,
            figure.what,
        ]
        for figure in figures
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |\n"
        for line in (header, rule, *rows)
    )


def as_json(figures: Sequence[Figure], cores: Cores) -> str:
    """Every figure with its spread, its bound and whether it was held."""
    content = {
        "cores": cores.describe(),
        "figures": [asdict(figure) | {"held": figure.held} for figure in figures],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
