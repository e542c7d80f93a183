"""What a cell costs is counted right."""

import mmap
import time

import pytest
import torch
from torch import Tensor, nn

from bench.task.black_box import BlackBox
from bench.task.meter import Costs, counted, metered, paused, timed

CPU = torch.device("cpu")


def new_memory() -> Tensor:
    """128 MiB that the process did not hold before. What malloc gives may have been resident all along."""
    return torch.frombuffer(mmap.mmap(-1, 2**27), dtype=torch.uint8).fill_(1)


def wait_until(true, seconds=20):
    """Memory is sampled by a thread: on a busy machine its turn may come late."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("block", [metered, timed])
def test_seconds(clock, block):
    costs = Costs()
    for _ in range(2):
        with block(costs, CPU):
            clock.passes(0.25)
            clock.waits(1)
            with paused():
                clock.passes(8)
        clock.passes(1)
    assert costs.seconds == 0.5


def test_memory():
    costs = Costs()
    with metered(costs, CPU):
        block = new_memory()
        wait_until(lambda: costs.peak_memory_mb > 64)
    assert 64 < costs.peak_memory_mb < 256
    assert block[0] == 1


def test_flops_of_a_forward_pass_are_exact():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 5))
    costs = Costs()
    with counted(costs, {}), torch.no_grad():
        net(torch.randn(2, 3, 4, 4))
    assert costs.flops == 2 * 2 * (16 * 8 * 27 + 8 * 16 * 5)


def test_gradients_cost_once_for_weights_and_once_for_inputs():
    layer, costs = nn.Linear(3, 4), Costs()
    with counted(costs, {}):
        layer(torch.randn(5, 3))
    assert costs.flops == 2 * 2 * 5 * 12
    costs = Costs()
    with counted(costs, {}):
        layer(torch.randn(5, 3, requires_grad=True))
    assert costs.flops == 3 * 2 * 5 * 12


def test_transposed_convolutions_are_counted_by_their_inputs():
    layer, costs = nn.ConvTranspose2d(2, 3, 2, stride=2), Costs()
    with counted(costs, {}), torch.no_grad():
        layer(torch.randn(1, 2, 4, 4))
    assert costs.flops == 2 * 2 * 16 * (3 * 4)


def test_samples_through_given_models_are_counted_and_copies_are_not():
    import copy

    models = [nn.Linear(3, 2), nn.Linear(3, 2)]
    box = BlackBox(nn.Linear(3, 2))
    given, costs = {"parents": models, "teacher": box, "by name": {"other": (nn.Linear(3, 2),)}}, Costs()
    x = torch.randn(7, 3)
    with counted(costs, given):
        models[0](x)
        models[0](x[:2])
        box(x)
        copy.deepcopy(models[1])(x)
    models[1](x)  # after the end
    assert costs.samples == {"parents[0]": 9, "parents[1]": 0, "teacher": 7, "by name[other][0]": 0}


def test_features_of_a_standard_model_count_as_samples_once():
    from bench.conformance import VARIANTS, made_up
    from bench.models import build

    model = build("mlp", {"width": 8}, 4, made_up(VARIANTS[0]), seed=0)
    costs = Costs()
    with counted(costs, {"model": model}):
        model(torch.rand(3, 1, 8, 8))
        model.features(torch.rand(4, 1, 8, 8))
    assert costs.samples == {"model": 7}


def test_nothing_is_counted_after_the_end():
    layer, costs = nn.Linear(3, 4), Costs()
    with counted(costs, {}):
        pass
    layer(torch.randn(5, 3))
    assert costs.flops == 0


def test_costs_are_kept_when_the_method_raises(clock):
    costs = Costs()
    with pytest.raises(ZeroDivisionError), metered(costs, CPU):
        clock.passes(0.5)
        raise ZeroDivisionError
    assert costs.seconds == 0.5


def test_what_runs_in_a_pause_costs_nothing(clock):
    layer, costs = nn.Linear(3, 4), Costs()
    x = torch.randn(5, 3)
    with counted(costs, {"teacher": layer}), metered(costs, CPU), torch.no_grad():
        layer(x)
        with paused():
            layer(x)
            block = new_memory()  # that stays
            clock.passes(4)
            time.sleep(0.1)  # the sampling thread has its chances
        clock.passes(0.5)
        layer(x[:2])
    assert costs.samples == {"teacher": 7}
    assert costs.flops == 2 * 7 * 12
    assert costs.seconds == 0.5
    assert costs.peak_memory_mb < 64
    assert block[0] == 1


def test_memory_after_a_pause_is_counted_again():
    costs = Costs()
    with metered(costs, CPU):
        with paused():
            pass
        block = new_memory()
        wait_until(lambda: costs.peak_memory_mb > 64)
    assert 64 < costs.peak_memory_mb < 256
    assert block[0] == 1


def test_pauses_nest_and_end_with_the_outermost(clock):
    layer, costs = nn.Linear(3, 4), Costs()
    with counted(costs, {}), metered(costs, CPU), torch.no_grad():
        with paused():
            with paused():
                clock.passes(1)
            clock.passes(1)
            layer(torch.randn(5, 3))
        assert costs.flops == 0
        layer(torch.randn(1, 3))
    assert costs.flops == 2 * 12
    assert costs.seconds == 0


def test_a_block_opened_in_a_pause_counts():
    layer, outer, inner = nn.Linear(3, 4), Costs(), Costs()
    with counted(outer, {}), metered(outer, CPU), paused(), counted(inner, {}), metered(inner, CPU), torch.no_grad():
        layer(torch.randn(1, 3))
    assert (outer.flops, inner.flops) == (0, 2 * 12)


def test_a_pause_ends_when_its_body_raises():
    costs = Costs()
    with metered(costs, CPU):
        with pytest.raises(ZeroDivisionError), paused():
            raise ZeroDivisionError
        assert not costs.paused


def test_a_pause_without_an_open_block_does_nothing(clock):
    with paused():
        clock.passes(1)
    costs = Costs()
    with metered(costs, CPU):
        clock.passes(0.5)
    assert costs.seconds == 0.5
