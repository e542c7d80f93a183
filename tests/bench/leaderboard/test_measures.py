"""How numbers are written, by the unit that their metric declares."""

import pytest

from bench.leaderboard import measures
from bench.metrics.metric import Metric

ACCURACY = Metric("accuracy", "%", higher_is_better=True)


@pytest.mark.parametrize(
    ("unit", "value", "sign", "text"),
    [
        ("%", 0.81249, False, "81.2"),
        ("%", 1.0, False, "100.0"),
        ("points", -0.0213, True, "−2.1"),
        ("%", 0.013, True, "+1.3"),
        ("%", -0.0001, True, "0.0"),
        ("%", 0.0, True, "0.0"),
        ("", 1.23456, False, "1.235"),
        ("nats", 1.23456, False, "1.235"),
        ("", 123456.0, False, "1.235e+05"),
        ("count", 77850.0, False, "77,850"),
        ("cost", 0.00031249, True, "+0.000312"),
        ("cost", -15.4981, True, "−15.5"),
        ("", None, False, "–"),
    ],
)
def test_numbers_as_boards_show_them(unit, value, sign, text):
    assert measures.number(Metric("m", unit, higher_is_better=True), value, sign=sign) == text


@pytest.mark.parametrize(
    ("unit", "shown"), [("%", ", %"), ("points", ", points"), ("nats", ", nats"), ("count", ""), ("cost", ""), ("", "")]
)
def test_a_heading_is_title_and_unit(unit, shown):
    assert measures.heading(Metric("loss_barrier", unit, higher_is_better=False)) == f"loss barrier{shown}"
    assert measures.heading(Metric("b", unit, higher_is_better=False, title="of its own")) == f"of its own{shown}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.001, "< 0.01"),
        (0.5, "0.50"),
        (9.996, "10.0"),
        (99.96, "100"),
        (999.6, "1.00k"),
        (1.5e6, "1.50M"),
        (2.04e9, "2.04G"),
        (123e12, "123T"),
        (None, "–"),
    ],
)
def test_costs_have_three_digits(value, text):
    assert measures.quantity(value) == text


def test_intervals_shares_and_p_values():
    assert measures.interval(ACCURACY, -0.01, 0.02, sign=True) == "[−1.0, +2.0]"
    assert measures.interval(ACCURACY, None, None) == ""
    assert measures.percent(0.837) == "84 %"
    assert measures.percent(-0.002) == "0 %"
    assert measures.percent(None) == "–"
    assert [measures.p_value(p) for p in (None, 0.0009, 0.0123)] == ["–", "< 0.001", "0.012"]
