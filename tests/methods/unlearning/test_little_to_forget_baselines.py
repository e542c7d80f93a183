"""A request for three rows must not cost accuracy: the same for the methods that are baselines of most papers."""

import pytest
import torch

from bench import registry

SETTINGS = {
    "neggrad": {},
    "random-labels": {},
    "amnesiac": {},
    "salun": {},
    "cf-k": {},
    "eu-k": {"k": 2},
    "l1-sparse": {},
    "bad-teacher": {},
    "ssd": {"alpha": 20.0},  # the fewer the rows, the larger
}


@pytest.mark.parametrize("name", SETTINGS)
def test_three_forgotten_rows_cost_no_accuracy(name, make_task, original, same, accuracy):
    model = registry.METHODS.get(name).function(make_task(name, rows=torch.tensor([5, 50, 400])), **SETTINGS[name])
    assert not same(model, original)
    assert accuracy(model) > accuracy(original) - 0.06  # two standard errors of 135 rows at 0.9


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "ssd"])
def test_draws_come_from_the_task(name, make_task, same):
    function = registry.METHODS.get(name).function
    settings = {"k": 2} if name == "eu-k" else {"epochs": 1}
    assert same(function(make_task(name), **settings), function(make_task(name), **settings))
    assert not same(function(make_task(name), **settings), function(make_task(name, seed=1), **settings))


def test_ssd_draws_nothing(make_task, same):
    function = registry.METHODS.get("ssd").function
    assert same(function(make_task("ssd")), function(make_task("ssd", seed=1)))
