"""The zoo: trained standard models, kept by what they are.

    <root>/<architecture>/<key>.safetensors     the weights
    <root>/<architecture>/<key>.json            what they are: spec, seconds, accuracies, hash, versions

The key is a hash of the spec and of the source code that turns it into weights, so nothing stale is ever found.
"""

from __future__ import annotations

import json
import platform
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from torch import Tensor, nn

from bench import environment
from bench.atomic import write_whole
from bench.clock import clock
from bench.data import loading
from bench.data.spec import Dataset, Split, identity_of
from bench.device import Device, as_input
from bench.draws import seed_of
from bench.errors import BenchError, ZooError
from bench.models import build, keys, make
from bench.models.files import read_user_weights, serialise, sha256
from bench.models.spec import ModelSpec

JUDGED_ON = 2000
"""The accuracies in the JSON are those on at most so many rows: they inform, and select nothing."""


@dataclass(frozen=True)
class Entry:
    """One trained model on disk."""

    key: str
    weights: Path
    bytes: int
    about: dict[str, Any]
    """The content of the JSON file."""


class Zoo:
    """Loads standard models, and trains those that are not there yet: each once, even if several runs ask at once."""

    def __init__(
        self, root: Path, device: Device, progress: Callable[[ModelSpec, int, int], None] | None = None
    ) -> None:
        """`progress(spec, step, steps)` is called while a model is trained."""
        self.root = Path(root)
        self.device = device
        self.progress = progress

    def load(self, spec: ModelSpec, dataset: Dataset) -> nn.Module:
        """A fresh copy of a standard model, on the CPU in eval mode; trained now if it is not there.

        Raises:
            ZooError: it can be neither loaded nor trained.
            BenchError: it cannot be stored.
            BenchError: the architecture or one of its options is unknown.
        """
        model = build(spec.arch, spec.options, spec.num_classes, dataset, seed=0)
        make.load_state(model, self._state(spec, dataset), f"{spec.describe()}, {spec.weights or self._file(spec)}")
        return model.eval()

    def has(self, spec: ModelSpec) -> bool:
        """Whether `load` would train nothing (whether the file is intact shows when it is read)."""
        if spec.weights is not None:
            return Path(spec.weights).is_file()
        return self._file(spec).is_file() and self._file(spec).with_suffix(".json").is_file()

    def sha256(self, spec: ModelSpec) -> str:
        """The hash of the file of weights that `load` reads.

        Raises:
            ZooError: it is not there.
        """
        if spec.weights is not None:
            return keys.user_sha256(spec)
        about = _read_about(self._file(spec).with_suffix(".json"))
        if about is None:
            raise ZooError(f"{spec.describe()}: {self._file(spec)} is gone")
        return str(about["sha256"])

    def seconds(self, spec: ModelSpec) -> float | None:
        """How long training this model took, where it is recorded."""
        about = _read_about(self._file(spec).with_suffix(".json")) if spec.weights is None else None
        return None if about is None else about["seconds"]

    def entries(self) -> list[Entry]:
        """All models on disk, by path."""
        found = []
        for path in sorted(self.root.glob("*/*.safetensors")):
            about = _read_about(path.with_suffix(".json"))
            if about is not None:
                found.append(Entry(path.stem, path, path.stat().st_size, about))
        return found

    def prune(self, keep: Collection[str]) -> list[Path]:
        """Remove every model whose key is not in `keep`, and what an interrupted run left; the weight files removed.

        A model that another run is training now is left alone.
        """
        removed = []
        files = sorted(path for path in self.root.glob("*/*") if path.is_file())
        for folder, key in sorted({(path.parent, path.name.partition(".")[0]) for path in files}):
            lock = FileLock(folder / f"{key}.lock", timeout=0)
            if key in keep:
                continue
            try:
                with lock:
                    for path in folder.glob(f"{key}.*"):
                        path.unlink(missing_ok=True)
                        removed += [path] if path.suffix == ".safetensors" else []
            except Timeout:
                continue
        return removed

    def _file(self, spec: ModelSpec) -> Path:
        folder = re.sub(r"[^\w.-]+", "-", spec.arch)
        return self.root / folder / f"{keys.place(spec)}.safetensors"

    def _state(self, spec: ModelSpec, dataset: Dataset) -> dict[str, Tensor]:
        if spec.weights is not None:
            keys.user_sha256(spec)
            return read_user_weights(Path(spec.weights))
        path = self._file(spec)
        state = _read(path)
        if state is not None:
            return state
        start = None if spec.init is None else self._start(spec, spec.init, dataset)
        with _alone(path):
            state = _read(path)  # another run may have trained it while this one waited
            return self._train(spec, dataset, start, path) if state is None else state

    def _start(self, spec: ModelSpec, init: ModelSpec, dataset: Dataset) -> dict[str, Tensor]:
        """The weights that training starts from, themselves trained if need be, on their own data."""
        return self._state(init, dataset if init.data == spec.data else loading.load(init.data))

    def _train(
        self, spec: ModelSpec, dataset: Dataset, start: dict[str, Tensor] | None, path: Path
    ) -> dict[str, Tensor]:
        if spec.fingerprint != dataset.fingerprint:
            raise ZooError(
                f"{spec.describe()} is to be trained on data of fingerprint {spec.fingerprint}, "
                f"and {dataset.variant} of fingerprint {dataset.fingerprint} was given"
            )
        progress = self.progress
        drawn = seed_of("zoo", "init", spec.init_role or spec.role, spec.seed)
        model = make.initialise(spec, dataset, seed=drawn, start=start)
        split = make.training_rows(spec, dataset)
        now = clock(self.device.torch.type == "cuda")
        began = now()
        told = None if progress is None else partial(progress, spec)
        try:
            make.train(
                model, spec, split, self.device, seed=seed_of("zoo", "train", spec.role, spec.seed), progress=told
            )
        except BenchError as error:
            raise ZooError(f"{spec.describe()} cannot be trained: {error}") from error
        seconds = now() - began
        content = serialise(model.state_dict())
        about = {
            "spec": spec.model_dump(mode="json"),
            "seconds": seconds,
            "train_accuracy": _accuracy(model, split, self.device),
            "validation_accuracy": _accuracy(model, _seen(spec, split, dataset.validation), self.device),
            "train_images": len(split),
            "sha256": sha256(content),
            "data": identity_of(dataset),
            "device": self.device.name,
            "environment": environment.kind(self.device.name),
            "canary": environment.canary(),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }
        write_whole(path, content)
        write_whole(path.with_suffix(".json"), (json.dumps(about, indent=2, sort_keys=True) + "\n").encode())
        return parse_safetensors(content)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a weight file, waiting for whoever has it. A run that dies gives it up."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise ZooError(f"the zoo cannot write to {path.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _read(path: Path) -> dict[str, Tensor] | None:
    """The weights, or None where they are not (whole) on disk. A spoilt file is reported, then treated as absent."""
    if not path.is_file() and not path.with_suffix(".json").is_file():
        return None
    about = _read_about(path.with_suffix(".json"))
    try:
        content = path.read_bytes()
        if about is None or about["sha256"] != sha256(content):
            raise ValueError("its content is not what its JSON file says")
        return parse_safetensors(content)
    except (OSError, ValueError, SafetensorError) as error:
        warnings.warn(f"zoo: {path} is truncated or altered ({error}); the model is trained again", stacklevel=2)
        return None


def _read_about(path: Path) -> dict[str, Any] | None:
    """The JSON beside a weight file; None where it is missing or not ours."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and {"sha256", "seconds", "spec"} <= about.keys() else None


def _seen(spec: ModelSpec, trained: Split, validation: Split) -> Split:
    """The validation rows of the classes that a model was trained on, labelled as its head counts them."""
    labels = make.relabel(spec, validation.labels)
    rows = torch.isin(labels, trained.labels.unique())
    return Split(validation.inputs[rows], labels[rows])


@torch.inference_mode()
def _accuracy(model: nn.Module, split: Split, device: Device) -> float | None:
    """Share of the rows (of `JUDGED_ON`, evenly spaced, where there are more) that a model gets right."""
    if len(split) == 0:
        return None
    stride = -(-len(split) // JUDGED_ON)
    inputs, labels = split.inputs[::stride], split.labels[::stride]
    right = 0
    for x, y in zip(inputs.split(500), labels.split(500), strict=True):
        right += int((model(as_input(x.to(device.torch))).argmax(1).cpu() == y.cpu()).sum())
    return right / len(labels)
