"""The forms in which things come back from a method's process: plain values, tensors, and networks as data.

No code comes back. A network is described by the names of its classes, which the judge looks up among those it knows
(torch's layers, the standard models, and what it granted), its settings, and its tensors. Whatever cannot be described
so is code, and stays where the method runs.
"""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import BadResult

KNOWN = ("torch.nn.modules.", "bench.models.")
"""Modules whose networks and layers everybody may return."""
FUNCTIONS = ("torch.nn.functional", "torch._C._nn")
"""Modules whose functions a layer may hold as a setting (an activation), beside torch's own of tensors."""
OF_TENSORS = "_VariableFunctionsClass."
"""What the names of those begin with. Others of `torch` load files or change what all share."""
BASE = frozenset(vars(nn.Module()))
"""What torch keeps in every module: the description has it in other words, or (hooks) it is code."""
HOOKS = tuple(name for name in BASE if name.endswith("hooks"))
LEFT_OUT = frozenset({"_flat_weight_refs"})
"""Of recurrent layers: made again from their weights."""
DEEPEST = 200
"""Levels of nesting."""


class NotPlainError(Exception):
    """A thing has no form; the message says where and what it is."""


@dataclass
class Packed:
    """A thing as data: a JSON text, and the tensors that it names by number."""

    text: str
    tensors: list[Tensor] = field(default_factory=list)
    """Dense, on the CPU, detached."""


def pack(thing: object, granted: Iterable[type[nn.Module]] = ()) -> Packed:
    """Describe a value, tensor, network, or list, tuple, set or dict of such.

    Args:
        thing: it.
        granted: classes of networks beside those of `KNOWN` that the other side can build.

    Raises:
        NotPlainError: something in it has no form.
    """
    packed = Packed("")
    form = _Writer(packed.tensors, {}, frozenset(granted)).form(thing, "result", 0)
    packed.text = json.dumps(form)
    return packed


def unpack(packed: Packed, granted: Iterable[type[nn.Module]] = ()) -> Any:
    """The thing again, in classes of this process.

    Args:
        packed: what came.
        granted: classes of networks beside those of `KNOWN` that may be built.

    Raises:
        BadResult: it is no description, or names a class that may not be built.
    """
    try:
        reader = _Reader(packed.tensors, {_name(kind): kind for kind in granted})
        return reader.thing(json.loads(packed.text))
    except BadResult:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, RuntimeError) as error:
        raise BadResult(f"what the method's process sent is no description of a result: {error!r}") from error


def classes_of(things: Iterable[object]) -> set[type[nn.Module]]:
    """The classes of all networks and layers in these things, lists and dicts opened."""
    found: set[type[nn.Module]] = set()
    for thing in things:
        if isinstance(thing, nn.Module):
            found |= {type(part) for part in thing.modules()}
        elif isinstance(thing, list | tuple):
            found |= classes_of(thing)
        elif isinstance(thing, Mapping):
            found |= classes_of(thing.values())
    return found


