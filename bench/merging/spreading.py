"""Pieces of a merge: which there are, and their working through on all cores within a bound of memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from bench.checkpoints.comparing import row_blocks
from bench.checkpoints.reading import Checkpoint
from bench.scenarios.merge.in_pieces import Of

AT_ONCE = 2**21
"""Entries of a piece, where entries count one by one; a row of a tensor may have more."""
ALWAYS = 2**23
"""Entries that may be worked on at once whatever the largest piece has."""


@dataclass(frozen=True)
class Piece:
    """Tensors, or rows of one, that are merged together."""

    names: tuple[str, ...]
    rows: slice | None
    entries: int


def pieces(first: Checkpoint, names: Sequence[str], of: Of) -> list[Piece]:
    """The pieces of these tensors, shard by shard, in the order of names."""
    if of == "network":
        return [Piece(tuple(names), None, sum(first.tensors[name].entries for name in names))] if names else []
    found = []
    for name in sorted(names, key=lambda name: (first.tensors[name].file, name)):
        stored = first.tensors[name]
        if of == "tensors" or stored.entries <= AT_ONCE:
            found.append(Piece((name,), None, stored.entries))
            continue
        width = stored.entries // stored.shape[0]
        found += [
            Piece((name,), rows, width * (rows.stop - rows.start))
            for rows in row_blocks(stored.shape, AT_ONCE)
            if rows is not None
        ]
    return found


def spread(work: Callable[[Piece], None], todo: Sequence[Piece], told: Callable[[int, int], None]) -> None:
    """Work on pieces, as many at once as there are cores, and no more than have the entries of the largest together.

    Args:
        work: called with each piece, in threads; the first error ends all.
        todo: the pieces.
        told: told(entries done, entries in all) after each.
    """
    most = max([ALWAYS, *(piece.entries for piece in todo)])
    in_all = sum(piece.entries for piece in todo)
    waiting: dict[Future[None], int] = {}
    done = 0

    def settle() -> int:
        freed = 0
        for future in wait(waiting, return_when=FIRST_COMPLETED).done:
            future.result()
            freed += waiting.pop(future)
        return freed

    told(0, in_all)
    with ThreadPoolExecutor(cores()) as pool, _one_thread_each(len(todo)):
        try:
            for piece in todo:
                while waiting and (len(waiting) >= cores() or sum(waiting.values()) + piece.entries > most):
                    done += settle()
                    told(done, in_all)
                waiting[pool.submit(_without_gradients, work, piece)] = piece.entries
            while waiting:
                done += settle()
                told(done, in_all)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _without_gradients(work: Callable[[Piece], None], piece: Piece) -> None:
    with torch.no_grad():  # it is a thread's own
        work(piece)


@contextmanager
def _one_thread_each(count: int) -> Iterator[None]:
    """Pieces side by side compute on one thread each, so that numbers do not hang on the cores; one piece has all."""
    before = torch.get_num_threads()
    if count > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
