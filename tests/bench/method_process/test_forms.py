"""What comes back is the same network, value or tensor; what is code, or lies about itself, is refused."""

import json
from collections import OrderedDict, namedtuple
from enum import Enum

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.conformance import VARIANTS, made_up
from bench.data.texts.kind import TextProblem
from bench.device import Device
from bench.errors import BadResult
from bench.method_process import forms
from bench.models import ARCHITECTURES, build
from bench.models.compositions import Ensemble, Mixture, SideBySide
from bench.models.text import text_classifier
from bench.models.train import as_input

IMAGES = made_up(VARIANTS[1])


def standard(arch):
    torch.manual_seed(1)
    if arch == "text_classifier":
        model = text_classifier(TextProblem(4, 12, 600), width=12, depth=2, heads=3)
        return model, as_input(torch.randint(1, 600, (5, 12)))
    width = {"width": 12} if arch == "vit" else {"width": 4}
    return build(arch, width, len(IMAGES.classes), IMAGES, seed=1), torch.rand(5, *IMAGES.shape)


def assert_same(found, model, x=None):
    """To the last digit and the last stride."""
    pairs = list(zip(found.modules(), model.modules(), strict=True))
    assert all(type(a) is type(b) and a.training == b.training for a, b in pairs)
    for a, b in pairs:
        plain = [{k: v for k, v in vars(m).items() if isinstance(v, bool | int | float | str | tuple)} for m in (a, b)]
        assert plain[0] == plain[1]
    state, expected = found.state_dict(), model.state_dict()
    assert list(state) == list(expected)
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor), name
        assert state[name].stride() == tensor.stride(), name
        assert state[name].dtype == tensor.dtype, name
    for (name, a), (_, b) in zip(found.named_parameters(), model.named_parameters(), strict=True):
        assert a.requires_grad == b.requires_grad, name
        assert a.data_ptr() != b.data_ptr(), name
    if x is not None:
        assert torch.equal(found.eval()(x), model.eval()(x))


@pytest.mark.parametrize("placed", [False, True])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_standard_architecture_comes_back_as_it_was(travelled, arch, placed):
    model, x = standard(arch)
    if placed:  # in channels_last, frozen in part, in evaluation mode
        model = Device().place(model).eval()
        next(model.parameters()).requires_grad_(False)
    assert_same(travelled(model), model, x)


def test_what_is_shared_stays_shared(travelled):
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.ReLU())
    tied[1].weight = tied[0].weight
    tied.append(tied[0])
    alone = nn.Parameter(torch.ones(2))
    found, again, first, second = travelled([tied, tied, alone, {"same": alone}])
    assert found is again
    assert found[0] is found[3]
    assert found[0].weight is found[1].weight
    assert len(list(found.parameters())) == len(list(tied.parameters()))
    assert first is second["same"]
    assert isinstance(first, nn.Parameter)


def test_an_ensemble_and_other_compositions_of_ours_come_back(travelled):
    members = [standard("mlp")[0] for _ in range(2)]
    x = torch.rand(4, *IMAGES.shape)
    for model in (
        Ensemble(members, torch.rand(2, len(IMAGES.classes)) > 0.5),
        Mixture(members),
        SideBySide(members, nn.Linear(2 * len(IMAGES.classes), 3), relu=True),
    ):
        assert_same(travelled(model), model, x)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), (2, 5, 3)),
        (nn.GRU(3, 4), (5, 2, 3)),
        (nn.TransformerEncoderLayer(8, 2, 8, activation=functional.gelu), (2, 5, 8)),
        (nn.TransformerEncoderLayer(8, 2, 8, activation=torch.tanh), (2, 5, 8)),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.Flatten(0)), (1, 1, 4, 4)),
    ],
)
def test_layers_of_torch_come_back(travelled, model, shape):
    found, x = travelled(model), torch.rand(shape)
    assert_same(found, model)
    given, wanted = (m.eval()(x) for m in (found, model))
    given, wanted = ((z[0] if isinstance(z, tuple) else z) for z in (given, wanted))
    assert torch.equal(given, wanted)
    (given.sum() if found.training else given.square().sum()).backward()  # it can be trained
    assert all(p.grad is not None for p in found.parameters())


def test_what_a_network_leaves_out_of_its_state_comes_along(travelled):
    model = nn.Linear(2, 2, bias=False)
    model.register_buffer("fleeting", torch.arange(3), persistent=False)
    model.register_buffer("none", None)
    found = travelled(model)
    assert found.fleeting.tolist() == [0, 1, 2]
    assert found.none is None
    assert found.bias is None
    assert list(found.state_dict()) == ["weight"]


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -2.5, 10**30, float("inf"), "text"),
        *([1, [2]], (1, (2,)), {"a": 1, (1, 2): [None]}, {3, 4}, frozenset({"x"})),
        *(torch.float16, torch.device("cpu"), functional.relu, torch.relu),
    ],
)
def test_plain_values_come_back(travelled, value):
    found = travelled(value)
    assert found == value
    assert type(found) is type(value)


