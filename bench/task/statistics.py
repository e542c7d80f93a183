"""What an owner of private data may hand out in place of the data: Gram matrices and Fisher information.

The harness computes them for a method that declares the access, and their cost is the method's. Both are means over the
owner's rows: no single one can be read from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.device import Device, as_input
from bench.errors import BenchError
from bench.task.gradients import at_once, computes_alone, of_many


@torch.no_grad()
def gram_matrices(model: nn.Module, inputs: Tensor, device: Device, batch_size: int = 50) -> dict[str, Tensor]:
    """Mean outer product of the inputs of every `nn.Linear` and `nn.Conv2d`, with the constant 1 as last input.

    With rows x_r [d] over all inputs, tokens and positions, the matrix of a layer is G [d + 1, d + 1]: G[:d, :d] is
    the mean of x_r x_r^T, G[:d, d] the mean of x_r (the input of the bias), G[d, d] is 1. For a convolution x_r is the
    patch under the kernel, d = channels * kernel height * kernel width in the order of `weight.flatten(1)`, zero
    padding included. Convolutions that are grouped, or padded otherwise than by a number of zeros, have no entry; nor
    have embeddings, whose inputs are numbers of tokens: their matrix would be the frequencies of the words, a diagonal.
    The rows of a text are its real tokens, as long as the model computes on those only (`bench.models.text` does).

    Args:
        model: run in eval mode; left as it was.
        inputs: [N, ...] of any kind, as stored.
        device: where the model lies.
        batch_size: rows a forward pass.

    Returns:
        Module name -> float64 [d + 1, d + 1] on the device.

    Raises:
        BenchError: there are no inputs, or an input is not finite.
    """
    _need_inputs(inputs, "gram_matrices")
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) or _is_plain_convolution(m)}
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(layers, 0)

    def collect(name: str, layer: nn.Module, x: Tensor) -> None:
        rows = _input_rows(layer, x.double())
        rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
        product = rows.T @ rows
        sums[name] = sums[name] + product if name in sums else product
        counts[name] += len(rows)

    hooks = [
        layer.register_forward_pre_hook(lambda layer, args, name=name: collect(name, layer, args[0]))
        for name, layer in layers.items()
    ]
    try:
        with _in_eval_mode(model):
            for batch in inputs.split(batch_size):
                model(_input(model, batch, device))
    finally:
        for hook in hooks:
            hook.remove()
    grams = {name: total / counts[name] for name, total in sums.items()}
    _need_finite(grams, "gram_matrices")
    return grams


def diagonal_fisher(model: nn.Module, inputs: Tensor, device: Device) -> dict[str, Tensor]:
    """Diagonal of the Fisher information: F[p] = mean over x of sum_c p(c|x) (d log p(c|x) / d p)^2.

    Gradients are squared example by example, and the expectation over classes is exact. So do the authors of
    Fisher merging (mmatena/model_merging); RegMean's code and fusion_bench square the gradient of a batch, which adds
    the products between examples.

    Args:
        model: logits [B, C]; run in eval mode; left as it was. Where it `computes_alone`
            (`bench.task.gradients`), examples are taken one by one.
        inputs: [N, ...] of any kind, as stored.
        device: where the model lies.

    Returns:
        Parameter name -> non-negative tensor of its shape, dtype and device.

    Raises:
        BenchError: there are no inputs, or a gradient is not finite.
    """
    _need_inputs(inputs, "diagonal_fisher")
    weights = {name: p.detach() for name, p in model.named_parameters()}
    sums = {name: torch.zeros_like(w) for name, w in weights.items()}
    with _in_eval_mode(model):
        if computes_alone(model):
            _add_one_by_one(sums, model, weights, inputs, device)
        else:
            _add_in_chunks(sums, model, weights, inputs, device)
    fisher = {name: total / len(inputs) for name, total in sums.items()}
    _need_finite(fisher, "diagonal_fisher")
    return fisher


def _add_in_chunks(
    sums: dict[str, Tensor], model: nn.Module, weights: dict[str, Tensor], inputs: Tensor, device: Device
) -> None:
    """Add every image's squared gradients, weighted by the probabilities of the classes, with vmap."""

    def log_probability(z: Tensor, picked: Tensor) -> Tensor:
        return (z[0].log_softmax(0) * picked).sum()

    for batch in inputs.split(at_once(weights)):
        x = _input(model, batch, device)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the kernels of the gradients
            probabilities = model(x).softmax(1)
        classes = torch.eye(probabilities.shape[1], dtype=x.dtype, device=x.device)
        for c, picked in enumerate(classes):
            for name, g in of_many(model, weights, x, picked, log_probability, shared=True).items():
                sums[name] += torch.tensordot(probabilities[:, c], g.square(), 1)


@torch.enable_grad()
def _add_one_by_one(
    sums: dict[str, Tensor], model: nn.Module, weights: dict[str, Tensor], inputs: Tensor, device: Device
) -> None:
    """The same without vmap: one forward pass an image, one backward pass a class."""
    trained = {name: w.clone().requires_grad_() for name, w in weights.items()}
    for row in inputs.split(1):
        log_p = functional_call(model, trained, (_input(model, row, device),))[0].log_softmax(0)
        for c, p in enumerate(log_p.detach().exp()):
            more = c + 1 < len(log_p)
            gradients = torch.autograd.grad(
                log_p[c], list(trained.values()), retain_graph=more, allow_unused=True, materialize_grads=True
            )
            for total, g in zip(sums.values(), gradients, strict=True):
                total.addcmul_(g, g * p)


def _input(model: nn.Module, inputs: Tensor, device: Device) -> Tensor:
    return as_input(inputs.to(device.torch), next(model.parameters()).dtype)


def _is_plain_convolution(module: nn.Module) -> bool:
    if not isinstance(module, nn.Conv2d) or isinstance(module.padding, str):
        return False
    return module.groups == 1 and module.padding_mode == "zeros"


def _input_rows(layer: nn.Module, x: Tensor) -> Tensor:
    """The input of a layer as rows [R, d], one an image, token or position."""
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        patches = nn.functional.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        return patches.transpose(1, 2).flatten(0, 1)
    return x.flatten(0, -2)


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was


def _need_inputs(inputs: Tensor, who: str) -> None:
    if len(inputs) == 0:
        raise BenchError(f"{who}: no inputs; an owner needs at least one")


def _need_finite(statistics: dict[str, Tensor], who: str) -> None:
    broken = [name for name, value in statistics.items() if not value.isfinite().all()]
    if broken:
        raise BenchError(f"{who}: not finite at {', '.join(broken)}; the model overflows on the owner's inputs")
