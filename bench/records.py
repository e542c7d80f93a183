"""Records: what a finished cell leaves, one JSON line each, appended and flushed before anything else happens."""

from __future__ import annotations

import base64
import codecs
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from filelock import FileLock
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from bench import png
from bench.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCHEMA: Literal[1] = 1


OPTIONAL = ("weights", "curves", "pictures")
"""Fields that most records lack."""


def _checked_png(picture: str) -> str:
    png.size(base64.b64decode(picture, validate=True))
    return picture


class Examples(BaseModel):
    """Per-example correctness of one example set, as base64 of zlib of packed bits."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    n: int
    correct: str


class Record(BaseModel):
    """One finished cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_: Literal[1] = SCHEMA
    key: str
    suite: str
    profile: str
    scenario: str
    kind: str
    method: str
    label: str
    params: dict[str, Any]
    seed: int
    status: Literal["ok", "failed", "skipped"]
    reason: str | None = None
    metrics: dict[str, float] = {}
    examples: dict[str, Examples] = {}
    costs: dict[str, Any] = {}
    data: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    """Everything that the key was made of, so that a reader can tell why it was run again."""
    weights: dict[str, str] = {}
    """Role -> sha256 of the file of weights of each standard model that it stands on."""
    curves: dict[str, list[tuple[float, float]]] = {}
    """Metric -> (share of the budget spent, value) in the order of time."""
    pictures: dict[str, Annotated[str, AfterValidator(_checked_png)]] = {}
    """What is to be seen -> a PNG in base64."""

    def correct(self, examples: str = "test") -> np.ndarray:
        """bool [N]: which examples of the set were right. Raises KeyError if the record has no such set."""
        import numpy as np

        packed = self.examples[examples]
        bits = np.frombuffer(zlib.decompress(base64.b64decode(packed.correct)), dtype=np.uint8)
        return np.unpackbits(bits, count=packed.n).astype(bool)

    def line(self) -> str:
        """The record as its line of a results file; without curves and pictures where there are none."""
        content = self.model_dump(mode="json", exclude={name for name in OPTIONAL if not getattr(self, name)})
        content = {"schema": content.pop("schema_"), **content}
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def pack(correct: np.ndarray) -> Examples:
    """Packed bits of bool [N]."""
    import numpy as np

    bits = np.packbits(correct.astype(bool))
    return Examples(n=len(correct), correct=base64.b64encode(zlib.compress(bits.tobytes(), 9)).decode())


def parse(line: str | bytes, where: str) -> Record:
    """A line -> Record. Raises BenchError that names `where`, also for bytes that are no UTF-8."""
    try:
        content = json.loads(line if isinstance(line, str) else line.decode())
        content["schema_"] = content.pop("schema")
        return Record.model_validate(content)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise BenchError(f"{where}: not a record ({type(error).__name__}: {str(error).splitlines()[0]})") from error


class Store:
    """The records of one suite and profile: an append-only JSON Lines file that many runs may share."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"), timeout=60)

    def append(self, record: Record) -> None:
        """Write one record and flush it to the disk.

        A torn last line (a run was killed while writing) is first moved to `<file>.torn`.

        Raises:
            BenchError: the disk is full or the file cannot be written; what was there is untouched.
        """
        try:
            with self._lock():
                self._set_torn_line_aside()
                before = self.path.stat().st_size if self.path.exists() else 0
                try:
                    with self.path.open("ab") as file:
                        file.write(record.line().encode() + b"\n")
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    if self.path.exists():
                        os.truncate(self.path, before)
                    raise
        except OSError as error:
            raise BenchError(
                f"{self.path}: the record of {record.scenario}/{record.label} seed {record.seed} could not be written "
                f"({error.strerror or error}); earlier records are safe: make room and run the same command again"
            ) from error

    def _set_torn_line_aside(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self.path.with_suffix(".jsonl.torn").open("ab") as torn:
                torn.write(content[whole:] + b"\n")
                torn.flush()
                os.fsync(torn.fileno())
            os.truncate(self.path, whole)

    def torn(self) -> str | None:
        """A message, if the file ends in a torn line."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"\n"
        return (
            None if whole else f"{self.path}: the last line is torn (a run was killed while writing); it is set aside"
        )

    def read(self) -> list[Record]:
        """All whole records in file order. Raises BenchError for a line that is not one, naming file and line."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
        whole = lines[:-1]  # what follows the last line end is empty, or torn
        return [parse(line, f"{self.path}:{number}") for number, line in enumerate(whole, 1) if line.strip()]


def newest(records: Iterable[Record]) -> dict[tuple[str, str, int], Record]:
    """(scenario, label, seed) -> the record that was written last."""
    return {(r.scenario, r.label, r.seed): r for r in records}


def load_results(path: str | Path) -> pd.DataFrame:
    """Records as a frame, one row a record; metrics and costs are columns.

    Args:
        path: a `.jsonl` file, or a folder in which all such files are read.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    if not files:
        raise BenchError(f"no records under {path}: a results file ends in .jsonl")
    return as_frame(record for file in files for record in Store(file).read())


def as_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Records -> pandas, nested tables flattened to `costs.seconds` and the like, metrics under their own names."""
    import pandas as pd

    rows = []
    for record in records:
        content = record.model_dump(mode="json", exclude={"examples", "recipe", "metrics", "schema_", *OPTIONAL})
        row = {k: v for k, v in content.items() if not isinstance(v, Mapping) or k == "params"}
        row |= {f"{t}.{k}": v for t in ("costs", "data", "provenance") for k, v in content[t].items()}
        rows.append(row | record.metrics)
    return pd.DataFrame(rows)