def test_odd_numbers_come_back_as_numbers(travelled):
    assert np.isnan(travelled(np.float64("nan")))
    assert travelled(torch.Size([2, 3])) == (2, 3)
    assert travelled(OrderedDict(b=1, a=2)) == {"b": 1, "a": 2}


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3),
        torch.empty(0, 4),
        torch.tensor([True, False]),
        torch.rand(3, 4).T,
        torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        torch.rand(6)[::2],
        torch.rand(1, 3).expand(4, 3),
        torch.rand(3).bfloat16(),
        torch.rand(2).half(),
        torch.rand(3, dtype=torch.complex64),
        torch.rand(3, dtype=torch.complex64).conj(),
        torch.tensor([float("nan"), float("inf")]),
    ],
)
def test_tensors_come_back_to_the_bit(travelled, tensor):
    found = travelled(tensor)
    assert found.dtype == tensor.dtype
    assert found.shape == tensor.shape
    torch.testing.assert_close(found, tensor.resolve_conj(), rtol=0, atol=0, equal_nan=True)
    found.zero_()  # it is one's own
    assert not torch.equal(found, tensor) or not tensor.any()


class Own(nn.Module):
    def forward(self, x):
        return x


class Number(int):
    pass


def hooked():
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda *_: None)
    return model


def with_attribute(value):
    model = nn.Linear(2, 2)
    model.more = value
    return model


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (lambda: Own(), r"result is a .*Own, which is no layer of torch, of bench.models or of what was granted"),
        (lambda: nn.Sequential(nn.ReLU(), Own()), r"result\.1 is a"),
        (hooked, r"result \(Linear\) has hooks, which are code"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), "Parametrized"),
        (lambda: with_attribute(lambda x: x), r"result\.more is a function, which is code and no data"),
        (lambda: with_attribute(torch.load), r"result\.more is a function"),
        (lambda: with_attribute(Own), r"result\.more is a type"),
        (lambda: [1, {"a": object()}], r"result\[1\]\['a'\] is a object"),
        (lambda: namedtuple("Pair", "a b")(1, 2), "result is a Pair"),
        (lambda: Enum("Color", "RED").RED, "result is a Color"),
        (lambda: torch.rand(2, 2).to_sparse(), "return it dense"),
        (lambda: torch.empty(2, device="meta"), "without entries"),
    ],
)
def test_what_is_code_has_no_form(thing, why):
    with pytest.raises(forms.NotPlainError, match=why):
        forms.pack(thing())


def test_what_is_nested_without_end_has_no_form():
    endless: list = []
    endless.append(endless)
    with pytest.raises(forms.NotPlainError, match="nested more than 200 deep"):
        forms.pack(endless)


def test_classes_that_were_granted_come_back_and_are_nobody_elses(travelled):
    model = nn.Sequential(Own(), nn.Linear(2, 2))
    granted = forms.classes_of([{"a": [model]}])
    assert granted == {nn.Sequential, Own, nn.Linear}
    assert_same(travelled(model, granted), model, torch.rand(3, 2))
    packed = forms.pack(model, granted)
    with pytest.raises(
        BadResult, match=r"a result is a .*:Own, which is no layer of torch, of bench.models or of what"
    ):
        forms.unpack(packed)


def forged(**changes):
    """A description of a linear layer, and what is changed in it."""
    packed = forms.pack(nn.Linear(2, 2))
    return forms.Packed(json.dumps(json.loads(packed.text) | changes), packed.tensors)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"settings": [["forward", {"function": "torch.nn.functional:relu"}]]},
            r"replaces .*Linear\.forward, which is",
        ),
        ({"settings": [["state_dict", 3]]}, r"replaces .*Linear\.state_dict"),
        ({"settings": [["more", {"function": "torch:load"}]]}, "names 'torch:load', which is no function of torch"),
        ({"settings": [["more", {"function": "torch:set_num_threads"}]]}, "no function of torch"),
        ({"settings": [["more", {"function": "os:system"}]]}, "names 'os:system'"),
        ({"settings": [["more", {"dtype": "torch.load"}]]}, "no dtype of torch"),
        ({"settings": [["more", {"code": "1 + 1"}]]}, "BadResult|no code of torch|description"),
        ({"network": "os:system"}, "a result is a os:system"),
        ({"network": "torch.nn.modules.linear:Identity.forward"}, "a result is a"),
        ({"network": "torch.nn.modules.module:Any"}, "a result is a"),
        ({"network": "bench.models.files:Path"}, "a result is a"),
        ({"network": 3}, "no description"),
        ({"parts": [["0", 3]]}, "a part of .* is no network"),
        ({"parts": [["0", {"again": 77}]]}, "no description"),
        ({"parameters": [["weight", {"parameter": 9, "grad": True}]]}, "no description"),
        ({"parameters": 3}, "no description"),
        ({"number": []}, "no description"),
    ],
)
def test_a_forged_description_is_refused(changes, why):
    with pytest.raises(BadResult, match=why):
        forms.unpack(forged(**changes))


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"a": 1, "b": 2}', "[" * 100_000, '{"dict": [[[], 1]]}', '{"float": "x"}']
)
def test_what_is_no_description_is_refused(text):
    with pytest.raises(BadResult, match=r"no description of a result|which is no"):
        forms.unpack(forms.Packed(text, []))


def test_hooks_cannot_be_brought_in_as_settings():
    found = forms.unpack(forged(settings=[["_forward_hooks", {"dict": [[1, 2]]}], ["in_features", 2]]))
    assert not found._forward_hooks
    assert found(torch.ones(1, 2)).shape == (1, 2)
