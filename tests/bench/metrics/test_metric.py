"""What is found of a name among declarations: metrics, families with a number, floors, costs."""

import pytest

from bench.metrics.metric import Cost, Metric, find, measured, names, undeclared

METRICS = (
    Metric("accuracy", "%", higher_is_better=True),
    Metric("gap", "%", higher_is_better=False, floor="floor_gap"),
    Metric("floor_gap", "%", higher_is_better=False, title="floor of the gap"),
    Metric("leak_#", "nats", higher_is_better=False, title="leak of part #", floor="floor_leak_#"),
)
COSTS = (Cost("seconds"), Cost("images_kept", "kept"))


@pytest.mark.parametrize(
    ("name", "unit", "higher", "title", "floor"),
    [
        ("accuracy", "%", True, "", ""),
        ("floor_gap", "%", False, "floor of the gap", ""),
        ("leak_12", "nats", False, "leak of part 12", "floor_leak_12"),
        ("floor_leak_3", "nats", False, "", ""),
        ("images_kept", "cost", False, "", ""),
    ],
)
def test_what_is_declared_is_found(name, unit, higher, title, floor):
    found = find(name, METRICS, COSTS)
    assert (found.name, found.unit, found.higher_is_better) == (name, unit, higher)
    assert (found.title, found.floor) == (title, floor)


@pytest.mark.parametrize(
    "name", ["", "acuracy", "leak_", "leak_x", "leak_#", "my_leak_1", "leak_1_of_2", "floor_accuracy"]
)
def test_what_is_not_declared_is_not_found(name):
    assert find(name, METRICS, COSTS) is None


def test_of_an_undeclared_metric_the_name_alone_is_known():
    assert undeclared("old_auc") == Metric("old_auc", "", higher_is_better=True)


def test_measured_metrics_stand_in_the_order_of_declaration_and_without_floors():
    found = measured({"leak_2", "leak_1", "floor_leak_1", "strange", "gap"}, METRICS)
    assert [metric.name for metric in found] == ["gap", "leak_1", "leak_2"]


def test_names_for_a_near_miss():
    assert names(METRICS, COSTS) == ["accuracy", "gap", "floor_gap", "leak_#", "floor_leak_#", "seconds", "images_kept"]
