"""Standard models. `build` makes an untrained one; `bench.models.zoo` keeps trained ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, near_miss

if TYPE_CHECKING:
    from torch import nn

    from bench.data.spec import Dataset

ARCHITECTURES = {
    "resnet8": ("bench.models.resnet", "ResNet of 8 layers, CIFAR style, projection shortcuts"),
    "resnet14": ("bench.models.resnet", "ResNet of 14 layers, CIFAR style, projection shortcuts"),
    "resnet20": ("bench.models.resnet", "ResNet of 20 layers, CIFAR style, projection shortcuts"),
    "vgg": ("bench.models.vgg", "plain 3x3 convolutions with max pooling, VGG style"),
    "mlp": ("bench.models.mlp", "multilayer perceptron on pixels"),
    "text_classifier": ("bench.models.text", "small transformer encoder on texts, pre-LayerNorm"),
    "vit": ("bench.models.transformer", "small vision transformer, pre-LayerNorm"),
    "resnet8_variant": ("bench.models.variants", "resnet8 by another initialisation, or on pixels as they are"),
    "resnet14_variant": ("bench.models.variants", "resnet14 by another initialisation, or on pixels as they are"),
    "resnet20_variant": ("bench.models.variants", "resnet20 by another initialisation, or on pixels as they are"),
    "vgg_variant": ("bench.models.variants", "vgg by another initialisation, or on pixels as they are"),
    "mlp_variant": ("bench.models.variants", "mlp by another initialisation, or on pixels as they are"),
}
"""Name -> module with the factory of that name, and one line on it. Modules load when a model is built."""


def architectures() -> dict[str, str]:
    """Name -> one line on it."""
    return {name: summary for name, (_, summary) in ARCHITECTURES.items()}


def options_of(arch: str) -> dict[str, inspect.Parameter]:
    """The options of an architecture: name -> parameter with type and default.

    Raises:
        BenchError: an unknown architecture, or a factory that cannot be imported.
    """
    parameters = inspect.signature(factory(arch), eval_str=True).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def module_of(arch: str) -> str:
    """The module that holds the factory of an architecture.

    Raises:
        BenchError: neither a name of `architectures()` nor `package.module:function`.
    """
    if arch in ARCHITECTURES:
        return ARCHITECTURES[arch][0]
    module, colon, _ = arch.partition(":")
    if not colon:
        raise BenchError(f"unknown architecture {arch!r}{near_miss(arch, ARCHITECTURES)}")
    return module


def factory(arch: str) -> Callable[..., nn.Module]:
    """The function behind a name of `architectures()`, or behind `package.module:function`.

    Raises:
        BenchError: there is none, or its module cannot be imported.
    """
    module_name, function = module_of(arch), arch.rpartition(":")[2]
    try:
        module = import_module(module_name)
    except Exception as error:
        raise BenchError(
            f"architecture {arch!r}: cannot import {module_name!r}: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        names = [name for name, thing in vars(module).items() if callable(thing) and not name.startswith("_")]
        raise BenchError(
            f"architecture {arch!r}: {module_name} has no function {function!r}{near_miss(function, names)}"
        )
    return found


def check(arch: str, options: Mapping[str, Any]) -> None:
    """Refuse an unknown architecture, an unknown option, or an option of the wrong type or out of bounds.

    Options of a user's own factory are checked by name only.

    Raises:
        BenchError: says which option, and what would be right.
    """
    make = factory(arch)
    if arch in ARCHITECTURES:
        known = options_of(arch)
    else:
        parameters = inspect.signature(make).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        known = {name: p for name, p in parameters.items() if name not in ("num_classes", "shape")}
    for name in options:
        if name not in known:
            raise BenchError(f"architecture {arch!r} has no option {name!r}{near_miss(name, known)}")
    if arch in ARCHITECTURES:
        _check_types(arch, known, options)


def build(arch: str, options: Mapping[str, Any], num_classes: int, dataset: Dataset, *, seed: int) -> nn.Module:
    """An untrained model on the CPU; it takes float images [B, C, H, W] in [0, 1] and gives logits [B, num_classes].

    `dataset` gives the shape, and the mean and standard deviation of `model.normalize`. The weights depend on
    `seed` alone, and torch's global generator is left as it was.

    A user's own `package.module:factory` is called as `factory(num_classes=..., shape=(C, H, W), **options)`.

    Raises:
        BenchError: an unknown architecture or option, a wrong type, or a factory that gives no module.
    """
    import torch
    from torch import nn

    check(arch, options)
    make = factory(arch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if arch in ARCHITECTURES:
            from bench.models.layers import Problem

            return make(Problem(num_classes, dataset.shape, dataset.mean, dataset.std), **options)
        try:
            model = make(num_classes=num_classes, shape=dataset.shape, **options)
        except Exception as error:
            raise BenchError(f"architecture {arch!r} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise BenchError(f"architecture {arch!r} gave a {type(model).__name__}; an nn.Module was expected")
    return model


def _check_types(arch: str, known: Mapping[str, inspect.Parameter], options: Mapping[str, Any]) -> None:
    from pydantic import ConfigDict, ValidationError, create_model

    fields: dict[str, Any] = {name: (p.annotation, p.default) for name, p in known.items()}
    schema = create_model(arch, __config__=ConfigDict(strict=True, allow_inf_nan=False), **fields)
    try:
        schema(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise BenchError(f"architecture {arch!r}: option {name} = {options[name]!r}: {first['msg']}") from error
