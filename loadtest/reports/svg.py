"""Line charts as SVG text, with colours that follow the reader's scheme; dark on white in print.

Written out by hand, as a load generator needs no drawing library for lines and labels.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

# Name: light, dark.
_THEME = {
    "background": ("#ffffff", "#14171c"),
    "ink": ("#1f2328", "#e6e8eb"),
    "muted": ("#59636e", "#a3adb8"),
    "grid": ("#e0e4e8", "#2c323a"),
}
# Of middle lightness: they show on both backgrounds. Shapes tell them apart without colour.
_COLOURS = ("#6e7781", "#0072b2", "#d55e00", "#00875f", "#b3589a", "#9a6a00", "#7a5fd0")
_SHAPES = (
    '<circle r="3.5"/>',
    '<rect x="-3" y="-3" width="6" height="6"/>',
    '<path d="M0 -4L4 3H-4Z"/>',
    '<path d="M0 -4.5L4.5 0L0 4.5L-4.5 0Z"/>',
    '<path d="M0 4L4 -3H-4Z"/>',
)
_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 180, 62, 46
_NAME = 24  # letters of a series' name that there is room for
_SPREAD = 10.0  # the ratio from which an axis is logarithmic


@dataclass(frozen=True)
class Series:
    """A named line through points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def line_chart(
    heading: str,
    conditions: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    *,
    x_linear: bool = False,
) -> str:
    """A chart of at least one point; values from 0 on, series of one name drawn alike.

    Axes are logarithmic where values are far apart, the first one unless it is to be linear.
    """
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    across = _Axis(xs, _LEFT, _WIDTH - _RIGHT, linear=x_linear)
    up = _Axis(ys, _HEIGHT - _BOTTOM, _TOP)
    parts = [_text(12, 22, heading, "ink", size=14, weight="bold"), _text(12, 40, conditions)]
    parts += _grid(across, up, x_label, y_label)
    names = list(dict.fromkeys(line.name for line in series))
    for line in series:
        parts.append(_line(line, names.index(line.name), across.place, up.place))
    for number, name in enumerate(names):
        y = _TOP + 8 + 20 * number
        left = _WIDTH - _RIGHT + 16
        parts.append(_shape(number, left, y - 4))
        short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
        parts.append(_text(left + 12, y, short, "ink"))
    description = f"{y_label} over {x_label} of {', '.join(names)}"
    return _document(heading, description, parts)


class _Axis:
    """Values along an axis, from one pixel to another: from 0, or logarithmic where far apart."""

    def __init__(
        self, values: Sequence[float], begin: float, end: float, *, linear: bool = False
    ) -> None:
        low, high = min(values), max(values) or 1.0
        self._begin, self._end = begin, end
        self._log = not linear and low > 0 and high / low >= _SPREAD
        if self._log:
            self._low, self._high = low / 1.15, high * 1.15
        else:
            self._low, self._high = 0.0, high * 1.08

    def place(self, value: float) -> float:
        """The pixel of a value."""
        if self._log:
            share = math.log(value / self._low) / math.log(self._high / self._low)
        else:
            share = (value - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        """Round values on the axis."""
        if self._log:
            decades = range(math.floor(math.log10(self._low)), math.ceil(math.log10(self._high)))
            steps = (1, 2, 5) if self._high / self._low < 1e3 else (1,)
            found = [step * 10.0**decade for decade in decades for step in steps]
            return [tick for tick in found if self._low <= tick <= self._high]
        power = 10.0 ** math.floor(math.log10(self._high / 4))
        step = next(power * n for n in (1, 2, 5, 10) if self._high / (power * n) <= 7)
        return [step * n for n in range(int(self._high / step) + 1)]


def _grid(across: _Axis, up: _Axis, x_label: str, y_label: str) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {bottom}V{_TOP}"/>')
        parts.append(_text(x, bottom + 16, f"{tick:.10g}", anchor="middle"))
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:.10g}", anchor="end"))
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 10, x_label, "ink", anchor="middle"))
    turned = f'transform="rotate(-90 16 {(_TOP + bottom) / 2:.0f})"'
    parts.append(_text(16, (_TOP + bottom) / 2, y_label, "ink", anchor="middle", more=turned))
    return parts


def _line(
    line: Series, number: int, across: Callable[[float], float], up: Callable[[float], float]
) -> str:
    if not line.points:
        return ""
    places = [(across(x), up(y)) for x, y in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dash = ' stroke-dasharray="4 3"' if line.dashed else ""
    colour = _COLOURS[number % len(_COLOURS)]
    drawn = f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>'
    return drawn + "".join(_shape(number, x, y) for x, y in places)


def _shape(number: int, x: float, y: float) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    shape = _SHAPES[number % len(_SHAPES)]
    return f'<g transform="translate({x:.1f} {y:.1f})" fill="{colour}">{shape}</g>'


def _text(
    x: float,
    y: float,
    text: str,
    kind: str = "muted",
    *,
    anchor: str = "start",
    size: int = 12,
    weight: str = "normal",
    more: str = "",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}" '
        f'font-size="{size}" font-weight="{weight}" {more}>{escape(text)}</text>'
    )


def _document(heading: str, description: str, parts: Sequence[str]) -> str:
    light, dark = (
        f".background{{fill:{c['background']}}}.ink{{fill:{c['ink']}}}"
        f".muted{{fill:{c['muted']}}}.grid{{stroke:{c['grid']}}}"
        f".axis{{stroke:{c['muted']};fill:none}}"
        for c in ({name: pair[i] for name, pair in _THEME.items()} for i in (0, 1))
    )
    style = f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="title desc" '
        'font-family="system-ui, DejaVu Sans, Verdana, sans-serif">'
    )
    return "\n".join(
        [
            head,
            f'<title id="title">{escape(heading)}</title>',
            f'<desc id="desc">{escape(description)}</desc>',
            f"<style>{style}</style>",
            '<rect class="background" width="100%" height="100%"/>',
            *parts,
            "</svg>\n",
        ]
    )
