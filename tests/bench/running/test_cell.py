"""What a scenario's monitor saw comes into the record, and a method starts in a process that holds nothing spare."""

import base64
import platform

import psutil
import pytest
import torch

from bench.records import png
from bench.running.cell import give_back_freed_memory, observed

SPENT = {"seconds": 5.0, "peak_memory_mb": 1.0, "flops": 2.0, "samples": {}}


class Seen:
    """The judge's side of a monitor that saw all there is to see."""

    def costs(self):
        return {"distillation_seconds": 2.0, "images_kept": 64}

    def curves(self):
        return {"accuracy": [(0.5, 0.3), (1.0, 0.4)]}

    def pictures(self):
        return {"images": torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).reshape(4, 3, 2, 2)}


class Blind(Seen):
    """One whose method never told anything."""

    def costs(self):
        return {}

    curves = pictures = costs


def test_a_record_keeps_costs_curves_and_a_picture():
    fields = observed(Seen(), SPENT)
    told = {"synthesis_seconds": 3.0, "distillation_seconds": 2.0, "images_kept": 64}
    assert fields["costs"] == SPENT | told
    assert fields["curves"] == {"accuracy": [(0.5, 0.3), (1.0, 0.4)]}
    sheet = base64.b64decode(fields["pictures"]["images"])
    assert sheet == png.encode(png.grid(Seen().pictures()["images"].numpy()))
    assert png.size(sheet) == (11, 2)


def test_nothing_told_is_nothing_kept():
    assert observed(Blind(), SPENT) == {"costs": SPENT, "curves": {}, "pictures": {}}


@pytest.mark.parametrize("seconds", [2.0, 1.9])
def test_synthesis_never_takes_less_than_no_time(seconds):
    assert observed(Seen(), SPENT | {"seconds": seconds})["costs"]["synthesis_seconds"] == 0.0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told to")
def test_memory_that_earlier_cells_freed_is_not_held_when_a_method_starts():
    process = psutil.Process()
    blocks = [bytes(2**14) for _ in range(2**13)]  # 128 MiB, each block too small for a mapping of its own
    held, last = process.memory_info().rss, blocks.pop()  # what was allocated last keeps the heap from shrinking
    blocks.clear()
    give_back_freed_memory()
    assert held - process.memory_info().rss > 2**26
    assert len(last) == 2**14
