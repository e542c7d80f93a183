"""Hints: the regressor for each pair of sizes, and the layer that is guided."""

from __future__ import annotations

import pytest
import torch

from bench.errors import Skip
from methods.distillation.fitnets import fitnets, regressor
from methods.distillation.training import same_size


@pytest.mark.parametrize(
    ("mine", "wanted", "given"), [(8, 4, 4), (4, 8, 8), (7, 5, 5), (4, 4, 4), (3, 7, 3), (1, 1, 1)]
)
def test_the_regressor_gives_the_hints_shape(mine, wanted, given):
    student, hint = torch.randn(2, 3, mine, mine), torch.randn(2, 5, wanted, wanted)
    guess = regressor(student, hint)(student)
    assert guess.shape == (2, 5, given, given)
    assert (guess >= 0).all()
    assert same_size(guess, hint)[1].shape == guess.shape


def test_an_unknown_layer_is_told_with_those_there_are(make_pair):
    with pytest.raises(Skip, match="no stage 'stage9'; it has stage1, stage2, stage3"):
        fitnets(make_pair("resnet8", "vgg", {"weights", "labels"}), layer="stage9")


def test_the_middle_stage_is_guided_unless_told(make_pair, monkeypatch):
    guided = []
    monkeypatch.setattr(
        "methods.distillation.fitnets.distil_features",
        lambda task, loss, pairs, connectors: guided.append([stage.name for stage in pairs[0]]),
    )
    for layer in ("middle", "stage3"):
        fitnets(make_pair("resnet8", "vgg", {"weights", "labels"}), layer=layer)
    fitnets(make_pair("vit", "resnet8", {"weights", "labels"}), layer="layer2")
    assert guided == [["stage2", "stage2"], ["stage3", "stage3"], ["layer2", "stage3"]]
