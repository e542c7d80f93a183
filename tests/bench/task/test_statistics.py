"""Gram matrices and Fisher information against loops over images, texts, rows and classes."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.data.images.kind import ImageProblem
from bench.data.texts.kind import TextProblem
from bench.device import Device, as_input
from bench.errors import BenchError
from bench.models import build
from bench.models.text import TextClassifier, text_classifier
from bench.task.statistics import diagonal_fisher, gram_matrices

CPU = Device()
SHAPE = (2, 8, 8)
LENGTHS = (4, 9, 1, 6)


def make(arch: str, **options):
    problem = SimpleNamespace(problem=partial(ImageProblem, shape=SHAPE, mean=(0.5, 0.4), std=(0.2, 0.3)))
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
        z = model(as_input(image[None], torch.float64))[0]
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
    monkeypatch.setattr("bench.task.gradients.GRADIENT_NUMBERS", 2 * sum(p.numel() for p in model.parameters()))
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
    with pytest.raises(BenchError, match="no inputs"):
        statistic(model, images[:0], CPU)
    with torch.no_grad():
        model.hidden[0].weight.fill_(float("inf"))
    with pytest.raises(BenchError, match="not finite at"):
        statistic(model, images, CPU)


@pytest.fixture
def text_model() -> TextClassifier:
    torch.manual_seed(0)
    made = text_classifier(TextProblem(3, 30, 400), width=8, depth=2, heads=2)
    return made.double().eval()


def texts(length: int) -> Tensor:
    """The same four texts, int64 [4, length]."""
    rows = torch.randint(1, 400, (4, 9), generator=torch.Generator().manual_seed(0))
    return nn.functional.pad(rows * (torch.arange(9) < torch.tensor(LENGTHS)[:, None]), (0, length - 9))


def restated(model: TextClassifier, tokens: Tensor) -> dict[str, Tensor]:
    """Mean outer products over real tokens, text by text through the encoder that knows neither packing nor masks."""
    inputs: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: inputs.setdefault(name, []).append(args[0][0]))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    for row, length in zip(tokens, LENGTHS, strict=True):
        x = model.embed(row[None, :length]) + model.position[:, :length]
        model.head(model.encoder(x).mean(1))
    for hook in hooks:
        hook.remove()
    rows = {name: torch.cat([x.view(-1, x.shape[-1]) for x in found]) for name, found in inputs.items()}
    rows = {name: torch.cat([x, torch.ones_like(x[:, :1])], 1) for name, x in rows.items()}
    return {name: x.T @ x / len(x) for name, x in rows.items()}


def test_grams_of_texts_are_means_over_real_tokens(text_model):
    grams, expected = gram_matrices(text_model, texts(9), CPU, batch_size=3), restated(text_model, texts(9))
    assert grams.keys() == expected.keys()
    assert "encoder.layers.1.attention.out" in grams
    assert "embed" not in grams
    for name, gram in grams.items():
        torch.testing.assert_close(gram, expected[name], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("statistic", [gram_matrices, diagonal_fisher])
def test_more_padding_changes_no_statistic(text_model, statistic):
    short, long = statistic(text_model, texts(9), CPU), statistic(text_model, texts(30), CPU)
    for name, value in short.items():
        torch.testing.assert_close(long[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_fisher_of_texts_is_the_definition_text_by_text(text_model):
    text_model.requires_grad_(False)
    with torch.no_grad():  # whatever the caller's mode is
        fisher = diagonal_fisher(text_model, texts(12), CPU)
    text_model.requires_grad_(True)
    expected = naive_fisher(text_model, texts(12))
    assert fisher.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(fisher[name], value, rtol=1e-9, atol=1e-14, msg=name)
    words = set(texts(9).flatten().tolist()) - {0}
    seen = fisher["embed.weight"].any(1).nonzero().flatten().tolist()
    assert set(seen) == words  # the others, padding too, have none


@pytest.mark.parametrize(
    ("arch", "options"), [("vit", {"width": 4, "depth": 1, "heads": 2}), ("resnet8", {"width": 2})]
)
def test_one_by_one_equals_vmap_where_both_can_be_done(arch, options):
    model = make(arch, **options).float()
    model.unused = nn.Parameter(torch.ones(2))
    images = torch.randint(0, 256, (5, 2, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    chunks = diagonal_fisher(model, images, CPU)
    model.data_dependent_shapes = True
    for name, value in diagonal_fisher(model, images, CPU).items():
        torch.testing.assert_close(value, chunks[name], rtol=1e-6, atol=1e-6, msg=name)
    assert not chunks["unused"].any()
    assert all(p.grad is None for p in model.parameters())


def test_a_text_model_needs_the_loop(text_model):
    text_model.data_dependent_shapes = False
    with pytest.raises(RuntimeError, match="vmap"):
        diagonal_fisher(text_model, texts(9), CPU)
