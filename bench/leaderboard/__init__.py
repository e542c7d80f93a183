"""Leaderboards and verdicts out of records alone: no model, no data set, no clock.

`build(suite, records)` gives a `Board`, plain data (`as_data` makes it JSON-ready); `write(board, folder)` writes it as
`<profile>.md`, `.csv`, `.html`, `.claims.json` and `.summary.json`; `write_front(results)` writes the front page of all
suites, and a page for each method, from these summaries. Equal records give equal bytes, in whatever order they lie.
"""

from bench.leaderboard.board import Board, as_data
from bench.leaderboard.building import build
from bench.leaderboard.folder import write_front
from bench.leaderboard.writing import claim_lines, write

__all__ = ["Board", "as_data", "build", "claim_lines", "write", "write_front"]
