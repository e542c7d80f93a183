"""What a merged checkpoint is on disk: one file or a folder of shards, what is copied along, and the record beside it.

A folder is made under a name that the request gives, beside the place where it is to be. A run that is asked the same
again finds the shards that an earlier one has finished.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from bench.atomic import write_whole
from bench.checkpoints.dtypes import SIZES
from bench.checkpoints.reading import INDEX, Checkpoint
from bench.checkpoints.writing import SafetensorsWriter
from bench.errors import CheckpointError

ALONG = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".py")
"""How the names of configs, tokenizers and of models' own code end."""
NOT_ALONG = (INDEX, "trainer_state.json", "_results.json", "merge.json")
"""And those of what belongs to other weights, or to their training."""
WEIGHTS = "model.safetensors"
METADATA = "ktbench.merge"
"""Entry of a file's header that holds the record."""

Layout = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name -> dtype as safetensors calls it, and shape."""


@dataclass(frozen=True)
class Output:
    """The files of a merge in the making."""

    folder: Path
    """Where they are made."""
    shards: Mapping[str, Layout]
    """File -> its tensors."""
    writers: Mapping[str, SafetensorsWriter]
    """Tensor -> what writes it; without those of shards that are there already."""

    def write(self, name: str, value: Tensor, row: int = 0) -> None:
        """Write a tensor, or rows of it, unless its shard is there already."""
        if name in self.writers:
            self.writers[name].write(name, value, row)


def is_file(out: Path) -> bool:
    """Whether one file was asked for; anything else is a folder."""
    return out.suffix == ".safetensors"


def shards(out: Path, first: Checkpoint, layout: Layout) -> dict[str, Layout]:
    """File -> its tensors: as the first checkpoint is split, or all in one."""
    if is_file(out) or not first.sharded:
        return {out.name if is_file(out) else WEIGHTS: layout}
    split: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {}
    for name, about in layout.items():
        file = first.tensors[name].file if name in first.tensors else first.files[-1]
        split.setdefault(_as_safetensors(file), {})[name] = about
    return dict(sorted(split.items()))


def _as_safetensors(file: Path) -> str:
    return file.with_suffix(".safetensors").name.replace("pytorch_model", "model")


@contextmanager
def output(
    out: Path, first: Checkpoint, layout: Layout, about: Mapping[str, Any], key: str, dtype: str | None
) -> Iterator[Output]:
    """Write files within, and have them in their place at the end; nothing is left of what fails but whole shards.

    Args:
        out: a file that ends in .safetensors, or a folder.
        first: the checkpoint whose shards, config and tokenizer the result takes over.
        layout: all tensors of the result.
        about: the record.
        key: names the request.
        dtype: of all weights, where it is not that of the first checkpoint's.
    """
    alone = is_file(out)
    folder = out.parent if alone else out.with_name(f".{out.name[:100]}.{key[:16]}.part")
    split = shards(out, first, layout)
    metadata = {"format": "pt", METADATA: json.dumps(about)}
    missing = {file: held for file, held in split.items() if alone or not (folder / file).is_file()}
    opened: list[SafetensorsWriter] = []
    try:
        writers: dict[str, SafetensorsWriter] = {}
        for file, held in missing.items():
            opened.append(SafetensorsWriter(folder / file, held, metadata))
            writers |= dict.fromkeys(held, opened[-1])
        yield Output(folder, split, writers)
        record = (json.dumps(about, indent=1) + "\n").encode()
        if alone:
            write_whole(record_of(out), record)
            return
        if first.folder is not None:
            _copy_along(first.folder, folder, dtype)
        if len(split) > 1:
            _write_index(folder / (WEIGHTS + INDEX), split)
        write_whole(folder / "merge.json", record)
        folder.replace(out)
    except OSError as error:
        raise CheckpointError(f"cannot write {out}: {error.strerror or error}; choose another place") from error
    finally:
        for writer in opened:
            writer.discard()
        if not alone:
            with suppress(OSError):
                folder.rmdir()  # where no shard is finished


def record_of(out: Path) -> Path:
    """Where the record of a merge stands: beside a file, inside of a folder."""
    return out.with_name(f"{out.stem}.merge.json") if is_file(out) else out / "merge.json"


def _copy_along(source: Path, folder: Path, dtype: str | None) -> None:
    """Config, tokenizer and code of a Hugging Face folder; the config says the dtype, if that is another now."""
    for file in sorted(source.iterdir()):
        if file.is_file() and file.name.endswith(ALONG) and not file.name.endswith(NOT_ALONG):
            shutil.copyfile(file, folder / file.name)
    config = folder / "config.json"
    if dtype is None or not config.is_file():
        return
    with suppress(ValueError, AttributeError):  # not a config as Hugging Face writes it
        table = json.loads(config.read_text(encoding="utf-8"))
        table |= {key: dtype for key in ("dtype", "torch_dtype") if key in table}
        write_whole(config, (json.dumps(table, indent=2) + "\n").encode())


def _write_index(path: Path, split: Mapping[str, Layout]) -> None:
    size = sum(SIZES[dtype] * math.prod(shape) for held in split.values() for dtype, shape in held.values())
    table = {name: file for file, held in split.items() for name in held}
    text = json.dumps({"metadata": {"total_size": size}, "weight_map": dict(sorted(table.items()))}, indent=2)
    write_whole(path, (text + "\n").encode())
