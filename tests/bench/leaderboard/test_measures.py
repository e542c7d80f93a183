import pytest

from bench.leaderboard import measures


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("accuracy", True),
        ("retain_accuracy", True),
        ("agreement", True),
        ("tug_of_war", True),
        ("mia_efficacy", True),
        ("nll", False),
        ("ece", False),
        ("average_gap", False),
        ("teacher_kl", False),
        ("js_to_retrain", False),
        ("mia_auc", False),
        ("accuracy_best", True),
        ("trace_mean", True),
        ("trace_std", False),
        ("worst_drop", False),
        ("attack_success", False),
        ("clean_attack_floor", False),
        ("barrier", False),
        ("midpoint_barrier", False),
        ("error_barrier_train", False),
    ],
)
def test_direction_by_name(metric, higher):
    assert measures.higher_is_better(metric) is higher


@pytest.mark.parametrize(
    ("metric", "value", "sign", "text"),
    [
        ("accuracy", 0.81249, False, "81.2"),
        ("accuracy_owner_1", 1.0, False, "100.0"),
        ("average_gap", -0.0213, True, "−2.1"),
        ("accuracy", 0.013, True, "+1.3"),
        ("accuracy", -0.0001, True, "0.0"),
        ("accuracy", 0.0, True, "0.0"),
        ("nll", 1.23456, False, "1.235"),
        ("nll", 123456.0, False, "1.235e+05"),
        ("parameters", 77850.0, False, "77,850"),
        ("mia_auc", 0.5, False, "0.500"),
        ("nll", None, False, "–"),
    ],
)
def test_numbers_as_boards_show_them(metric, value, sign, text):
    assert measures.number(metric, value, sign=sign) == text


@pytest.mark.parametrize(
    ("metric", "unit", "text"),
    [
        ("accuracy", ", %", "12.3"),
        ("accuracy_best", ", %", "12.3"),
        ("trace_mean", ", %", "12.3"),
        ("trace_std", ", points", "12.3"),
        ("worst_drop", ", points", "12.3"),
        ("attack_success", ", %", "12.3"),
        ("teacher_attack_success", ", %", "12.3"),
        ("clean_attack_floor", ", %", "12.3"),
        ("attack_rows", "", "0"),
        ("barrier", ", nats", "0.123"),
        ("midpoint_barrier", ", nats", "0.123"),
        ("error_barrier", ", points", "12.3"),
        ("nll", "", "0.123"),
    ],
)
def test_units_by_name(metric, unit, text):
    assert measures.unit(metric) == unit
    assert measures.number(metric, 0.1234) == text


def test_names_for_readers():
    assert measures.title("retain_accuracy") == "retain accuracy"
    assert measures.title("barrier") == "loss barrier"
    assert measures.title("error_barrier_train") == "error barrier, training images"


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
    assert measures.interval("accuracy", -0.01, 0.02, sign=True) == "[−1.0, +2.0]"
    assert measures.interval("accuracy", None, None) == ""
    assert measures.percent(0.837) == "84 %"
    assert measures.percent(-0.002) == "0 %"
    assert measures.percent(None) == "–"
    assert [measures.p_value(p) for p in (None, 0.0009, 0.0123)] == ["–", "< 0.001", "0.012"]


def test_the_examples_that_a_metric_is_the_mean_of():
    assert measures.example_set("accuracy") == "test"
    assert measures.example_set("retain_accuracy") == "retain"
    assert measures.example_set("nll") is None
    assert not any(measures.example_set(metric) for metric in measures.KNOWN)  # those have t intervals over seeds
