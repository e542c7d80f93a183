"""Stages by name: where they are, what their modules show, and how those of two networks are paired."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.data import load
from bench.data.spec import DataSpec
from bench.errors import Skip
from bench.models import build
from bench.models.stages import Stage, as_map, matched, stages

DATA = DataSpec(name="digits", train=10, validation=2)


def network(arch: str, **options: int | str) -> nn.Module:
    return build(arch, options, 10, load(DATA), seed=0)


@pytest.mark.parametrize(
    ("arch", "options", "names"),
    [
        ("resnet8", {}, ["stage1", "stage2", "stage3"]),
        ("resnet20_variant", {"init": "torch"}, ["stage1", "stage2", "stage3"]),
        ("vgg", {}, ["stage1", "stage2", "stage3"]),
        ("mlp", {"depth": 2}, ["hidden1", "hidden2"]),
        ("vit", {"depth": 3}, ["layer1", "layer2", "layer3"]),
    ],
)
def test_every_stage_is_a_module_of_the_network(arch, options, names):
    model = network(arch, **options)
    found = stages(model)
    assert [stage.name for stage in found] == names
    for stage in found:
        model.get_submodule(stage.module)
        if stage.norm is not None:
            model.get_submodule(stage.norm)


def test_a_norm_before_the_relu_is_named_where_there_is_one():
    assert all(
        isinstance(model.get_submodule(stage.norm), nn.BatchNorm2d)
        for model in (network("resnet14"), network("vgg"))
        for stage in stages(model)
    )


def test_networks_of_ones_own_declare_theirs():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    with pytest.raises(Skip, match="Sequential declares none"):
        stages(model)
    model.feature_stages = (Stage("only", "0"),)
    assert stages(model) == (Stage("only", "0"),)


def test_the_deeper_network_is_thinned_evenly_and_keeps_its_last_stage():
    shallow, deep = network("vit", depth=2), network("vit", depth=5)
    assert [(a.name, b.name) for a, b in matched(shallow, deep)] == [("layer1", "layer2"), ("layer2", "layer5")]
    assert [(a.name, b.name) for a, b in matched(deep, shallow)] == [("layer2", "layer1"), ("layer5", "layer2")]


def test_vectors_and_tokens_are_maps():
    assert as_map(torch.zeros(2, 5)).shape == (2, 5, 1, 1)
    tokens = torch.arange(24.0).view(1, 4, 6)
    maps = as_map(tokens)
    assert maps.shape == (1, 6, 2, 2)
    assert torch.equal(maps[0, :, 1, 0], tokens[0, 2])
    assert as_map(maps) is maps
    with pytest.raises(Skip, match="3 tokens are no square"):
        as_map(torch.zeros(2, 3, 5))
