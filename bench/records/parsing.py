"""Lines of results files -> records. A line that cannot be true is told with its field, and never counted.

It must be what `Record.line` writes, to the last character. So a flipped bit, a key that stands twice or a number in
another spelling is no record, whatever the JSON reader makes of it. What a record says of itself must agree as well.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from bench.data.spec import DataSpec
from bench.errors import BenchError
from bench.records.record import SCHEMA, START, SUM_DIGITS, Record, key_of, sum_of

SHARES = ("accuracy", "agreement", "ece")
"""Metrics that lie between 0 and 1."""
TABLES = ("settings", "data", "zoo", "params")
"""Tables that every question has."""
TEXTS = {
    "provenance": ("started",),
    "data": ("name", "variant", "fingerprint"),
    "asked": ("fingerprint", "environment"),
}
"""Field -> what must stand in it as text."""
TEXTS_IF_ANY = ("commit", "machine", "device", "precision", "environment", "canary")
"""Parts of the provenance that are text where they are known."""
DEEPEST = 50
"""Tables within tables."""
BODY = len(START) + SUM_DIGITS + 2
"""Where what the checksum is over begins."""
LONGEST = 600
"""Characters of a message: a damaged line may hold anything, and is not to be printed whole."""


def parse(line: str, where: str) -> Record:
    """A line -> Record.

    Raises:
        BenchError: it names `where`, and the field that is at fault.
    """
    try:
        return _parse(line)
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"field {'.'.join(map(str, first['loc'])).removesuffix('_')}: {first['msg']}"
    except json.JSONDecodeError as error:
        fault = f"field {_field_at(line, error.pos)} or near it: no JSON ({error})"
    except RecursionError:
        fault = f"field {_field_at(line, _too_deep(line))}: nested too deeply for a record"
    except (BenchError, ValueError) as error:
        fault = str(error)
    message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in fault)
    raise BenchError(f"{where}: {message if len(message) < LONGEST else message[:LONGEST] + ' ...'}")


def _parse(line: str) -> Record:
    content = json.loads(line)
    if not isinstance(content, dict):
        raise BenchError("not a record: a line is one JSON object")
    _check_schema(content)
    if "sum" not in content:
        raise BenchError("field sum: there is none")
    told, body = content.pop("sum"), line[BODY:]
    content["schema_"] = content.pop("schema")
    for fault in _strange("", content):
        raise BenchError(fault)
    record = _lenient(content)
    if told != sum_of(body.encode("utf-8", "surrogateescape")):
        raise BenchError(f"field sum: the line was changed since it was written ({record.name})")
    for fault in faults(record):
        raise BenchError(f"{fault} ({record.name})")
    written = record.line()[BODY:]
    if written != body:
        alike = next((n for n, (a, b) in enumerate(zip(written, body, strict=False)) if a != b), len(body))
        field = _field_at(line, BODY + alike)
        raise BenchError(
            f"field {field} or near it: not as records are written, as with a key that stands twice ({record.name})"
        )
    return record


def _check_schema(content: Mapping[str, Any]) -> None:
    schema = content.get("schema")
    if type(schema) is not int or schema < 1:
        raise BenchError(f"field schema: {schema!r} is none; records of this version have {SCHEMA}")
    if schema < SCHEMA:
        raise BenchError(
            f"field schema: {schema}: a record of version 0.1, whose key does not say what it stands on; run it again"
        )
    if schema > SCHEMA:
        raise BenchError(f"field schema: {schema}: written by a later version of ktbench; upgrade to read it")


def _field_at(line: str, position: int) -> str:
    """The last key that is whole before a place in a line."""
    keys = re.findall(r'[{,]"(\w+)":', line[:position])
    return keys[-1] if keys else "sum"


def _too_deep(line: str) -> int:
    """Where a line is first nested deeper than any record."""
    depth = 0
    for found in re.finditer(r"[\[{}\]]", line):
        depth += 1 if found[0] in "[{" else -1
        if depth > DEEPEST:
            return found.start()
    return 0


def _strange(place: str, value: Any, depth: int = 0) -> Iterator[str]:
    """Numbers that are none, and text that is none, with their fields. Raises RecursionError."""
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(value, float) and not math.isfinite(value):
        yield f"field {place}: {value} is no number"
    elif isinstance(value, str) and not _is_text(value):
        yield f"field {place}: {value!r} is no text"
    elif isinstance(value, dict):
        for name, inner in value.items():
            if not _is_text(name):
                yield f"field {place or name}: the key {name!r} is no text"
            yield from _strange(f"{place}.{name}" if place else name, inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _strange(place, inner, depth + 1)


def _is_text(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _lenient(content: dict[str, Any]) -> Record:
    """Strict, but for JSON's having lists only where a curve's points are pairs."""
    curves = content.get("curves")
    if isinstance(curves, dict):
        content["curves"] = {
            name: [tuple(point) if isinstance(point, list) else point for point in points]
            if isinstance(points, list)
            else points
            for name, points in curves.items()
        }
    return Record.model_validate(content)


def faults(record: Record) -> Iterator[str]:
    """What cannot be true of a record whose line is whole, each with its field."""
    if record.key != key_of(record.asked):
        yield "field key: it is not the hash of the field asked"
    misshapen = list(_misshapen(record))
    yield from misshapen
    if not misshapen:
        yield from _unlike_asked(record)
    if record.status == "ok" and not record.metrics:
        yield "field metrics: there are none, and the status is ok"
    if record.status != "ok" and not record.reason:
        yield f"field reason: there is none, and the status is {record.status}"
    for name, value in record.metrics.items():
        if not math.isfinite(value):
            yield f"field metrics.{name}: {value} is no number"
        elif name in SHARES and not -1e-9 <= value <= 1 + 1e-9:
            yield f"field metrics.{name}: {value} is no share of 1"
    yield from _unlike_examples(record)
    yield from _no_costs(record)


def _misshapen(record: Record) -> Iterator[str]:
    """Parts of the open tables that boards look at, and that are of another type than those they expect."""
    for name in TABLES:
        if not isinstance(record.asked.get(name), dict):
            yield f"field asked.{name}: {record.asked.get(name)!r} is no table"
    zoo = record.asked.get("zoo")
    for role, model in zoo.items() if isinstance(zoo, dict) else ():
        if not isinstance(model, str):
            yield f"field asked.zoo.{role}: {model!r} is no text"
    if not isinstance(record.asked.get("search", {}), dict):
        yield f"field asked.search: {record.asked['search']!r} is no table"
    for field, names in TEXTS.items():
        for name in names:
            if not isinstance(getattr(record, field).get(name), str):
                yield f"field {field}.{name}: {getattr(record, field).get(name)!r} is no text"
    for name in TEXTS_IF_ANY:
        if not isinstance(record.provenance.get(name), str | None):
            yield f"field provenance.{name}: {record.provenance[name]!r} is no text"
    if not isinstance(record.provenance.get("versions", {}), dict):
        yield f"field provenance.versions: {record.provenance['versions']!r} is no table"
    yield from _no_date(record.provenance.get("started"))
    try:
        DataSpec.model_validate(record.asked.get("data"))
    except ValidationError as error:
        yield f"field asked.data: {error.errors()[0]['msg']}"


def _no_date(started: Any) -> Iterator[str]:
    try:
        datetime.fromisoformat(str(started))
    except ValueError:
        yield f"field provenance.started: {started!r} is no date"


def _no_costs(record: Record) -> Iterator[str]:
    """Costs are numbers from zero on; those of the models' samples are a table of such."""
    samples = record.costs.get("samples", {})
    told = {f"costs.{name}": value for name, value in record.costs.items() if name != "samples"}
    if isinstance(samples, dict):
        told |= {f"costs.samples.{name}": value for name, value in samples.items()}
    else:
        yield f"field costs.samples: {samples!r} is no table"
    if record.provenance.get("seconds") is not None:
        told["provenance.seconds"] = record.provenance["seconds"]
    for place, value in told.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            yield f"field {place}: {value!r} is no number from 0 on"


