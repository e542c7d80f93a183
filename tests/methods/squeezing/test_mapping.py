"""Maps of a teacher's weights: what must hold exactly."""

from __future__ import annotations

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from bench.data.images.kind import ImageProblem
from bench.errors import Skip
from bench.models import build
from methods.squeezing.initial import chosen_entries, copy_subnetwork, gaussian, one_hot
from methods.squeezing.mapping import LinearMap, attach, fold, links, pairs

FAMILIES = ["mlp", "mlp-batch", "vgg", "resnet8", "resnet8-layer", "vit"]


def identity(pair, axis: int, s: int, t: int) -> torch.Tensor:
    return torch.eye(s, t)


@pytest.mark.parametrize("name", FAMILIES)
def test_at_equal_width_with_identities_the_student_is_the_teacher(make_network, images, name):
    teacher, student = make_network(name, 8, seed=0), make_network(name, 8, seed=1)
    copy_subnetwork(student, teacher, chosen_entries(student, teacher))
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.ndim > 1:
                parameter.normal_()  # what the student holds of mapped tensors does not matter
    attach(student, teacher, identity)
    assert torch.equal(student(images), teacher(images))


@pytest.mark.parametrize("name", ["mlp", "mlp-batch", "vgg", "resnet8"])
def test_a_selection_is_the_teacher_without_its_other_units(make_network, images, name):
    teacher, student = make_network(name, 12, seed=0), make_network(name, 5, seed=1)
    chosen = chosen_entries(student, teacher)
    copy_subnetwork(student, teacher, chosen)
    attach(student, teacher, one_hot(chosen))
    spec, silenced = teacher.permutation_spec(), copy.deepcopy(teacher)
    with torch.no_grad():
        for entry, tensor in silenced.state_dict().items():
            axes = spec.axes.get(entry, ())
            if not entry.endswith(("running_mean", "running_var")) and axes and axes[0] is not None:
                others = torch.ones(len(tensor), dtype=torch.bool)
                others[chosen[axes[0].group]] = False
                tensor[others] = 0
    torch.testing.assert_close(student(images), silenced(images), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(student(images), teacher(images), atol=0.1)


@pytest.mark.parametrize("name", FAMILIES)
def test_folded_is_mapped_and_plain(make_network, images, name):
    teacher, student = make_network(name, 12, seed=0), make_network(name, 8, seed=1)
    plain = copy.deepcopy(student)
    attach(student, teacher, gaussian(torch.Generator().manual_seed(0)), lambda own: own.new_full((), 0.3))
    folded = copy.deepcopy(plain)
    fold(student, folded)
    torch.testing.assert_close(folded(images), student(images), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(folded(images), plain(images), atol=0.1)
    assert [(n, p.shape) for n, p in folded.named_parameters()] == [(n, p.shape) for n, p in plain.named_parameters()]
    assert not any(parametrize.is_parametrized(m) for m in folded.modules())


def test_gradients_are_those_of_the_product(make_network, images):
    teacher, student = make_network("mlp", 12, seed=0), make_network("mlp", 5, seed=1)
    attach(student, teacher, gaussian(torch.Generator().manual_seed(0)))
    maps = dict(links(student))
    link = maps["hidden.1.weight"]
    with parametrize.cached():
        weight = student.hidden[1].weight
        weight.retain_grad()
        student(images).square().mean().backward()
    L, R, G = link.maps["0"], link.maps["1"].T, weight.grad
    torch.testing.assert_close(weight, L @ link.teacher @ R)
    torch.testing.assert_close(link.maps["1"].grad.T, link.teacher.T @ L.T @ G)
    assert maps["hidden.1.bias"].maps["0"] is L
    from_weight = G @ (link.teacher @ R).T
    student.zero_grad()
    torch.autograd.backward(student.hidden[1].weight, G)
    torch.testing.assert_close(L.grad, from_weight)


def test_only_maps_norms_and_what_has_no_group_are_trained(make_network):
    teacher, student = make_network("resnet8", 6), make_network("resnet8", 4)
    trained = attach(student, teacher, identity)
    assert len({id(p) for p in trained}) == len(trained)
    assert {id(p) for p in trained} == {id(p) for p in student.parameters() if p.requires_grad}
    assert not any(name.endswith("original") for name, p in student.named_parameters() if p.requires_grad)
    mapped = {id(p) for _, link in links(student) for p in link.parameters()}
    others = {name for name, p in student.named_parameters() if p.requires_grad and id(p) not in mapped}
    assert "norm.weight" in others
    assert "head.bias" in others
    assert not any("conv" in name or "stem" in name for name in others)


def test_channels_of_images_and_classes_are_not_mapped(make_network):
    student = make_network("resnet8", 4)
    attach(student, make_network("resnet8", 6), identity)
    axes = {name: set(link.maps) for name, link in links(student)}
    assert axes["stem.weight"] == {"0"}
    assert axes["head.weight"] == {"1"}
    assert axes["stages.1.0.conv2.weight"] == {"0", "1"}


def test_batch_statistics_are_updated_once_a_forward_pass(make_network, images):
    student = make_network("resnet8", 4)
    attach(student, make_network("resnet8", 6), identity)
    before = student.norm.num_batches_tracked.item()
    student.train()(images)
    assert student.norm.num_batches_tracked.item() == before + 1


def test_under_mixed_precision_weights_are_still_computed_in_full(make_network, images):
    student = make_network("resnet8", 4)
    trained = attach(student, make_network("resnet8", 6), identity, lambda own: own.new_zeros(()))
    full = student.stem.weight
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(student.stem.weight, full)
        student(images).float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in trained)


def test_gaussian_maps_keep_the_variance_of_pre_activations():
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(300, 400, generator=generator) / 400**0.5
    make = gaussian(generator)
    pair = SimpleNamespace(name="layer.weight")
    link = LinearMap(teacher, {k: nn.Parameter(make(pair, k, s, t)) for k, s, t in ((0, 100, 300), (1, 120, 400))})
    assert link.mapped().var().item() * 120 == pytest.approx(1, rel=0.1)


def test_heads_of_attention_are_chosen_whole(make_network):
    teacher, student = make_network("vit", 16, heads=4), make_network("vit", 8, heads=2)
    chosen = chosen_entries(student, teacher)["heads0"].view(2, 4)
    assert torch.equal(chosen % 4, torch.arange(4).expand(2, 4))
    assert len(set((chosen // 4)[:, 0].tolist())) == 2


def test_the_largest_units_are_chosen(make_network):
    teacher, student = make_network("mlp", 6), make_network("mlp", 2)
    with torch.no_grad():
        teacher.hidden[1].weight[[1, 4]] *= 50
    assert chosen_entries(student, teacher)["hidden1"].tolist() == [1, 4]


def test_networks_that_no_map_joins_are_skipped(make_network):
    problem = SimpleNamespace(problem=partial(ImageProblem, shape=(3, 8, 8), mean=(0.3,) * 3, std=(0.3,) * 3))
    colour = build("resnet8", {"width": 4}, 10, problem, seed=0)
    with pytest.raises(Skip, match=r"normalize.mean has 1 entries on axis 1 and the teacher's .* has 3"):
        pairs(make_network("resnet8", 4), colour)
    with pytest.raises(Skip, match=r"Linear has no permutation_spec"):
        pairs(nn.Linear(2, 2), colour)
