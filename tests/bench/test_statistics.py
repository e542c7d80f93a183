"""Gram matrices and Fisher information against loops over images, rows and classes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench.device import Device, as_input
from bench.errors import BenchError
from bench.models import build
from bench.statistics import diagonal_fisher, gram_matrices

CPU = Device()
SHAPE = (2, 8, 8)


def make(arch: str, **options):
    problem = SimpleNamespace(shape=SHAPE, mean=(0.5, 0.4), std=(0.2, 0.3))
    return build(arch, options, 3, problem, seed=0).double().eval()


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_gram_of_a_linear_layer_is_the_mean_outer_product_of_its_inputs_and_a_one(images):
    model = make("mlp", width=6, depth=2)
    x = model.features(as_input(images).double()).detach().numpy()
    rows = np.concatenate([x, np.ones((len(x), 1))], 1)
    gram = gram_matrices(model, images, CPU, batch_size=2)["head"]
    assert gram.dtype == torch.float64
    np.testing.assert_allclose(gram.numpy(), sum(np.outer(r, r) for r in rows) / len(rows), rtol=1e-12)


@pytest.mark.parametrize(("stride", "padding", "kernel"), [(1, 1, 3), (2, 1, 3), (2, 0, 1), (1, 0, (2, 3))])
def test_gram_of_a_convolution_reproduces_the_energy_of_its_output(images, stride, padding, kernel):
    conv = nn.Conv2d(2, 4, kernel, stride, padding).double()
    gram = gram_matrices(nn.Sequential(conv), images, CPU)["0"]
    joint = torch.cat([conv.weight.flatten(1), conv.bias[:, None]], 1)
    y = conv(as_input(images).double())
    torch.testing.assert_close((joint @ gram @ joint.T).diagonal(), y.square().mean((0, 2, 3)), rtol=1e-10, atol=0)


def test_every_linear_and_convolution_has_a_gram_and_token_inputs_count_as_rows(images):
    model = make("vit", width=4, depth=1, heads=2)
    grams = gram_matrices(model, images, CPU)
    expected = {name for name, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    assert grams.keys() == expected
    hidden = []
    model.encoder.layers[0].up.register_forward_pre_hook(lambda _, args: hidden.append(args[0]))
    model(as_input(images).double())
    rows = hidden[0].detach().flatten(0, 1)
    assert len(rows) == 5 * 4
    torch.testing.assert_close(grams["encoder.layers.0.up"][:4, :4], rows.T @ rows / len(rows))


def test_layers_whose_patches_are_not_a_plain_unfold_have_no_gram():
    model = nn.Sequential(nn.Conv2d(2, 2, 3, padding="same"), nn.Conv2d(2, 4, 1, groups=2), nn.Conv2d(4, 4, 1))
    assert gram_matrices(model, torch.zeros(1, 2, 4, 4, dtype=torch.uint8), CPU).keys() == {"2"}


def naive_fisher(model, images):
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for image in images:
        z = model(as_input(image[None]).double())[0]
        for c, p in enumerate(z.softmax(0).tolist()):
            gradients = torch.autograd.grad(z.log_softmax(0)[c], list(model.parameters()), retain_graph=True)
            for name, g in zip(total, gradients, strict=True):
                total[name] += p * g.square() / len(images)
    return total


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        ("mlp", {"width": 5, "depth": 2, "norm": "layer"}),
        ("resnet8", {"width": 2}),
        ("resnet8", {"width": 2, "norm": "layer"}),
        ("vit", {"width": 4, "depth": 1, "heads": 2}),
    ],
)
def test_fisher_is_the_definition_example_by_example(images, arch, options, monkeypatch):
    model = make(arch, **options)
    monkeypatch.setattr("bench.statistics.GRADIENT_NUMBERS", 2 * sum(p.numel() for p in model.parameters()))
    fisher, expected = diagonal_fisher(model, images, CPU), naive_fisher(model, images)
    for name, value in expected.items():
        torch.testing.assert_close(fisher[name], value, rtol=1e-9, atol=1e-14, msg=name)


def test_fisher_of_a_softmax_regression_is_its_textbook_formula(images):
    """E_y (onehot(y) - p)^2 x^2 = p (1 - p) x^2."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 3)).double()
    x = as_input(images).double().flatten(1)
    p = model[1](x).softmax(1)
    expected = torch.einsum("nc,nd->cd", p * (1 - p), x.square()) / len(x)
    torch.testing.assert_close(diagonal_fisher(model, images, CPU)["1.weight"], expected.detach())


@pytest.mark.parametrize("statistic", [gram_matrices, diagonal_fisher])
def test_the_model_is_left_as_it_was(images, statistic):
    model = make("resnet8", width=2).train()
    model.norm.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    statistic(model, images, CPU)
    assert model.training
    assert not model.norm.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("statistic", [gram_matrices, diagonal_fisher])
def test_no_images_and_overflow_are_refused(images, statistic):
    model = make("mlp", width=4, depth=1)
    with pytest.raises(BenchError, match="no images"):
        statistic(model, images[:0], CPU)
    with torch.no_grad():
        model.hidden[0].weight.fill_(float("inf"))
    with pytest.raises(BenchError, match="not finite at"):
        statistic(model, images, CPU)
