"""Standard models for use elsewhere: the suite's own networks, trained once, with errors that name what there is."""

from pathlib import Path

import pytest
import torch

import bench
from bench.errors import BenchError, SuiteError

SUITE = """
title = "Two networks"
seeds = [0]
[data]
name = "digits"
train = 200
test = 100
[recipe]
epochs = 2
augment = "none"
[models.net]
arch = "mlp"
options = { width = 8 }
[models.other]
arch = "mlp"
options = { width = 4 }
[scenarios.small]
kind = "squeeze"
teacher = "net"
student = "other"
methods = ["kd"]
[profiles.smoke]
"""


@pytest.fixture
def suite(tmp_path: Path, no_workers: None) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(SUITE)
    return path


def test_a_model_is_trained_once_and_told_and_is_a_fresh_copy_in_eval_mode(suite, capfd):
    first = bench.zoo.load(suite, "small", "teacher", 3, profile="smoke")
    assert "training mlp teacher seed 3 of two (smoke), once" in capfd.readouterr().err
    again = bench.zoo.load(str(suite), "small", "teacher", 3, profile="smoke")
    assert capfd.readouterr().err == ""
    assert first is not again
    assert not first.training
    x = torch.rand(5, 1, 8, 8)
    assert first(x).shape == (5, 10)
    assert torch.equal(first(x), again(x))
    other = bench.zoo.load(suite, "small", "teacher", 4, profile="smoke")
    assert not torch.equal(first(x), other(x))


def test_it_is_the_network_that_methods_are_given(suite, tmp_path):
    frame = bench.run(suite, "smoke", only="teacher/0", results=tmp_path / "results", jobs=1)
    model = bench.zoo.load(suite, "small", "teacher", profile="smoke")
    from bench.data import loading
    from bench.data.spec import DataSpec
    from bench.device import as_input

    test = loading.load(DataSpec(name="digits", train=200, test=100)).test
    right = (model(as_input(test.inputs)).argmax(1) == test.labels).float().mean()
    assert float(right) == pytest.approx(frame["accuracy"].item())


def test_the_roles_of_a_scenario(suite):
    found = bench.zoo.roles(suite, "small", profile="smoke")
    assert found == {"teacher": "mlp teacher seed 0", "small": "mlp small seed 0"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("smal", "teacher"), "has no scenario 'smal'; did you mean 'small'"),
        (("small", "teachr"), "has no model 'teachr'; did you mean 'teacher'"),
        (("small", "teacher", -1), "whole numbers"),
    ],
)
def test_errors_name_what_there_is(suite, words, told):
    with pytest.raises(BenchError, match=told):
        bench.zoo.load(suite, *words, profile="smoke")


def test_an_unknown_suite_is_named():
    with pytest.raises(SuiteError, match="nosuch"):
        bench.zoo.load("nosuch", "small", "teacher")
