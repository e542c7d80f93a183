"""Messages arrive as they were sent; what is none is refused, whatever it is."""

import json

import pytest
import torch

from bench.errors import BadResult
from bench.method_process import forms, wire


def head(*tensors, **more):
    return json.dumps({"tensors": list(tensors), **more}).encode()


def test_a_message_and_a_thing_arrive(line):
    between = line()
    wire.send(between, {"what": "result", "more": [1, None]}, forms.pack({"a": torch.arange(3)}))
    wire.send(between, {"what": "go"})
    told, packed = wire.receive(between)
    assert told == {"what": "result", "more": [1, None]}
    assert forms.unpack(packed)["a"].tolist() == [0, 1, 2]
    assert wire.receive(between) == ({"what": "go"}, None)
    with pytest.raises(EOFError):
        wire.receive(between)


FOUR = bytes(16)


@pytest.mark.parametrize(
    "messages",
    [
        [b"\x80\x04pickle"],
        [b""],
        [b"3"],
        [b"[]"],
        [b"{}"],
        [b'"tensors"'],
        [b"[" * 10**6],
        [head(3)],
        [head([])],
        [json.dumps({"tensors": 3}).encode()],
        [head(["float32", [4], [1], 1]), FOUR],
        [head(["load", [4], [1]]), FOUR],
        [head(["nothing", [4], [1]]), FOUR],
        [head([3, [4], [1]]), FOUR],
        [head(["float32", [5], [1]]), FOUR],  # too little
        [head(["float32", [3], [1]]), FOUR],  # too much
        [head(["float32", [10**12], [0]]), FOUR[:4]],  # a little that would be a lot
        [head(["float32", [4], [3]]), FOUR],  # beyond its end
        [head(["float32", [4], [-1]]), FOUR],
        [head(["float32", [4], [1, 1]]), FOUR],
        [head(["float32", [-4], [1]]), FOUR],
        [head(["float32", [-2, -2], [2, 1]]), FOUR],
        [head(["float32", [4.0], [1]]), FOUR],
        [head(["float32", [0, 10**30], [1, 1]]), b""],
        [head(["float32", [10**30], [1]]), FOUR],
        [head(["float32", "four", [1]]), FOUR],
        [head(["float32", None, None]), FOUR],
    ],
)
def test_what_is_no_message_is_refused(line, messages):
    with pytest.raises(BadResult, match="the method's process sent"):
        wire.receive(line(*messages))


def test_a_message_that_breaks_off_is_the_end(line):
    with pytest.raises(EOFError):
        wire.receive(line(head(["float32", [4], [1]])))


def test_a_tensor_is_not_the_senders(line):
    tensor, between = torch.zeros(3), line()
    wire.send(between, {}, forms.pack(tensor))
    tensor.fill_(1)
    assert forms.unpack(wire.receive(between)[1]).tolist() == [0, 0, 0]
