"""LAF: label-free by construction, head untouched, losses as written, and forgetting of a class."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from bench import AccessDenied, Skip
from methods.unlearning.laf import laf, laf_r
from methods.unlearning.laf_features import extractor_unlearning, representation_alignment
from methods.unlearning.vae import Scale, features_of, train_vae, vae_loss, views


@pytest.mark.parametrize("hidden", ["retain_labels", "forget_labels", "forget_class", "validation_labels"])
def test_no_label_is_in_reach(make_task, hidden):
    with pytest.raises(AccessDenied, match=hidden):
        getattr(make_task("laf"), hidden)


def test_it_forgets_a_class_without_labels(make_task, original, same, accuracy):
    task = make_task("laf")
    model = laf(task, steps=120, vae_steps=300, lr=8e-4, ratio=0.5)
    assert accuracy(model, forgotten=True) < accuracy(original, forgotten=True) - 0.4
    assert accuracy(model) > accuracy(original) - 0.15
    assert same(model, original, "head")
    assert same(model, original, "running")  # BatchNorm stays in eval mode
    assert same(task.model, original)
    assert not same(model, original, "hidden")


def test_repair_trains_the_classifier_alone(make_task, same):
    plain = laf(make_task("laf"), steps=4, vae_steps=16)
    repaired = laf_r(make_task("laf-r"), steps=4, vae_steps=16)
    assert same(repaired, plain, "hidden")
    assert same(repaired, plain, "norms")
    assert not same(repaired, plain, "head")


def test_the_scale_of_features_does_not_matter(make_task, original):
    """Of features a thousand times as large, the autoencoder's error is the same in units of their spread."""
    large = copy.deepcopy(original)
    with torch.no_grad():
        for p in large.norms[-1].parameters():
            p.mul_(1000)  # ReLU comes behind it
    task = make_task("laf")
    found = []
    for model in (original, large):
        kept, gone = (features_of(model, images, task.device) for images in (task.retain_inputs, task.forget_inputs))
        scale, generator = Scale(torch.cat([kept, gone])), torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        k = train_vae(itertools.repeat(scale(gone)), latent=4, steps=3, lr=1e-3, batch_size=64, generator=generator)
        found.append((kept, k(scale(kept), generator) - scale(kept)))
    (features, errors), (large_features, large_errors) = found
    torch.testing.assert_close(large_features, 1000 * features, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(large_errors, errors, rtol=1e-3, atol=1e-3)


def test_the_error_of_unscaled_features_would_have_no_slope_left():
    """At 160, where the paper's code ends; at 1, which scaled features begin with, it has more than a third."""

    def slope(d):
        error = torch.tensor([[d**0.5]], requires_grad=True)
        extractor_unlearning(error, torch.zeros(1, 1)).backward()
        return float(error.grad) / (2 * d**0.5)

    assert slope(1.0) > slope(1e-6) / 3
    assert 0 < slope(160.0) < 1.1e-4 * slope(1e-6)


def test_views_are_augmented_anew_in_each_epoch_or_computed_once(make_task, original):
    task = make_task("laf")
    look = views(original, task.forget_inputs, "shift", torch.Generator().manual_seed(0), task.device)
    first, second = next(look), next(look)
    assert first.shape == second.shape == (len(task.forget_inputs), 48)
    assert not torch.equal(first, second)
    still = views(original, task.forget_inputs, "none", torch.Generator(), task.device)
    assert next(still) is next(still)
    assert torch.equal(next(still), features_of(original, task.forget_inputs, task.device))


def test_batches_are_augmented_as_in_training(make_task, same):
    few = {"steps": 2, "vae_steps": 5}
    shifted, still = make_task("laf"), make_task("laf")
    still.recipe = still.recipe.model_copy(update={"augment": "none"})
    assert same(laf(shifted, **few), laf(make_task("laf"), **few))
    assert not same(laf(shifted, **few), laf(still, **few))


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
    vae = train_vae(itertools.repeat(features), latent=4, steps=280, lr=3e-3, batch_size=64, generator=generator)
    usual = (vae(features, generator) - features).square().mean()
    assert float(usual) < 0.1  # of a variance of 1
    strange = torch.randn(400, 12, generator=generator)
    assert float((vae(strange, generator) - strange).square().mean()) > 5 * float(usual)
    assert not any(p.requires_grad for p in vae.parameters())


def test_the_code_of_a_normal_posterior_costs_nothing():
    """KL(N(0, 1) || N(0, 1)) = 0: with zero weights everywhere, what is left is the error of rebuilding 0."""
    vae = train_vae(
        itertools.repeat(torch.zeros(4, 3)), latent=2, steps=0, lr=1.0, batch_size=4, generator=torch.Generator()
    )
    for parameter in vae.parameters():
        parameter.zero_()
    e = torch.tensor([[1.0, 2.0, 2.0]])
    assert float(vae_loss(vae, e, torch.Generator())) == pytest.approx(9.0)
