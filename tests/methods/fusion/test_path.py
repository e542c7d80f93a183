"""What fusions tell the harness: the two aligned parents on whose line the result lies."""

from functools import partial

import pytest
import torch

from bench.models.permutation import permute
from bench.scenarios.fuse.path import Walk, between
from bench.schema.recipe import Recipe
from methods.fusion.git_rebasin import git_rebasin
from methods.fusion.git_rebasin_acts import git_rebasin_acts
from methods.fusion.git_rebasin_ste import git_rebasin_ste
from methods.fusion.ot_fusion import ot_fusion, ot_fusion_acts
from methods.fusion.references import average
from methods.fusion.repair import repair
from methods.fusion.zipit import zipit

MIDPOINTS = [average, ot_fusion, ot_fusion_acts, git_rebasin, git_rebasin_acts, git_rebasin_ste]


def told(fuse_task, fuse, parents, images):
    walk = Walk(parents)
    labels = torch.arange(len(images)) % 4
    seen = torch.ones(len(parents), 4)
    task = fuse_task(parents, path=walk.path(), inputs=images, labels=labels, class_counts=seen, recipe=Recipe())
    return fuse(task), walk


@pytest.mark.parametrize("fuse", MIDPOINTS)
def test_the_result_is_the_middle_of_the_line(network, fuse_task, images, fuse):
    parents = [network("resnet-batch"), network("resnet-batch", 1)]
    fused, walk = told(fuse_task, fuse, parents, images)
    first, second = walk.ends
    middle = between(first, second, 0.5).state_dict()
    for name, tensor in fused.state_dict().items():
        torch.testing.assert_close(tensor, middle[name], rtol=0, atol=1e-12, msg=name)
    assert all(torch.equal(tensor, first.state_dict()[name]) for name, tensor in parents[0].state_dict().items())


@pytest.mark.parametrize("fuse", [*MIDPOINTS, repair])
def test_the_second_end_computes_what_the_second_parent_does(network, fuse_task, images, x, fuse):
    _, walk = told(fuse_task, fuse, [network("mlp"), network("mlp", 1)], images)
    torch.testing.assert_close(walk.ends[1](x), network("mlp", 1)(x), rtol=0, atol=1e-10)


def test_with_eta_the_result_lies_on_the_line_elsewhere(network, fuse_task, images):
    fused, walk = told(fuse_task, partial(ot_fusion, eta=0.8), [network("mlp"), network("mlp", 1)], images)
    point = between(*walk.ends, 0.2).state_dict()
    for name, tensor in fused.state_dict().items():
        torch.testing.assert_close(tensor, point[name])


@pytest.mark.parametrize("name", ["mlp", "resnet-batch"])
def test_repair_tells_the_aligned_parents_and_not_what_it_makes_of_them(network, fuse_task, images, name):
    parents = [network(name), network(name, 1)]
    fused, walk = told(fuse_task, repair, parents, images)
    aligned, _ = told(fuse_task, git_rebasin_acts, parents, images)
    middle = between(*walk.ends, 0.5).state_dict()
    assert all(torch.allclose(tensor, middle[entry]) for entry, tensor in aligned.state_dict().items())
    assert any(not torch.allclose(tensor, middle[entry]) for entry, tensor in fused.state_dict().items())


def test_where_there_is_no_line_none_is_told(network, fuse_task, images):
    _, walk = told(fuse_task, zipit, [network("mlp"), network("mlp", 1)], images)
    assert walk.ends is None
    _, walk = told(fuse_task, average, [network("mlp", seed) for seed in range(3)], images)
    assert walk.ends is None


def test_a_reordered_copy_has_no_barrier_once_it_is_aligned(network, shuffled, fuse_task, images):
    model = network("mlp")
    _, walk = told(fuse_task, ot_fusion, [model, shuffled(model)], images)
    state = permute(walk.ends[1].state_dict(), model.permutation_spec(), {})
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in state.items())
