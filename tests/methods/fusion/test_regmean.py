"""RegMean against numpy.linalg.lstsq on the inputs it never sees (the design's card, (i) to (vii))."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.device import Device, as_input
from bench.errors import Skip
from bench.scenarios.merge.scenario import MergeTask
from bench.task.statistics import gram_matrices
from methods.fusion.references import average
from methods.fusion.regmean import regmean, regression_mean

ROWS, INPUTS, OUTPUTS, PARENTS = 30, 6, 4, 3


def draw(seed: int = 0):
    """Inputs X_i [30, 6], weights W_i [4, 6] and Gram matrices of three parents."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(PARENTS, ROWS, INPUTS, generator=generator, dtype=torch.float64)
    X = X * torch.rand(PARENTS, 1, INPUTS, generator=generator, dtype=torch.float64) + 0.3
    W = torch.randn(PARENTS, OUTPUTS, INPUTS, generator=generator, dtype=torch.float64)
    return list(X), list(W), [x.T @ x / len(x) for x in X]


def lstsq(left, right) -> np.ndarray:
    return np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0].T


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_it_is_least_squares_on_all_inputs_stacked(seed):
    X, W, G = draw(seed)
    expected = lstsq([x.numpy() for x in X], [(x @ w.T).numpy() for x, w in zip(X, W, strict=True)])
    np.testing.assert_allclose(regression_mean(W, G, 1.0, 0.0), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_shrunk_off_diagonals_are_least_squares_with_extra_rows(alpha):
    X, W, G = draw()
    scaled = [np.sqrt(alpha / ROWS) * x.numpy() for x in X]
    extra = [np.diag(np.sqrt((1 - alpha) * g.diagonal().numpy())) for g in G]
    left = scaled + extra
    right = [a @ w.numpy().T for a, w in zip(left, W + W, strict=True)]
    np.testing.assert_allclose(regression_mean(W, G, alpha, 0.0), lstsq(left, right), rtol=0, atol=1e-11)


def test_without_off_diagonals_it_is_the_mean_weighted_by_input_energies():
    _, W, G = draw()
    energy = torch.stack([g.diagonal() for g in G])
    expected = (torch.stack(W) * energy[:, None]).sum(0) / energy.sum(0)
    torch.testing.assert_close(regression_mean(W, G, 0.0, 0.0), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 1.0])
def test_equal_grams_give_the_plain_mean_and_equal_weights_themselves(ridge):
    _, W, G = draw()
    torch.testing.assert_close(regression_mean(W, [G[0]] * 3, 0.9, ridge), torch.stack(W).mean(0), rtol=0, atol=1e-11)
    torch.testing.assert_close(regression_mean([W[0]] * 3, G, 0.9, ridge), W[0], rtol=0, atol=1e-11)


def test_it_turns_with_a_rotation_of_the_inputs_for_full_grams_only():
    _, W, G = draw()
    Q = torch.linalg.qr(torch.randn(INPUTS, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(9)))[0]
    turned = [w @ Q for w in W], [Q.T @ g @ Q for g in G]
    full, scaled = (regression_mean(W, G, alpha, 0.0) @ Q for alpha in (1.0, 0.5))
    torch.testing.assert_close(regression_mean(*turned, 1.0, 0.0), full, rtol=0, atol=1e-11)
    assert (regression_mean(*turned, 0.5, 0.0) - scaled).abs().max() > 1e-3


def test_directions_without_any_input_get_the_plain_mean():
    X, W, _ = draw()
    for x in X:
        x[:, 2] = 0
    G = [x.T @ x / len(x) for x in X]
    merged = regression_mean(W, G, 0.9, 1e-6)
    torch.testing.assert_close(merged[:, 2], torch.stack(W).mean(0)[:, 2], rtol=0, atol=1e-9)
    torch.testing.assert_close(regression_mean(W, [torch.zeros_like(G[0])] * 3, 0.9, 1e-6), torch.stack(W).mean(0))


def on_own_images(network, name, images):
    parents = [network(name, seed) for seed in range(2)]
    owned = [images[:5], images[5:]]
    grams = [gram_matrices(p, own, Device()) for p, own in zip(parents, owned, strict=True)]
    return parents, owned, grams


def test_first_convolution_of_a_network_is_least_squares_on_patches(network, fuse_task, images):
    parents, owned, grams = on_own_images(network, "vgg", images)
    merged = regmean(fuse_task(parents, grams=grams), off_diagonal=1.0, ridge=1e-13)
    X = []
    for model, own in zip(parents, owned, strict=True):
        patches = torch.nn.functional.unfold(model.normalize(as_input(own).double()), 3, padding=1)
        X.append(patches.transpose(1, 2).flatten(0, 1) / (len(own) * 64) ** 0.5)
    Y = [x @ model.convs[0].weight.flatten(1).T for x, model in zip(X, parents, strict=True)]
    expected = torch.linalg.lstsq(torch.cat(X), torch.cat(Y)).solution.T
    torch.testing.assert_close(merged.convs[0].weight.flatten(1), expected, rtol=0, atol=1e-8)


