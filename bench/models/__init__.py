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
    from bench.types import KindName

ARCHITECTURES: dict[str, tuple[str, str, tuple[KindName, ...]]] = {
    "resnet8": ("bench.models.resnet", "ResNet of 8 layers, CIFAR style, projection shortcuts", ("images",)),
    "resnet14": ("bench.models.resnet", "ResNet of 14 layers, CIFAR style, projection shortcuts", ("images",)),
    "resnet20": ("bench.models.resnet", "ResNet of 20 layers, CIFAR style, projection shortcuts", ("images",)),
    "vgg": ("bench.models.vgg", "plain 3x3 convolutions with max pooling, VGG style", ("images",)),
    "mlp": ("bench.models.mlp", "multilayer perceptron on pixels or columns", ("images", "tables")),
    "text_classifier": ("bench.models.text", "small transformer encoder on texts, pre-LayerNorm", ("texts",)),
    "vit": ("bench.models.transformer", "small vision transformer, pre-LayerNorm", ("images",)),
    "resnet8_variant": ("bench.models.variants", "resnet8 by another initialisation, or not normalised", ("images",)),
    "resnet14_variant": ("bench.models.variants", "resnet14 by another initialisation, or not normalised", ("images",)),
    "resnet20_variant": ("bench.models.variants", "resnet20 by another initialisation, or not normalised", ("images",)),
    "vgg_variant": ("bench.models.variants", "vgg by another initialisation, or not normalised", ("images",)),
    "mlp_variant": ("bench.models.variants", "mlp by another initialisation, or not normalised", ("images",)),
}
"""Name -> module with the factory of that name, one line on it, and the kinds of data that it takes. Modules load when
a model is built."""


def architectures() -> dict[str, str]:
    """Name -> one line on it."""
    return {name: summary for name, (_, summary, _) in ARCHITECTURES.items()}


def check_kind(arch: str, kind: KindName) -> None:
    """Refuse data that an architecture of ours does not take; a user's own factory judges for itself.

    Raises:
        BenchError: it says what the architecture takes, and which architectures take these data.
    """
    if arch in ARCHITECTURES and kind not in ARCHITECTURES[arch][2]:
        able = ", ".join(name for name, (*_, kinds) in ARCHITECTURES.items() if kind in kinds)
        taken = " or ".join(ARCHITECTURES[arch][2])
        raise BenchError(f"architecture {arch!r} takes {taken}, and the data are {kind}; for {kind} there is {able}")


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
    """An untrained model on the CPU; it takes what `bench.device.as_input` gives, and gives logits [B, num_classes].

    `dataset` says what a model must know of its kind (`dataset.problem`): of images the shape, and the mean and
    standard deviation of `model.normalize`. The weights depend on `seed` alone, and torch's global generator is left
    as it was.

    A user's own `package.module:factory` is called as `factory(num_classes=..., shape=dataset.shape, **options)`: of
    images (C, H, W), of texts (L,), of a table (D,).

    Raises:
        BenchError: an unknown architecture or option, a wrong type, an architecture that does not take this kind of
            data, or a factory that gives no module.
    """
    import torch
    from torch import nn

    check(arch, options)
    problem = dataset.problem(num_classes)
    check_kind(arch, problem.kind)
    make = factory(arch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if arch in ARCHITECTURES:
            return make(problem, **options)
        try:
            model = make(num_classes=num_classes, shape=problem.shape, **options)
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