def _unlike_asked(record: Record) -> Iterator[str]:
    """What a record says of itself, and what it says it was asked; True is not 1 here."""
    asked, searched = record.asked, record.asked.get("search", {})
    pairs: list[tuple[str, Any, Any]] = [
        (name, getattr(record, name), asked.get(name)) for name in ("scenario", "kind", "method", "seed")
    ]
    given, wanted = ({k: v for k, v in p.items() if k not in searched} for p in (record.params, asked["params"]))
    pairs += [
        ("params", given, wanted),
        ("data.name", record.data["name"], asked["data"]["name"]),
        ("data.fingerprint", record.data["fingerprint"], asked["fingerprint"]),
    ]
    if "environment" in record.provenance:
        pairs.append(("provenance.environment", record.provenance["environment"], record.environment))
    for name, told, was_asked in pairs:
        if json.dumps(told, sort_keys=True) != json.dumps(was_asked, sort_keys=True):
            yield f"field {name}: {told!r}, and asked was {was_asked!r}"


def _unlike_examples(record: Record) -> Iterator[str]:
    """Example sets that cannot be unpacked, and accuracies that are not the means of their own."""
    for name in record.examples:
        try:
            bits = record.correct(name)
        except ValueError as error:
            yield f"field examples.{name}: {error}"
            continue
        metric = "accuracy" if name == "test" else f"{name}_accuracy"
        told = record.metrics.get(metric)
        if told is not None and len(bits) and abs(bits.mean() - told) > 1e-6:
            yield f"field metrics.{metric}: {told}, and the mean of examples.{name} is {bits.mean():.6f}"
