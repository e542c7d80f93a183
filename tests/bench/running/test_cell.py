"""What observers saw comes into the record, and a method starts in a process that holds nothing spare."""

import base64
import platform

import psutil
import pytest
import torch

from bench.errors import BenchError
from bench.records import png
from bench.running.cell import give_back_freed_memory, observed
from bench.scenarios.fuse.path import Walk
from bench.task.monitor import Observations
from bench.task.observer import Observer

SPENT = {"seconds": 5.0, "peak_memory_mb": 1.0, "flops": 2.0, "samples": {}}


class Seen:
    """An observer that saw all there is to see."""

    def costs(self, spent):
        return {"share_of_looking": 2.0 / spent["seconds"], "images_kept": 64}

    def curves(self):
        return {"accuracy": [(0.5, 0.3), (1.0, 0.4)]}

    def pictures(self):
        return {"images": torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).reshape(4, 3, 2, 2)}


class Other:
    """One that saw a curve only."""

    def costs(self, spent):
        return {}

    def curves(self):
        return {"loss": [(0.0, 1.0)]}

    def pictures(self):
        return {}


def test_a_record_keeps_costs_curves_and_a_picture():
    fields = observed([Seen()], SPENT)
    assert fields["costs"] == SPENT | {"share_of_looking": 0.4, "images_kept": 64}
    assert fields["curves"] == {"accuracy": [(0.5, 0.3), (1.0, 0.4)]}
    sheet = base64.b64decode(fields["pictures"]["images"])
    assert sheet == png.encode(png.grid(Seen().pictures()["images"].numpy()))
    assert png.size(sheet) == (11, 2)


def test_without_observers_there_are_the_costs_alone():
    assert observed([], SPENT) == {"costs": SPENT, "curves": {}, "pictures": {}}


def test_all_observers_are_kept_and_none_may_hide_what_another_told():
    fields = observed([Seen(), Other()], SPENT)
    assert list(fields["curves"]) == ["accuracy", "loss"]
    with pytest.raises(BenchError, match="Other tells curves loss, which are there already; rename one"):
        observed([Other(), Other()], SPENT)
    with pytest.raises(BenchError, match="Seen tells costs images_kept"):
        observed([Seen()], SPENT | {"images_kept": 1})


@pytest.mark.parametrize("observer", [Observations(lambda _: 0.0), Walk([])])
def test_monitor_and_path_are_observers(observer):
    kept: Observer = observer
    assert observed([kept], SPENT) == {"costs": SPENT, "curves": {}, "pictures": {}}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told to")
def test_memory_that_earlier_cells_freed_is_not_held_when_a_method_starts():
    process = psutil.Process()
    blocks = [bytes(2**14) for _ in range(2**13)]  # 128 MiB, each block too small for a mapping of its own
    held, last = process.memory_info().rss, blocks.pop()  # what was allocated last keeps the heap from shrinking
    blocks.clear()
    give_back_freed_memory()
    assert held - process.memory_info().rss > 2**26
    assert len(last) == 2**14
