from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import BenchError
from bench.models import build
from bench.models.layers import Classifier
from bench.models.permutation import Axis, PermutationSpec, axes_of, permute, random_permutations, sizes

VARIANTS = [
    ("resnet8", {"width": 4}),
    ("resnet8", {"width": 5, "norm": "layer"}),
    ("resnet20", {"width": 3}),
    ("vgg", {"width": 4}),
    ("vgg", {"width": 3, "norm": "layer"}),
    ("mlp", {"width": 12, "depth": 2}),
    ("mlp", {"width": 7, "depth": 2, "norm": "layer"}),
    ("mlp", {"width": 9, "depth": 1, "norm": "batch"}),
    ("vit", {"width": 12, "heads": 3, "depth": 2, "patch": 4}),
    ("vit", {"width": 8, "heads": 4, "depth": 1, "patch": 2}),
]


@pytest.fixture(params=VARIANTS, ids=lambda v: "-".join(map(str, [v[0], *v[1].values()])))
def model(request, digits) -> Classifier:
    """A float64 model with all entries, norm parameters and statistics too, away from their initial values."""
    arch, options = request.param
    made = build(arch, options, 10, digits, seed=0).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if tensor.is_floating_point() and tensor.ndim == 1:
                noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
                tensor.add_(noise if "var" in name else noise - 0.5)
    return made


def test_permuted_units_compute_the_same_function(model):
    x = torch.rand(4, 1, 8, 8, dtype=torch.float64)
    before, features = model(x), model.features(x)
    spec, state = model.permutation_spec(), model.state_dict()
    perms = random_permutations(spec, state, torch.Generator().manual_seed(1))
    moved = permute(state, spec, perms)
    changed = [name for name in spec.axes if not torch.equal(moved[name], state[name])]
    model.load_state_dict(moved)
    assert len(changed) > len(spec.axes) // 2
    torch.testing.assert_close(model(x), before, rtol=0, atol=1e-12)
    assert not torch.allclose(model.features(x), features)


def test_every_single_group_is_free(model):
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    before = model(x)
    spec, state = model.permutation_spec(), {k: v.clone() for k, v in model.state_dict().items()}
    for group, n in sizes(spec, state).items():
        moved = permute(state, spec, {group: torch.arange(n).flip(0)})
        model.load_state_dict(moved)
        torch.testing.assert_close(model(x), before, rtol=0, atol=1e-12)


def test_the_spec_covers_every_parameter_and_float_buffer(model):
    spec, state = model.permutation_spec(), model.state_dict()
    assert set(spec.axes) == {name for name, tensor in state.items() if tensor.is_floating_point()}
    assert all(len(axes) == state[name].ndim for name, axes in spec.axes.items())
    named = {axis.group for axes in spec.axes.values() for axis in axes if axis is not None}
    assert named == set(spec.order) == set(spec.writers)
    assert len(set(spec.order)) == len(spec.order)


def test_writers_are_the_layers_whose_rows_are_the_units(model):
    spec = model.permutation_spec()
    for group, writers in spec.writers.items():
        for name in writers:
            assert isinstance(model.get_submodule(name), nn.Conv2d | nn.Linear)
            axis = spec.axes[f"{name}.weight"][0]
            assert axis is not None
            assert axis.group == group
    listed = {name for writers in spec.writers.values() for name in writers}
    layers = {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    assert listed == layers - {"head"}


def test_writers_and_groups_come_in_forward_order(model):
    ran: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    model(torch.rand(1, 1, 8, 8, dtype=torch.float64))
    spec = model.permutation_spec()
    firsts = [min(ran.index(name) for name in spec.writers[group]) for group in spec.order]
    assert firsts == sorted(firsts)
    for writers in spec.writers.values():
        assert [ran.index(name) for name in writers] == sorted(ran.index(name) for name in writers)


def test_a_residual_stream_is_one_group(digits):
    spec = build("resnet14", {"width": 4}, 10, digits, seed=0).permutation_spec()
    assert spec.order[:4] == ("stage0", "stage0.block0", "stage0.block1", "stage1.block0")
    assert spec.writers["stage0"] == ("stem", "stages.0.0.conv2", "stages.0.1.conv2")
    assert set(spec.writers["stage1"][:2]) == {"stages.1.0.shortcut.0", "stages.1.0.conv2"}
    assert spec.axes["stages.1.0.shortcut.0.weight"] == (Axis("stage1"), Axis("stage0"), None, None)
    assert spec.axes["head.weight"] == (None, Axis("stage2"))
    assert "norm.num_batches_tracked" not in spec.axes


def test_heads_move_as_blocks(digits):
    model = build("vit", {"width": 12, "heads": 3, "depth": 1}, 10, digits, seed=0)
    spec, state = model.permutation_spec(), model.state_dict()
    assert sizes(spec, state) == {"stream": 12, "heads0": 3, "ff0": 24}
    moved = permute(state, spec, {"heads0": torch.tensor([2, 0, 1])})
    old, new = (s["encoder.layers.0.attention.v.weight"].view(3, 4, 12) for s in (state, moved))
    assert torch.equal(new, old[[2, 0, 1]])


def test_the_result_shares_no_memory_and_counters_are_kept(digits):
    model = build("resnet8", {"width": 4}, 10, digits, seed=0)
    state = model.state_dict()
    copy = permute(state, model.permutation_spec(), {})
    assert copy.keys() == state.keys()
    assert all(torch.equal(copy[name], state[name]) for name in state)
    assert not {t.data_ptr() for t in copy.values()} & {t.data_ptr() for t in state.values()}


@pytest.mark.parametrize(
    ("perms", "message"),
    [
        ({"hidden7": torch.arange(6)}, "unknown group 'hidden7'"),
        ({"hidden0": torch.arange(5)}, "not a permutation of 6 units"),
        ({"hidden0": torch.tensor([0, 1, 2, 3, 4, 4])}, "not a permutation of 6 units"),
    ],
)
def test_what_is_no_permutation_is_refused(digits, perms, message):
    model = build("mlp", {"width": 6, "depth": 1}, 10, digits, seed=0)
    with pytest.raises(BenchError, match=message):
        permute(model.state_dict(), model.permutation_spec(), perms)


def test_a_spec_that_contradicts_the_state_is_refused():
    spec = PermutationSpec({"a": (Axis("g"),), "b": (Axis("g", 2),)}, ("g",), {})
    with pytest.raises(BenchError, match="b has 5 entries"):
        sizes(spec, {"a": torch.zeros(3), "b": torch.zeros(5)})


def test_layers_without_known_axes_are_refused():
    with pytest.raises(TypeError, match="lstm: no permutation axes are known for LSTM"):
        axes_of("lstm", nn.LSTM(2, 2), Axis("g"))
