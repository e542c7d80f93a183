"""What a run did."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.records.record import Record
from bench.records.store import Store
from bench.running.plan import Plan


@dataclass
class Outcome:
    """`records` holds one record a cell of the plan, reused or new."""

    plan: Plan
    store: Store
    records: dict[str, Record] = field(default_factory=dict)
    reused: int = 0
    ran: int = 0

    @property
    def failed(self) -> list[Record]:
        """Records of cells that failed."""
        return [r for r in self.records.values() if r.status == "failed"]
