"""A way round a fault of the library that computes convolutions on a CPU.

The gradient of a strided 1x1 convolution with respect to its weights is written past the end of a buffer where the
input is channels_last and has fewer channels than a vector register holds numbers (oneDNN issue 6035, open in
November 2026; also in PyTorch 2.13). What comes of it is a crash at some later moment, or a wrong gradient. The
projections of narrow ResNets are such convolutions.

It would stand in `bench.models.resnet`, but for that every trained model and every record would have to be made anew;
wide convolutions are none of its business, and their numbers stay what they are to the last digit.
"""

from __future__ import annotations

from typing import Any


def go_round() -> None:
    """Have such convolutions compute on the pixels that they look at, without a stride: the same function."""
    import torch
    from torch import Tensor, nn

    plain = nn.Conv2d._conv_forward
    if getattr(plain, "goes_round", False):
        return
    numbers = 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8

    def forward(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.device.type != "cpu" or self.in_channels >= numbers or not _strided_pointwise(self):
            return plain(self, x, weight, bias)
        rows, columns = self.stride
        return nn.functional.conv2d(x[..., ::rows, ::columns], weight, bias)

    forward.goes_round = True  # type: ignore[attr-defined]
    nn.Conv2d._conv_forward = forward  # type: ignore[assignment,method-assign]


def _strided_pointwise(conv: Any) -> bool:
    return conv.kernel_size == (1, 1) and conv.stride != (1, 1) and conv.padding == (0, 0) and conv.groups == 1
