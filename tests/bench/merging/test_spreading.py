"""Pieces: they cover every entry once, and no more of them are worked on at once than memory is bounded to."""

import threading

import pytest
import torch
from safetensors.torch import save_file

from bench.checkpoints.reading import open_checkpoint
from bench.merging import spreading
from bench.merging.spreading import Piece, pieces, spread


def quiet(done, in_all):
    pass


@pytest.fixture
def checkpoint(tmp_path):
    shapes = {"large": (10, 7), "long": (100,), "scalar": (), "small": (2, 2), "none": (0, 3)}
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "w.safetensors")
    return open_checkpoint(tmp_path / "w.safetensors")


def test_large_tensors_are_cut_by_rows_where_entries_count_one_by_one(checkpoint, monkeypatch):
    monkeypatch.setattr(spreading, "AT_ONCE", 30)
    found = pieces(checkpoint, list(checkpoint.tensors), "entries")
    covered = {}
    for piece in found:
        (name,) = piece.names
        whole = torch.arange(checkpoint.tensors[name].entries).view(checkpoint.tensors[name].shape)
        part = whole if piece.rows is None else whole[piece.rows]
        assert part.numel() == piece.entries <= 30
        covered[name] = torch.cat([covered.get(name, part.new_empty(0)), part.flatten()])
    assert all(torch.equal(part, torch.arange(checkpoint.tensors[name].entries)) for name, part in covered.items())
    assert covered.keys() == checkpoint.tensors.keys()


def test_otherwise_a_piece_is_a_tensor_or_everything(checkpoint):
    names = list(checkpoint.tensors)
    assert [p.names for p in pieces(checkpoint, names, "tensors")] == [(name,) for name in sorted(names)]
    (everything,) = pieces(checkpoint, names, "network")
    assert everything == Piece(tuple(names), None, 175)


def test_side_by_side_lie_no_more_entries_than_the_largest_piece_has(monkeypatch):
    monkeypatch.setattr(spreading, "ALWAYS", 10)
    monkeypatch.setattr(spreading, "cores", lambda: 8)
    todo = [Piece((str(n),), None, entries) for n, entries in enumerate([5, 40, 3, 30, 9, 9, 9, 40, 1, 1, 1, 12] * 5)]
    lock, now, most, done = threading.Lock(), [0], [0], []

    def work(piece):
        with lock:
            now[0] += piece.entries
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.001)
        with lock:
            now[0] -= piece.entries
            done.append(piece)

    spread(work, todo, quiet)
    assert sorted(done, key=todo.index) == todo
    assert most[0] <= 40


def test_small_pieces_go_side_by_side_up_to_the_cores(monkeypatch):
    monkeypatch.setattr(spreading, "cores", lambda: 3)
    together = threading.Barrier(3)
    spread(lambda piece: together.wait(30), [Piece(("w",), None, 1)] * 6, quiet)


def test_the_first_error_ends_it_and_threads_are_as_before(monkeypatch):
    monkeypatch.setattr(spreading, "cores", lambda: 1)
    begun, before = [], torch.get_num_threads()

    def work(piece):
        begun.append(piece.names[0])
        assert not torch.is_grad_enabled()
        if piece.names[0] == "2":
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        spread(work, [Piece((str(n),), None, 1) for n in range(9)], quiet)
    assert begun == ["0", "1", "2"]
    assert torch.get_num_threads() == before
