"""Records: what a finished cell leaves, one line of JSON with a checksum. `bench.records.parsing` reads lines."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

from bench.records import png

if TYPE_CHECKING:
    import numpy as np

SCHEMA: Literal[2] = 2
PARTS = ("harness", "prepare", "score", "method")
"""Of the code that a cell stands on: each has a digest of its own in the record."""
OPTIONAL = ("weights", "curves", "pictures", "noticed")
"""Fields that some records lack."""
MOST_EXAMPLES = 10**8
"""More answers than that are no example set but a damaged number."""
NAMED = 5
"""Metrics that a message lists."""
START = '{"sum":"'
SUM_DIGITS = 12


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
        if len(content) != -(-self.n // 8) or not unpacker.eof or unpacker.unused_data:
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
    """Part of the code -> its digest when the cell was computed (`PARTS`; `bench.running.cell_code` says of what)."""
    weights: dict[str, str] = {}
    """Role -> sha256 of the file of weights of each standard model that it stands on."""
    curves: dict[str, list[tuple[float, float]]] = {}
    """Metric -> (share of the budget spent, value) in the order of time."""
    pictures: dict[str, Annotated[str, AfterValidator(_checked_png)]] = {}
    """What is to be seen -> a PNG in base64."""
    noticed: list[str] = []
    """What keeps the row from being ranked (`bench.running.noticing`)."""

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
        return f'{START}{sum_of(body[1:].encode())}",{body[1:]}'


def sum_of(content: bytes) -> str:
    """The checksum of a line: 12 hex digits over all that follows it."""
    return hashlib.sha256(content).hexdigest()[:SUM_DIGITS]


def pack(correct: np.ndarray) -> Examples:
    """Packed bits of bool [N]."""
    import numpy as np

    bits = np.packbits(correct.astype(bool))
    return Examples(n=len(correct), correct=base64.b64encode(zlib.compress(bits.tobytes(), 9)).decode())


def asked_differently(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """What differs between two tables of what was asked, by path: `settings.steps (400 -> 800)`."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from asked_differently(old.get(key), new.get(key), f"{path}.{key}".strip("."))
    elif old != new:
        yield f"{path} ({old!r} -> {new!r})"


def same_numbers(one: Record, other: Record) -> bool:
    """Whether two records have the same metrics and the same answers, to the last digit."""
    return not _differing(one, other)


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
        if differing := _differing(record, other):
            names = [*differing[:NAMED], *([f"{len(differing) - NAMED} more"] if len(differing) > NAMED else [])]
            found.append(
                f"two records of {record.name} with one key ({record.key}) and one code differ in "
                f"{', '.join(names)}; the later one counts"
            )
    return found


def _differing(one: Record, other: Record) -> list[str]:
    """Names of the metrics, and of the example sets, in which two records are not equal."""
    names = dict.fromkeys([*one.metrics, *other.metrics])
    sets = dict.fromkeys([*one.examples, *other.examples])
    return [name for name in names if one.metrics.get(name) != other.metrics.get(name)] + [
        f"examples.{name}" for name in sets if not _same_answers(one.examples.get(name), other.examples.get(name))
    ]


def _same_answers(one: Examples | None, other: Examples | None) -> bool:
    """Whether two sets hold the same bits, however they were compressed."""
    if one is None or other is None or one == other:
        return one is other or one == other
    return one.n == other.n and bool((one.bits() == other.bits()).all())
