"""Records: what a finished cell leaves, one line of JSON each with a checksum, and what makes a line unfit to count."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from bench import png
from bench.errors import BenchError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SCHEMA: Literal[2] = 2
OPTIONAL = ("weights", "curves", "pictures")
"""Fields that some records lack."""
MOST_EXAMPLES = 10**8
"""More answers than that are no example set but a damaged number."""
START = '{"sum":"'
SUM_DIGITS = 12
SHARES = ("accuracy", "agreement", "ece")
"""Metrics that lie between 0 and 1."""


def key_of(asked: Mapping[str, Any]) -> str:
    """20 hex digits over what was asked of a cell."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:20]


def _checked_png(picture: str) -> str:
    png.size(base64.b64decode(picture, validate=True))
    return picture


class Examples(BaseModel):
    """Per-example correctness of one example set, as base64 of zlib of packed bits."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    n: int
    correct: str

    def bits(self) -> np.ndarray:
        """bool [n]. Raises ValueError where the packed bits are not of that length."""
        import numpy as np

        if not 0 <= self.n <= MOST_EXAMPLES:
            raise ValueError(f"n = {self.n} is no number of examples")
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(base64.b64decode(self.correct, validate=True), self.n // 8 + 2)
        except (ValueError, zlib.error) as error:
            raise ValueError(f"they cannot be unpacked: {error}") from None
        if len(content) != -(-self.n // 8) or not unpacker.eof:
            raise ValueError(f"they are not {self.n} bits")
        bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8)).astype(bool)
        if bits[self.n :].any():
            raise ValueError(f"there are more than {self.n} bits")
        return bits[: self.n]


class Record(BaseModel):
    """One finished cell."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    schema_: Literal[2] = SCHEMA
    key: str
    suite: str
    profile: str
    scenario: str
    kind: str
    method: str
    label: str
    """The row's name when it was computed; boards go by the key, and show the name that the suite has for it now."""
    params: dict[str, Any]
    seed: int
    status: Literal["ok", "failed", "skipped"]
    reason: str | None = None
    metrics: dict[str, float] = {}
    examples: dict[str, Examples] = {}
    costs: dict[str, Any] = {}
    data: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    """Everything that the key is made of, so that a reader can tell what was asked."""
    digests: dict[str, str] = {}
    """Part of the code -> its digest when the cell was computed (`bench.digests`)."""
    weights: dict[str, str] = {}
    """Role -> sha256 of the file of weights of each standard model that it stands on."""
    curves: dict[str, list[tuple[float, float]]] = {}
    """Metric -> (share of the budget spent, value) in the order of time."""
    pictures: dict[str, Annotated[str, AfterValidator(_checked_png)]] = {}
    """What is to be seen -> a PNG in base64."""

    @property
    def name(self) -> str:
        """`scenario/label/seed`."""
        return f"{self.scenario}/{self.label}/{self.seed}"

    @property
    def environment(self) -> str:
        """The kind of numeric environment (`bench.environment`)."""
        return str(self.asked.get("environment", ""))

    @property
    def by_the_clock(self) -> bool:
        """Whether its budget was in seconds: such numbers hang on the machine, and no rerun gives them again."""
        return self.asked.get("settings", {}).get("seconds") is not None

    def correct(self, examples: str = "test") -> np.ndarray:
        """bool [N]: which examples of the set were right. Raises KeyError if the record has no such set."""
        return self.examples[examples].bits()

    def line(self) -> str:
        """The record as its line of a results file, checksum first; without optional fields that are empty."""
        content = self.model_dump(mode="json", exclude={name for name in OPTIONAL if not getattr(self, name)})
        content = {"schema": content.pop("schema_"), **content}
        body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return f'{START}{_sum(body[1:])}",{body[1:]}'


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:SUM_DIGITS]


def pack(correct: np.ndarray) -> Examples:
    """Packed bits of bool [N]."""
    import numpy as np

    bits = np.packbits(correct.astype(bool))
    return Examples(n=len(correct), correct=base64.b64encode(zlib.compress(bits.tobytes(), 9)).decode())


