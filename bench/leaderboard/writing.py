"""A board as files, and as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.atomic import write_whole
from bench.leaderboard import markdown, measures, page, summary, table_csv, wording
from bench.leaderboard.board import Board, as_data


def write(board: Board, folder: Path) -> list[Path]:
    """Write `<profile>.md`, `.csv`, `.html`, `.claims.json` and `.summary.json`; each is whole or not there.

    Returns:
        The paths, in that order.

    Raises:
        BenchError: one of them cannot be written.
    """
    data = as_data(board)
    verdicts = {"schedule": data["schedule"], "claims": data["claims"]}
    claims = {key: data[key] for key in ("suite", "profile")} | _data(board) | verdicts
    contents = {
        "md": markdown.render(board),
        "csv": table_csv.render(board),
        "html": page.render(board),
        "claims.json": json.dumps(claims, indent=1, ensure_ascii=False) + "\n",
        "summary.json": summary.render(board),
    }
    paths = []
    for ending, content in contents.items():
        path = folder / f"{board.profile}.{ending}"
        write_whole(path, content.encode("utf-8", errors="replace"))  # half a letter of a record is no reason to fail
        paths.append(path)
    return paths


def _data(board: Board) -> dict[str, Any]:
    """What the verdicts stand on: the one data set of the suite, or which scenarios stand on which."""
    if len(board.data) > 1:
        return {"datasets": as_data(board)["data"]}
    return {"data": board.data[0].used, "stand_in_for": board.data[0].stand_in_for}


def claim_lines(board: Board) -> Iterator[str]:
    """One line a claim for the terminal, after the warnings where stand-ins were used."""
    yield from wording.stand_ins(board)
    for v in board.claims:
        metric = board.metric_of(v)
        said = f"{v.answer:<9} {v.id}: {v.better} over {v.worse} in {v.scenario}, {v.metric}{measures.unit(metric)}"
        remark = wording.remark(v)
        if v.difference is None:
            yield f"{said}: {remark}"
            continue
        told = wording.against(metric, v.difference).replace(measures.MINUS, "-")
        need = wording.needed(v, metric).replace(measures.MINUS, "-")
        numbers = f"needed {need}, seeds {v.seeds}, p {measures.p_value(v.p)}, q {measures.p_value(v.q)}"
        yield f"{said}: {told}, {numbers.replace('–', '-')}{f' ({remark})' if remark else ''}"
    if board.claims:
        yield wording.counts(board)
