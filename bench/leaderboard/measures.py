"""How numbers of metrics and costs are written."""

from __future__ import annotations

from bench.metrics.metric import Metric

SHARES = ("%", "points")
"""Units of shares of 1, which are written in percent with one decimal."""
MINUS = "\u2212"


def is_share(unit: str) -> bool:
    """Whether numbers of this unit are written in percent."""
    return unit in SHARES


def unit(metric: Metric) -> str:
    """What stands behind the metric's name in a heading: ", %", ", points", ", nats" or nothing."""
    return f", {metric.unit}" if metric.unit not in ("", "count", "cost") else ""


def title(metric: Metric) -> str:
    """A metric's name for readers."""
    return metric.title or metric.name.replace("_", " ")


def heading(metric: Metric) -> str:
    """That with its unit."""
    return title(metric) + unit(metric)


def number(metric: Metric, value: float | None, *, sign: bool = False) -> str:
    """A value as boards show it: shares in percent with one decimal, counts whole, costs with three digits, the rest
    with three decimals.
    """
    if value is None:
        return "–"
    plus = "+" if sign else ""
    if is_share(metric.unit):
        text = f"{100 * value:{plus}.1f}"
    elif metric.unit == "count":
        text = f"{value:{plus},.0f}"
    elif metric.unit == "cost":
        text = f"{value:{plus}.3g}"
    else:
        text = f"{value:{plus}.3f}" if abs(value) < 1000 else f"{value:{plus}.4g}"
    return _typeset(text)


def interval(metric: Metric, low: float | None, high: float | None, *, sign: bool = False) -> str:
    """Both ends in brackets, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"[{number(metric, low, sign=sign)}, {number(metric, high, sign=sign)}]"


def count(number: int, what: str) -> str:
    """`3 rows`, `1 row`."""
    return f"{number} {what}{'s' * (number != 1)}"


def percent(value: float | None) -> str:
    """A share in whole percent."""
    return "–" if value is None else _typeset(f"{100 * value:.0f}") + " %"


def p_value(p: float | None) -> str:
    """Three decimals; below that, that it is below."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def quantity(value: float | None) -> str:
    """A cost with three significant digits, large ones by k, M, G, T."""
    if value is None:
        return "–"
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10.0**power:
            return _digits(value / 10.0**power) + letter
    return _digits(value)


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 0.005:
        return "< 0.01"
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f}"


def _typeset(text: str) -> str:
    """A true minus sign, and no minus or plus before zero."""
    if not any(c in "123456789" for c in text):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)
