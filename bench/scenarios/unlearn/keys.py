"""The keys that each request of unlearning takes, held against each other, the data set's classes and its rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data import select
from bench.errors import BenchError, SuiteError
from bench.lab import Setup
from bench.scenarios.unlearn.requests import Request, RequestSettings


@dataclass(frozen=True)
class Keys:
    """The keys of a suite that a request needs, and those that it knows besides."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()


KEYS: Mapping[str, Keys] = {
    "class": Keys(("forget_class",)),
    "random": Keys(("share",)),
    "subclass": Keys(("forget_class", "coarse")),
    "poison": Keys(("share", "target"), ("trigger", "known")),
}
OWN = tuple(sorted({name for keys in KEYS.values() for name in (*keys.needs, *keys.may)}))
"""All keys that belong to some request and not to every one."""


def check_keys(request: str, given: Collection[str]) -> None:
    """Refuse a request that lacks a key of its own, or has one of another's.

    Args:
        request: a key of `KEYS`.
        given: the names out of `OWN` whose value is not the default.

    Raises:
        ValueError: says what it takes, what is missing and what is too much.
    """
    keys = KEYS[request]
    missing = [name for name in keys.needs if name not in given]
    surplus = [name for name in OWN if name in given and name not in (*keys.needs, *keys.may)]
    if missing or surplus:
        told = [f"request {request!r} takes {' and '.join(keys.needs)}"]
        told += [f"and no {name}" for name in surplus]
        told += [f"{name} is missing" for name in missing]
        raise ValueError(", ".join(told))


def check_coarse(coarse: Sequence[Sequence[int]], forget_class: int) -> None:
    """Refuse lists of classes that name one twice, or that leave nothing beside the class to be forgotten.

    Raises:
        ValueError: says which.
    """
    named = [label for group in coarse for label in group]
    twice = sorted({label for label in named if named.count(label) > 1})
    if twice:
        raise ValueError(f"coarse names class {twice[0]} twice; every class is in one list")
    if len(coarse) < 2 or not all(coarse):
        raise ValueError("coarse needs two lists or more, none of them empty")
    if any(list(group) == [forget_class] for group in coarse):
        raise ValueError(
            f"forget_class = {forget_class} is alone in its list of coarse: forgetting it is request 'class'; "
            "give it a sibling"
        )


def check_request(settings: RequestSettings, setup: Setup) -> None:
    """Hold a request against what is known of the data set before it is read.

    Raises:
        SuiteError: a class that is not there, coarse classes that leave one out, or a share of nothing.
    """
    for key, label in (("forget_class", settings.forget_class), ("target", settings.target)):
        if label is not None and label >= setup.num_classes:
            raise SuiteError(f"{key} = {label}: the data set has {setup.num_classes} classes, from 0")
    if settings.coarse is not None:
        named = {label for group in settings.coarse for label in group}
        for label in sorted(named ^ set(range(setup.num_classes))):
            told = "is in no list" if label < setup.num_classes else "is in a list and not in the data set"
            raise SuiteError(f"coarse: class {label} {told}; its lists part the classes 0 to {setup.num_classes - 1}")
    if settings.request == "random" and setup.data.train is not None:
        each = round(settings.fraction * (setup.data.train // setup.num_classes))  # or fewer, of a class that is small
        share = (settings.share or 0) * (2 if settings.shadows else 1)
        if round(share * each) == 0:
            raise SuiteError(_too_small(settings, f"of a class of {each} rows", each))


def check_shares(settings: RequestSettings, request: Request, forget: Tensor, labels: Tensor) -> None:
    """Refuse a share so small that a class gives no row.

    Args:
        settings: of the scenario.
        request: what it asks for.
        forget: the rows to be forgotten, int64 [F].
        labels: of the whole training split, int64 [N].

    Raises:
        BenchError: says which class, and which share would do.
    """
    if settings.request != "random":
        return
    there = torch.bincount(labels[select(request.known, labels)])
    drawn = torch.bincount(labels[forget], minlength=len(there))
    for label in ((there > 0) & (drawn == 0)).nonzero().flatten().tolist():
        each = int(there[label])
        raise BenchError(_too_small(settings, f"of class {label}, which has {each} rows", each))


def _too_small(settings: RequestSettings, whose: str, each: int) -> str:
    least = 0.5 / each / (2 if settings.shadows else 1) if each else 1.0
    return (
        f"share = {settings.share}: {whose}, none would be forgotten; a share above {least:.3g} takes one "
        "(shares are rounded class by class), or set data.train or fraction higher"
    )
