"""Strided 1x1 convolutions of few channels, which oneDNN computes beyond the end of a buffer."""

import subprocess
import sys

import pytest
import torch

from bench.models.resnet import Projection

LOOP = """
import gc, torch
from bench.data.spec import Images, Split
from bench.models import build
split = Split(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
data = Images("x", "x", "0", ("a", "b"), split, split, split, mean=(0.4,) * 3, std=(0.2,) * 3)
for width in (3, 4, 5, 6, 7) * 6:
    model = build("resnet8", {"width": width}, 10, data, seed=0).to(memory_format=torch.channels_last).train()
    images = torch.rand(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    model(images).square().sum().backward()
    del model
    gc.collect()
"""


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "stride", "side"), [(1, (2, 2), 8), (3, (2, 2), 7), (5, (3, 3), 8), (7, (2, 1), 6)])
def test_the_function_and_its_gradients_are_those_of_the_convolution(inputs, stride, side, bias):
    conv = Projection(inputs, 6, 1, stride, bias=bias).to(memory_format=torch.channels_last)
    x = torch.rand(4, inputs, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = conv(x)
    seen = x[..., :: stride[0], :: stride[1]]
    told = torch.einsum("oi,bihw->bohw", conv.weight[..., 0, 0], seen)
    told = told + conv.bias[:, None, None] if bias else told
    torch.testing.assert_close(y, told)
    wanted = (x, *conv.parameters())
    for found, expected in zip(
        torch.autograd.grad(y.square().sum(), wanted), torch.autograd.grad(told.square().sum(), wanted), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_narrow_networks_are_trained_without_harm_to_memory():
    """In a process of its own: where memory is written past its end, glibc aborts it sooner or later."""
    done = subprocess.run([sys.executable, "-c", LOOP], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-500:]
