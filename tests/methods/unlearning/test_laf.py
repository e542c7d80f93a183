"""LAF: label-free by construction, head untouched, losses as written, and forgetting of a class."""

import itertools
import math

import pytest
import torch
from torch import nn

from bench import AccessDenied, Skip
from methods.unlearning.laf import laf, laf_r
from methods.unlearning.laf_features import extractor_unlearning, representation_alignment
from methods.unlearning.vae import Scale, train_vae, vae_loss


@pytest.mark.parametrize("hidden", ["retain_labels", "forget_labels", "forget_class", "validation_labels"])
def test_no_label_is_in_reach(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("laf"), hidden)


def test_it_forgets_a_class_without_labels(make_task, original, same, accuracy):
    task = make_task("laf")
    model = laf(task, epochs=60, lr_ue=4e-4, lr_ra=8e-4, batch_size=32)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(model) > accuracy(original) - 0.15
    assert same(model, original, "head")
    assert same(model, original, "running")  # BatchNorm stays in eval mode
    assert same(task.model, original)
    assert not same(model, original, "hidden")


def test_repair_trains_the_classifier_alone(make_task, same):
    plain = laf(make_task("laf"), epochs=2, vae_epochs=2)
    repaired = laf_r(make_task("laf-r"), epochs=2, vae_epochs=2)
    assert same(repaired, plain, "hidden")
    assert same(repaired, plain, "norms")
    assert not same(repaired, plain, "head")


def test_a_model_without_features_is_skipped(make_task):
    with pytest.raises(Skip, match="features"):
        laf(make_task("laf", model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10))))


def test_extractor_unlearning_by_hand():
    error_r, error_f = torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    by_hand = (math.exp(1 / 2) + 1) / 2 - math.exp(2 / 3)
    assert float(extractor_unlearning(error_r, error_f)) == pytest.approx(by_hand)


def test_representation_alignment_by_hand():
    moved_r, moved_f = [0.1, 0.5, 0.2], [0.3, 0.7]
    total = sum(math.exp(c / 5) for c in moved_f)
    by_hand = sum(math.log(math.exp(c) / total) for c in moved_r) / 3
    value = representation_alignment(torch.tensor(moved_r), torch.tensor(moved_f), 5.0)
    assert float(value) == pytest.approx(by_hand)


def test_scaled_features_have_unit_variance_whatever_their_scale():
    features = torch.rand(200, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 2, 3, 0, 5, 6.0])
    scaled = Scale(features)(features)
    assert float(scaled.mean(0).abs().max()) < 1e-5
    assert float(scaled.square().mean()) == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(Scale(features * 1e4)(features * 1e4), scaled, rtol=1e-4, atol=1e-4)


def test_an_autoencoder_rebuilds_what_it_learned_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    basis = torch.randn(2, 12, generator=generator)
    features = torch.randn(400, 2, generator=generator) @ basis  # on a plane
    features = Scale(features)(features)
    vae = train_vae(itertools.repeat(features), latent=4, epochs=40, lr=3e-3, batch_size=64, generator=generator)
    usual = (vae(features, generator) - features).square().mean()
    assert float(usual) < 0.1  # of a variance of 1
    strange = torch.randn(400, 12, generator=generator)
    assert float((vae(strange, generator) - strange).square().mean()) > 5 * float(usual)
    assert not any(p.requires_grad for p in vae.parameters())


def test_the_code_of_a_normal_posterior_costs_nothing():
    """KL(N(0, 1) || N(0, 1)) = 0: with zero weights everywhere, what is left is the error of rebuilding 0."""
    vae = train_vae(
        itertools.repeat(torch.zeros(4, 3)), latent=2, epochs=0, lr=1.0, batch_size=4, generator=torch.Generator()
    )
    for parameter in vae.parameters():
        parameter.zero_()
    e = torch.tensor([[1.0, 2.0, 2.0]])
    assert float(vae_loss(vae, e, torch.Generator())) == pytest.approx(9.0)