def test_joint_bias_is_least_squares_with_a_constant_input(network, fuse_task, images):
    parents, owned, grams = on_own_images(network, "mlp", images)
    merged = regmean(fuse_task(parents, grams=grams), off_diagonal=1.0, ridge=1e-13, joint_bias=True)
    X, Y = [], []
    for model, own in zip(parents, owned, strict=True):
        f = model.features(as_input(own).double())
        X.append(torch.cat([f, torch.ones(len(f), 1)], 1) / len(f) ** 0.5)
        Y.append(model.head(f) / len(f) ** 0.5)
    merged_y = [x @ torch.cat([merged.head.weight, merged.head.bias[:, None]], 1).T for x in X]
    best = torch.linalg.lstsq(torch.cat(X), torch.cat(Y), driver="gelsd").solution
    torch.testing.assert_close(torch.cat(merged_y), torch.cat(X) @ best, rtol=0, atol=1e-6)


def test_output_residuals_of_every_layer_are_at_most_those_of_the_average(network, fuse_task, images, network_name):
    parents, _, grams = on_own_images(network, network_name, images)
    task = fuse_task(parents, grams=grams)

    def residual(model, layer):
        total = 0.0
        for p, gram in zip(parents, grams, strict=True):
            gap = (model.get_submodule(layer).weight - p.get_submodule(layer).weight).flatten(1)
            total += float((gap @ gram[layer][:-1, :-1] @ gap.T).trace())
        return total

    merged, mean = regmean(task, off_diagonal=1.0), average(task)
    for layer in grams[0]:
        assert residual(merged, layer) < residual(mean, layer), layer


def test_what_has_no_gram_is_the_plain_mean(network, fuse_task, images):
    parents, _, grams = on_own_images(network, "vit", images)
    task = fuse_task(parents, grams=grams)
    merged, mean = regmean(task).state_dict(), average(task).state_dict()
    solved = {f"{layer}.weight" for layer in grams[0]}
    assert solved < merged.keys()
    for name, tensor in merged.items():
        assert torch.equal(tensor, mean[name]) == (name not in solved), name


def test_identical_parents_are_a_fixed_point(network, fuse_task, images, network_name):
    model = network(network_name)
    grams = [gram_matrices(model, part, Device()) for part in (images[:5], images[5:])]
    merged = regmean(fuse_task([model, network(network_name)], grams=grams), joint_bias=True)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(merged.state_dict()[name], tensor, rtol=0, atol=1e-9)


def test_convolutions_may_get_the_mean_as_in_the_paper(network, fuse_task, images):
    parents, _, grams = on_own_images(network, "resnet-batch", images)
    task = fuse_task(parents, grams=grams)
    literal, solved, mean = (
        model.state_dict() for model in (regmean(task, convolutions="mean"), regmean(task), average(task))
    )
    for name, tensor in literal.items():
        assert torch.equal(tensor, solved[name] if name == "head.weight" else mean[name]), name
    assert not torch.equal(solved["stem.weight"], mean["stem.weight"])


def test_a_row_of_the_head_is_the_mean_over_those_who_have_seen_the_class(network, fuse_task, images):
    parents = [network("mlp", seed) for seed in range(3)]
    grams = [gram_matrices(p, own, Device()) for p, own in zip(parents, images.split(4), strict=True)]
    counts = torch.tensor([[5, 0, 2, 0], [0, 3, 9, 0], [4, 0, 1, 0]])
    task = fuse_task(parents, grams=grams, class_counts=counts)
    merged, plain = regmean(task, head="seen-classes"), regmean(task)
    for name in ("weight", "bias"):
        rows = [getattr(p.head, name) for p in parents]
        got = getattr(merged.head, name)
        torch.testing.assert_close(got[0], (rows[0][0] + rows[2][0]) / 2, rtol=0, atol=1e-15)
        torch.testing.assert_close(got[1], rows[1][1], rtol=0, atol=1e-15)
        for c in (2, 3):  # which all have seen, and none
            torch.testing.assert_close(got[c], (rows[0][c] + rows[1][c] + rows[2][c]) / 3, rtol=0, atol=1e-15)
    assert torch.equal(merged.hidden[1].weight, plain.hidden[1].weight)
    assert not torch.equal(merged.head.weight, plain.head.weight)


def test_in_a_merge_there_is_no_head_to_merge():
    with pytest.raises(Skip, match="no head is merged"):
        regmean(MergeTask({}, {"weights", "grams"}, "regmean"), head="seen-classes")


def test_a_parent_counts_alike_whatever_the_number_of_its_images(network, fuse_task, images):
    parents, owned, grams = on_own_images(network, "mlp", images)
    more = [grams[0], gram_matrices(parents[1], torch.cat([owned[1]] * 3), Device())]
    few, many = (regmean(fuse_task(parents, grams=g)).state_dict() for g in (grams, more))
    for name, tensor in few.items():
        torch.testing.assert_close(many[name], tensor, rtol=0, atol=1e-9)


def test_a_singular_sum_is_solved_too():
    _, W, _ = draw()
    projector = torch.eye(INPUTS, dtype=torch.float64)
    projector[0, 1] = projector[1, 0] = 1.0  # two inputs that are always equal
    merged = regression_mean(W, [projector] * 3, 1.0, 1e-9)
    torch.testing.assert_close(merged, torch.stack(W).mean(0), rtol=0, atol=1e-5)
