from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn

from bench.data.spec import Dataset, Images, Split
from bench.errors import BenchError
from bench.models import architectures, build, check, options_of

VARIANTS = [
    ("resnet8", {"width": 4}),
    ("resnet8", {"width": 5, "norm": "layer"}),
    ("resnet14", {"width": 4}),
    ("resnet20", {"width": 3}),
    ("vgg", {"width": 4}),
    ("vgg", {"width": 3, "norm": "layer"}),
    ("mlp", {"width": 12, "depth": 2}),
    ("mlp", {"width": 7, "depth": 1, "norm": "layer"}),
    ("mlp", {"width": 9, "depth": 3, "norm": "batch"}),
    ("vit", {"width": 12, "heads": 3, "depth": 2, "patch": 4}),
    ("vit", {"width": 8, "heads": 1, "depth": 1, "patch": 2}),
]


def data(channels: int = 3, side: int = 8) -> Dataset:
    split = Split(torch.zeros(2, channels, side, side, dtype=torch.uint8), torch.tensor([0, 1]))
    return Images("x", "x", "0", ("a", "b"), split, split, split, mean=(0.4,) * channels, std=(0.2,) * channels)


@pytest.mark.parametrize(("arch", "options"), VARIANTS)
@pytest.mark.parametrize(("channels", "side", "classes"), [(1, 8, 2), (3, 32, 10), (3, 28, 7), (1, 16, 3)])
def test_logits_are_the_head_on_the_features(arch, options, channels, side, classes):
    model = build(arch, options, classes, data(channels, side), seed=0).eval()
    x = torch.rand(3, channels, side, side)
    features = model.features(x)
    assert features.shape == (3, model.head.in_features)
    assert model(x).shape == (3, classes)
    assert torch.equal(model(x), model.head(features))
    assert model(x).isfinite().all()