def parse(line: str, where: str) -> Record:
    """A line -> Record.

    Raises:
        BenchError: it names `where`, and the field that is at fault.
    """
    try:
        content = json.loads(line)
        if content["schema"] == 1:
            raise BenchError(
                f"{where}: a record of version 0.1, whose key does not say what it stands on; run it again"
            )
        told = content.pop("sum")
        body = line[len(START) + SUM_DIGITS + 2 :]
        content["schema_"] = content.pop("schema")
        record = _lenient(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BenchError(f"{where}: field {place}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BenchError(f"{where}: not a record ({type(error).__name__}: {str(error).splitlines()[0]})") from error
    if told != _sum(body):
        raise BenchError(f"{where}: field sum: the line was changed since it was written ({record.name})")
    for fault in faults(record):
        raise BenchError(f"{where}: {fault} ({record.name})")
    return record


def _lenient(content: dict[str, Any]) -> Record:
    """Strict, but for JSON's having lists only where a curve's points are pairs."""
    curves = content.get("curves", {})
    if isinstance(curves, dict):
        content["curves"] = {
            name: [tuple(point) if isinstance(point, list) else point for point in points]
            for name, points in curves.items()
            if isinstance(points, list)
        }
    return Record.model_validate(content)


def faults(record: Record) -> Iterator[str]:
    """What cannot be true of a record whose line is whole, each with its field."""
    if record.key != key_of(record.asked):
        yield "field key: it is not the hash of the field asked"
    for name in ("scenario", "kind", "method", "seed"):
        if record.asked.get(name) != getattr(record, name):
            yield f"field {name}: {getattr(record, name)!r}, and asked was {record.asked.get(name)!r}"
    searched = record.asked.get("search", {})
    given = [{k: v for k, v in p.items() if k not in searched} for p in (record.params, record.asked.get("params", {}))]
    if given[0] != given[1]:
        yield f"field params: {given[0]}, and asked was {given[1]}"
    if record.status == "ok" and not record.metrics:
        yield "field metrics: there are none, and the status is ok"
    if record.status != "ok" and not record.reason:
        yield f"field reason: there is none, and the status is {record.status}"
    for name, value in record.metrics.items():
        if not math.isfinite(value):
            yield f"field metrics.{name}: {value} is no number"
        elif name in SHARES and not -1e-9 <= value <= 1 + 1e-9:
            yield f"field metrics.{name}: {value} is no share of 1"
    yield from _unlike(record)
    seconds = record.provenance.get("seconds")
    if not (seconds is None or (isinstance(seconds, int | float) and 0 <= seconds < 1e9)):
        yield f"field provenance.seconds: {seconds!r} is no time"
    try:
        datetime.fromisoformat(str(record.provenance.get("started")))
    except ValueError:
        yield f"field provenance.started: {record.provenance.get('started')!r} is no date"


def _unlike(record: Record) -> Iterator[str]:
    """Example sets that cannot be unpacked, and an accuracy that is not the mean of its own."""
    for name in record.examples:
        try:
            bits = record.correct(name)
        except ValueError as error:
            yield f"field examples.{name}: {error}"
            continue
        told = record.metrics.get("accuracy")
        if name == "test" and told is not None and len(bits) and abs(bits.mean() - told) > 1e-6:
            yield f"field metrics.accuracy: {told}, and the mean of examples.test is {bits.mean():.6f}"


def conflicts(records: Iterable[Record]) -> list[str]:
    """Pairs of records that answer one question on one code and in one environment with different numbers.

    Those of boards of seconds are not among them: they depend on the machine's speed.
    """
    found: list[str] = []
    first: dict[tuple[Any, ...], Record] = {}
    for record in records:
        if record.status != "ok" or record.by_the_clock:
            continue
        stands_on = (record.key, *sorted(record.digests.items()), record.provenance.get("canary"))
        other = first.setdefault(stands_on, record)
        if (record.metrics, record.examples) != (other.metrics, other.examples):
            names = [name for name in record.metrics if record.metrics[name] != other.metrics.get(name)]
            found.append(
                f"two records of {record.name} with one key ({record.key}) and one code differ in "
                f"{', '.join(names) or 'their examples'}; the later one counts"
            )
    return found


def load_results(path: str | Path, *, history: bool = False) -> pd.DataFrame:
    """Records as a frame, one row a cell; metrics and costs are columns.

    Args:
        path: a `.jsonl` file, or a folder in which all such files are read.
        history: also records that others have replaced, or that their suite does not ask for any more.

    Raises:
        BenchError: there is no such file. A damaged line is a warning.
    """
    from bench.counting import counting
    from bench.store import Store, tell

    path = Path(path)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*.jsonl") if not p.name.endswith(".old.jsonl"))
    if not files:
        raise BenchError(f"no records under {path}: a results file ends in .jsonl")
    found: list[Record] = []
    for file in files:
        content = Store(file).content()
        tell(content.faults)
        found += content.records if history else counting(content.records)
    return as_frame(found)


def as_frame(records: Iterable[Record]) -> pd.DataFrame:
    """Records -> pandas, nested tables flattened to `costs.seconds` and the like, metrics under their own names."""
    import pandas as pd

    left_out = {"examples", "asked", "metrics", "schema_", "digests", *OPTIONAL}
    rows = []
    for record in records:
        content = record.model_dump(mode="json", exclude=left_out)
        row = {k: v for k, v in content.items() if not isinstance(v, Mapping) or k == "params"}
        row |= {f"{t}.{k}": v for t in ("costs", "data", "provenance") for k, v in content[t].items()}
        rows.append(row | record.metrics)
    return pd.DataFrame(rows)
