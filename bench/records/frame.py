"""Results files -> a pandas frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.records.counting import one_a_cell
from bench.records.record import OPTIONAL, Record, conflicts
from bench.records.store import NO_RECORDS, Store, tell

if TYPE_CHECKING:
    import pandas as pd


def load_results(path: str | Path, *, history: bool = False) -> pd.DataFrame:
    """Records as a frame, one row a cell, as boards show them; metrics and costs are columns.

    A frame knows no suite: labels are those of the day when a cell was computed, and rows that a suite has dropped
    since are still there.

    Args:
        path: a `.jsonl` file, or a folder in which all such files are read; archives and looks are not.
        history: all records of the files, also those that others have replaced.

    Raises:
        BenchError: there is no such file. A damaged line is a warning, and so are two records that contradict
            each other.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*.jsonl") if not p.name.endswith(NO_RECORDS))
    if not files:
        raise BenchError(f"no records under {path}: a results file ends in .jsonl")
    found: list[Record] = []
    for file in files:
        content = Store(file).content()
        tell([*content.faults, *(f"{file}: {pair}" for pair in conflicts(content.records))])
        found += content.records if history else one_a_cell(content.records)
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