@pytest.mark.parametrize(("arch", "options"), VARIANTS)
def test_every_parameter_gets_a_gradient(arch, options):
    model = build(arch, options, 10, data(), seed=0).train()
    model(torch.rand(4, 3, 8, 8)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("arch", sorted(architectures().keys() - {"text_classifier"}))
def test_defaults_build_and_the_seed_alone_decides_the_weights(arch):
    before = torch.random.get_rng_state()
    one, again, other = (build(arch, {}, 10, data(side=32), seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("arch", sorted(architectures().keys() - {"text_classifier"}))
def test_the_model_normalises_inside(arch):
    model = build(arch, {}, 10, data(side=8), seed=0).eval()
    same = build(arch, {}, 10, replace(data(side=8), mean=(0.0,) * 3, std=(1.0,) * 3), seed=0).eval()
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(model(x), same((x - 0.4) / 0.2), rtol=1e-4, atol=1e-5)


def test_layers_of_a_resnet():
    counts = {"resnet8": 8, "resnet14": 14, "resnet20": 20}
    for arch, layers in counts.items():
        model = build(arch, {}, 10, data(side=32), seed=0)
        main = [m for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in n]
        assert len(main) == layers
    assert [conv.out_channels for conv in main if isinstance(conv, nn.Conv2d)] == [16] * 7 + [32] * 6 + [64] * 6


def test_layer_norm_models_do_not_mix_examples():
    for arch in ("resnet8", "vgg"):
        model = build(arch, {"width": 4, "norm": "layer"}, 10, data(), seed=0).train()
        x = torch.rand(4, 3, 8, 8)
        torch.testing.assert_close(model(x)[:1], model(x[:1]))
        assert not [name for name, _ in model.named_buffers() if "running" in name]


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("resnet9", {}, "unknown architecture 'resnet9'; did you mean 'resnet8'"),
        ("resnet8", {"widht": 3}, "no option 'widht'; did you mean 'width'"),
        ("resnet8", {"width": 0}, "option width = 0: .* greater than or equal to 1"),
        ("resnet8", {"width": 2.5}, "option width = 2.5: .* valid integer"),
        ("resnet8", {"width": True}, "option width = True"),
        ("vgg", {"norm": "bacth"}, "option norm = 'bacth': .*'batch' or 'layer'"),
        ("vit", {"width": 10, "heads": 4}, "heads must divide the width"),
        ("vit", {"patch": 3}, "cannot be cut into patches of 3x3"),
        ("nowhere.models:net", {}, "cannot import 'nowhere.models'"),
        ("user_models:nte", {}, "no function 'nte'; did you mean 'net'"),
        ("user_models:net", {"wdith": 3}, "no option 'wdith'; did you mean 'width'"),
        ("user_models:not_a_module", {}, "gave a str; an nn.Module was expected"),
        ("user_models:broken", {}, "cannot be built: RuntimeError: no such luck"),
    ],
)
@pytest.mark.usefixtures("user_models")
def test_what_cannot_be_built_says_why(arch, options, message):
    with pytest.raises(BenchError, match=message):
        build(arch, options, 10, data(), seed=0)


@pytest.fixture
def user_models(monkeypatch):
    def net(*, num_classes: int, shape: tuple[int, int, int], width: int = 4) -> nn.Module:
        hidden = nn.Linear(shape[0] * shape[1] * shape[2], width)
        return nn.Sequential(nn.Flatten(), hidden, nn.Linear(width, num_classes))

    def broken(**_):
        raise RuntimeError("no such luck")

    module = ModuleType("user_models")
    module.net, module.broken, module.not_a_module = net, broken, lambda **_: "a network"
    monkeypatch.setitem(sys.modules, "user_models", module)


@pytest.mark.usefixtures("user_models")
def test_a_factory_of_the_users():
    before = torch.random.get_rng_state()
    model, again = (build("user_models:net", {"width": 6}, 5, data(), seed=3) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert model(torch.rand(2, 3, 8, 8)).shape == (2, 5)
    assert torch.equal(model[1].weight, again[1].weight)
    check("user_models:broken", {"anything": 1})  # takes any option


def test_options_are_read_from_the_factory():
    width = options_of("resnet20")["width"]
    assert width.default == 16
    assert set(options_of("vit")) == {"patch", "width", "depth", "heads"}


def test_naming_architectures_needs_no_torch():
    code = "import sys, bench.models; bench.models.architectures(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


STANDARD = ["mlp", "resnet8", "resnet14", "resnet20", "vgg"]


@pytest.mark.parametrize("arch", STANDARD)
def test_a_variant_that_varies_nothing_is_the_standard_network(arch):
    one, other = (build(name, {"width": 6}, 10, data(), seed=1) for name in (arch, f"{arch}_variant"))
    assert type(one) is type(other)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize("arch", STANDARD)
def test_without_normalised_inputs_pixels_stay_as_they_are(arch):
    model = build(f"{arch}_variant", {"width": 6, "normalize": False}, 10, data(), seed=1)
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(model.normalize(x), x)


@pytest.mark.parametrize("arch", STANDARD)
@pytest.mark.parametrize(("init", "variance", "largest"), [("lecun", 1.0, 2.2736), ("torch", 1 / 3, 1.0)])
def test_initialisations_have_their_variance_and_their_bounds(arch, init, variance, largest):
    """In units of 1 / fan-in: Flax cuts at two deviations of the normal before the cut, PyTorch draws evenly."""
    model = build(f"{arch}_variant", {"width": 24, "init": init}, 10, data(), seed=1)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert model.head in layers
    drawn = torch.cat([(m.weight * m.weight[0].numel() ** 0.5).flatten() for m in layers]).detach()
    assert float(drawn.square().mean()) == pytest.approx(variance, rel=0.03)
    assert float(drawn.abs().max()) == pytest.approx(largest, rel=0.01)
    biases = torch.cat([m.bias for m in layers if m.bias is not None]).detach()
    assert bool((biases == 0).all()) is (init == "lecun")


def test_a_variants_options_are_checked():
    with pytest.raises(BenchError, match="init = 'xavier'"):
        check("mlp_variant", {"init": "xavier"})
