"""What a standard model is called: by what was asked for, and by the code that makes it. Nothing is loaded here."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from bench.digests import walk
from bench.errors import ZooError
from bench.models import module_of
from bench.models.spec import ModelSpec

MAKING = (
    ("bench.models.zoo", "Zoo._train"),
    ("bench.models.zoo", "Zoo._start"),
    ("bench.data.loading", "load"),
    ("bench.device", "Device"),
)
"""Where the code starts that turns a spec into weights."""
KNOWN = (
    ("bench.data.identity", "identify"),
    ("bench.data.catalogue", "SOURCES"),
    ("bench.models", "ARCHITECTURES"),
    ("bench.models.keys", "place"),
)
"""What it looks up: the fingerprint in a spec says what the data are, the architecture's factory counts itself, and how
a model is called changes no weight."""


def asked(spec: ModelSpec) -> str:
    """16 hex digits over a spec: equal where the same network is asked for, whatever code makes it.

    Of the data spec, the number of test images and the name of the stand-in do not count.

    Raises:
        ZooError: a weight file of the user's is missing.
    """
    told: dict[str, Any] = {"arch": spec.arch, "options": spec.options, "num_classes": spec.num_classes}
    if spec.weights is not None:
        told["sha256"] = user_sha256(spec)
    else:
        told |= spec.model_dump(mode="json", exclude={"init", "weights", "weights_sha256", "data", "data_code"})
        told["data"] = spec.data.model_dump(mode="json", exclude={"test", "offline"})
        told["init"] = asked(spec.init) if spec.init else None
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def place(spec: ModelSpec) -> str:
    """16 hex digits that change with everything that can change the weights: the model's name in the zoo."""
    if spec.weights is not None:
        return asked(spec)
    made_by = [walk.digest((*MAKING, factory_root(arch)), KNOWN).value for arch in archs_of(spec)]
    told = [asked(spec), *made_by, spec.data_code]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def archs_of(spec: ModelSpec) -> tuple[str, ...]:
    """The architectures of a model and of those that it starts from."""
    return (spec.arch, *(archs_of(spec.init) if spec.init else ()))


def factory_root(arch: str) -> walk.Root:
    """Where the code of an architecture starts: its factory."""
    return module_of(arch), arch.rpartition(":")[2]


def user_sha256(spec: ModelSpec) -> str:
    """The hash of a weight file of the user's own.

    Raises:
        ZooError: it is not there, or is not the one that the spec names.
    """
    path = Path(spec.weights or "")
    if not path.is_file():
        raise ZooError(f"{spec.describe()}: its weights {path} are not there; paths are relative to the suite")
    found = _hash(path, path.stat().st_mtime_ns)
    if spec.weights_sha256 not in (None, found):
        raise ZooError(f"{spec.describe()}: {path} has sha256 {found}, the spec says {spec.weights_sha256}")
    return found


@cache
def _hash(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
