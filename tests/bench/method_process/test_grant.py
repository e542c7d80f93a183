"""What is granted arrives as it was; whoever writes to it writes to a copy; handles arrive as numbers."""

import copy
import os

import pytest
import torch
from torch import nn

from bench.conformance import reachable
from bench.device import Device
from bench.method_process import grant
from bench.task.black_box import BlackBox
from bench.task.handle import Handle, behind


@pytest.fixture
def granted():
    """`granted(things, ask)` -> the things as they arrive, and what was packed."""
    files = []

    def call(things, ask=None):
        packed = grant.pack(things)
        files.append(packed.file)
        return arrived(packed, ask), packed

    yield call
    for file in files:
        file.close()


def arrived(packed, ask=None):
    handle = lambda number: Handle.elsewhere(number, ask)  # noqa: E731
    return grant.unpack(packed.pickled, packed.file.fileno(), packed.size, handle)


TENSORS = [
    torch.arange(5),
    torch.empty(0, 3),
    torch.tensor(2.5),
    torch.tensor([True, False, True]),
    torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    torch.rand(3, 4).T,
    torch.rand(3).bfloat16(),
    torch.rand(2, 2, requires_grad=True),
    torch.rand(6)[1::2],
    torch.empty(0),
]


@pytest.mark.parametrize("order", [1, -1])
def test_tensors_arrive_to_the_bit(granted, order):
    found, _ = granted(TENSORS[::order])
    for tensor, expected in zip(found, TENSORS[::order], strict=True):
        assert torch.equal(tensor, expected)
        assert tensor.dtype == expected.dtype
        assert tensor.requires_grad == expected.requires_grad
        if expected.numel() and expected.storage_offset() == 0:
            assert tensor.stride() == expected.stride()


def test_networks_and_what_they_share_arrive(granted):
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[3].weight = model[2].weight
    model[0].weight.requires_grad_(False)
    model = Device().place(model).eval()
    (found, again), more = granted(([model, model], {"labels": torch.arange(3)}))[0]
    assert found is again
    assert found[3].weight is found[2].weight
    assert not found[0].weight.requires_grad
    assert isinstance(found[2].weight, nn.Parameter)
    assert not found[1].training
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(found[1](found[0](x)), model[1](model[0](x)))
    assert more["labels"].tolist() == [0, 1, 2]


def test_whoever_writes_to_every_granted_tensor_writes_to_a_copy(granted):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    things = {"model": model, "images": torch.rand(4, 3), "bits": torch.tensor([True, True])}
    before = copy.deepcopy(things)
    (first, packed), (second, _) = granted(things), granted(things)
    with torch.no_grad():
        for tensor in (*first["model"].state_dict().values(), first["images"], first["bits"]):
            tensor.zero_()
    assert not any(t.any() for t in first["model"].state_dict().values())
    for other in (things, second, arrived(packed)):
        assert torch.equal(other["images"], before["images"])
        assert torch.equal(other["bits"], before["bits"])
        for name, tensor in before["model"].state_dict().items():
            assert torch.equal(other["model"].state_dict()[name], tensor)


def test_tensors_lie_in_the_file_once_and_not_in_the_pickle(granted):
    big = torch.rand(2**18)
    found, packed = granted([big, big, {"again": big}])
    assert packed.size == big.numel() * 4
    assert os.fstat(packed.file.fileno()).st_size == packed.size
    assert len(packed.pickled) < 2000
    assert found[0] is found[1] is found[2]["again"]


def test_handles_are_numbers_and_ask_the_judge(granted):
    model, asked = nn.Linear(3, 2), []
    box, other = BlackBox(model), BlackBox(model)

    def ask(number, question, arguments):
        asked.append((number, question, arguments))
        return "logits"

    found, packed = granted({"teacher": box, "again": [box]}, ask)
    number = box._model.number
    assert packed.handles == {number}
    assert other._model.number not in packed.handles
    x = torch.rand(1, 3)
    assert found["teacher"](x) == "logits"
    assert asked == [(number, "logits", (x,))]
    assert b"Linear" not in packed.pickled
    assert packed.size == 0, "no weight lies there"
    assert not any(isinstance(thing, nn.Module) for thing in reachable([vars(found["teacher"])]))
    assert behind(box._model) is not None