@dataclass
class _Writer:
    tensors: list[Tensor]
    places: dict[int, int]
    """id of a network or tensor -> its number, so that what is shared stays shared."""
    granted: frozenset[type[nn.Module]]

    def form(self, thing: object, where: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise NotPlainError(f"{where} is nested more than {DEEPEST} deep")
        if thing is None or isinstance(thing, bool | int | str):
            return thing
        if isinstance(thing, float):
            return thing if math.isfinite(thing) else {"float": repr(float(thing))}
        if isinstance(thing, Tensor):
            return self.tensor(thing)
        if isinstance(thing, nn.Module):
            return self.network(thing, where, depth)
        if isinstance(thing, torch.Size):
            return {"tuple": list(thing)}
        if type(thing) in (list, tuple, set, frozenset):
            items = [self.form(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(_ordered(thing))]
            return items if isinstance(thing, list) else {type(thing).__name__: items}
        if isinstance(thing, dict):
            return {"dict": [self.pair(key, value, where, depth + 1) for key, value in thing.items()]}
        if isinstance(thing, torch.dtype | torch.device):
            return {type(thing).__name__: str(thing)}
        if callable(thing) and _function(_name(thing)) is thing:
            return {"function": _name(thing)}
        raise NotPlainError(f"{where} is a {type(thing).__name__}, which is code and no data")

    def pair(self, key: object, value: object, where: str, depth: int) -> Any:
        return [self.form(key, where, depth), self.form(value, f"{where}[{key!r}]", depth)]

    def tensor(self, thing: Tensor) -> Any:
        if thing.layout != torch.strided:
            raise NotPlainError(f"a tensor is {thing.layout}; return it dense")
        if thing.is_quantized or thing.is_meta:
            raise NotPlainError(f"a tensor is {'quantised' if thing.is_quantized else 'without entries (meta)'}")
        number = self.places.get(id(thing))
        if number is None:
            number = self.places[id(thing)] = len(self.tensors)
            self.tensors.append(thing.detach().cpu().resolve_conj().resolve_neg())
        kind = "parameter" if isinstance(thing, nn.Parameter) else "tensor"
        return {kind: number, "grad": thing.requires_grad and thing.is_leaf}

    def network(self, thing: nn.Module, where: str, depth: int) -> Any:
        number = self.places.get(id(thing))
        if number is not None:
            return {"again": number}
        if type(thing) not in self.granted and _class(_name(type(thing))) is not type(thing):
            raise NotPlainError(
                f"{where} is a {_name(type(thing))}, which is no layer of torch, of bench.models or of what was granted"
            )
        if any(getattr(thing, name) for name in HOOKS):
            raise NotPlainError(f"{where} ({type(thing).__name__}) has hooks, which are code")
        self.places[id(thing)] = number = len(self.places)
        settings = {k: v for k, v in vars(thing).items() if k not in BASE | LEFT_OUT}
        return {
            "network": _name(type(thing)),
            "number": number,
            "training": thing.training,
            "settings": [[k, self.form(v, f"{where}.{k}", depth + 1)] for k, v in settings.items()],
            "parameters": [[k, None if p is None else self.tensor(p)] for k, p in thing._parameters.items()],
            "buffers": [[k, None if b is None else self.tensor(b)] for k, b in thing._buffers.items()],
            "fleeting": sorted(thing._non_persistent_buffers_set),
            "parts": [[k, self.form(m, f"{where}.{k}", depth + 1)] for k, m in thing._modules.items()],
        }


@dataclass
class _Reader:
    tensors: list[Tensor]
    granted: Mapping[str, type[nn.Module]]
    networks: dict[int, nn.Module] = field(default_factory=dict)
    seen: dict[int, Tensor] = field(default_factory=dict)

    def thing(self, form: Any) -> Any:
        if not isinstance(form, dict):
            return [self.thing(item) for item in form] if isinstance(form, list) else form
        if "network" in form:
            return self.network(form)
        if "again" in form:
            return self.networks[form["again"]]
        if "tensor" in form or "parameter" in form:
            return self.tensor(form)
        [(kind, told)] = form.items()
        if kind in ("tuple", "set", "frozenset"):
            return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](self.thing(item) for item in told)
        if kind == "dict":
            return {self.thing(key): self.thing(value) for key, value in told}
        if kind == "float":
            return float(told)
        if kind == "device":
            return torch.device("cpu")
        found = _function(told) if kind == "function" else getattr(torch, told.removeprefix("torch."), None)
        if kind not in ("function", "dtype") or found is None or (kind == "dtype") != isinstance(found, torch.dtype):
            raise BadResult(f"a result names {told!r}, which is no {kind} of torch")
        return found

    def tensor(self, form: Mapping[str, Any]) -> Tensor:
        number = form["parameter"] if "parameter" in form else form["tensor"]
        if number not in self.seen:
            value = self.tensors[number]
            grad = bool(form["grad"])
            self.seen[number] = nn.Parameter(value, grad) if "parameter" in form else value.requires_grad_(grad)
        return self.seen[number]

    def network(self, form: Mapping[str, Any]) -> nn.Module:
        name = form["network"]
        kind = self.granted.get(name) or _class(name)
        if kind is None:
            raise BadResult(f"a result is a {name}, which is no layer of torch, of bench.models or of what was granted")
        made = kind.__new__(kind)
        nn.Module.__init__(made)
        self.networks[form["number"]] = made
        settings = {str(key): self.thing(value) for key, value in form["settings"]}
        if shadowed := sorted(key for key in settings if callable(getattr(kind, key, None))):
            raise BadResult(f"a result replaces {name}.{shadowed[0]}, which is code")
        vars(made).update({key: value for key, value in settings.items() if key not in BASE})
        made._parameters.update({key: None if p is None else self.tensor(p) for key, p in form["parameters"]})
        made._buffers.update({key: None if b is None else self.tensor(b) for key, b in form["buffers"]})
        made._non_persistent_buffers_set.update(form["fleeting"])
        made._modules.update({key: self.thing(part) for key, part in form["parts"]})
        if not all(part is None or isinstance(part, nn.Module) for part in made._modules.values()):
            raise BadResult(f"a part of {name} is no network")
        made.training = bool(form["training"])
        if isinstance(made, nn.RNNBase):
            made._init_flat_weights()
        return made


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', None)}:{getattr(thing, '__qualname__', None)}"


def _class(name: str) -> type[nn.Module] | None:
    """A class of networks that is known by this name, or None."""
    module, _, path = name.partition(":")
    if not module.startswith(KNOWN):
        return None
    try:
        found = vars(importlib.import_module(module)).get(path)
    except ImportError:
        return None
    return found if isinstance(found, type) and issubclass(found, nn.Module) else None


def _function(name: str) -> Any:
    """A function that is known by this name, or None."""
    module, _, path = name.partition(":")
    if module == "torch" and path.startswith(OF_TENSORS):
        found = getattr(torch._C._VariableFunctions, path.removeprefix(OF_TENSORS), None)
    else:
        found = vars(sys.modules[module]).get(path) if module in FUNCTIONS else None
    return found if callable(found) and not isinstance(found, type) else None


def _ordered(thing: Any) -> Any:
    """The items of a set in an order that does not change from process to process."""
    return sorted(thing, key=repr) if isinstance(thing, set | frozenset) else thing
