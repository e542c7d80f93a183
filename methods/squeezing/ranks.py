"""Which rank each layer of a network gets, so that the whole has a given number of parameters."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from bench import Skip
from methods.squeezing.factors import as_matrix, count, layers

Options = dict[str, tuple[Tensor, Tensor]]
"""Name of a layer -> what it may be, as `_options` says."""

UNUSED = 0.01
"""Share of the budget that may be left over, where that is possible."""


def choose_ranks(model: nn.Module, budget: int) -> dict[str, int]:
    """Name of a layer -> its rank; a layer that is not named stays whole.

    They are chosen for the network at once. What is to be large is the product over layers of the share of the
    weight's squared norm that is kept; again and again the step is taken that raises its logarithm most for each
    parameter that it costs, of all steps that still fit (greedy, so not always the best there is). A step may pass
    several ranks, so that a layer can become whole, where factors would not be smaller. If more than a hundredth of the
    budget is left over, two layers are chosen anew so that it is not.

    Args:
        model: has layers (`factors.layers`); all else of it is kept and counted.
        budget: largest number of parameters of the result.

    Raises:
        Skip: rank one everywhere is too large.
    """
    options = {name: _options(as_matrix(layer)) for name, layer in layers(model).items()}
    whole = {name: layer.weight.numel() for name, layer in layers(model).items()}
    chosen = dict.fromkeys(options, 0)
    left = budget - (count(model) - sum(whole.values())) - sum(int(costs[0]) for costs, _ in options.values())
    if left < 0:
        raise Skip(f"the teacher's norms, biases and layers of rank one have {-left} parameters more than {budget}")
    while True:
        steps = [(*_best_step(*options[name], chosen[name], left), name) for name in options]
        slope, target, name = max(steps)
        if slope <= 0:
            break
        costs = options[name][0]
        left -= int(costs[target] - costs[chosen[name]])
        chosen[name] = target
    if left > UNUSED * budget:
        chosen |= _better_pair(options, chosen, left, UNUSED * budget)
    return {name: index + 1 for name, index in chosen.items() if int(options[name][0][index]) != whole[name]}


def _better_pair(options: Options, chosen: dict[str, int], left: int, unused: float) -> dict[str, int]:
    """Other ranks for two layers that leave at most `unused` parameters: the pair with the largest product of shares.

    A rank of a large embedding costs more than is left over. Empty where no pair does it, as where all are whole.
    """
    best, found = -torch.inf, {}
    for first, second in combinations(options, 2):
        (costs, gains), (other_costs, other_gains) = options[first], options[second]
        i, j = chosen[first], chosen[second]
        rest = left + costs[i] + other_costs[j] - costs[:, None] - other_costs
        change = gains[:, None] + other_gains - gains[i] - other_gains[j]
        change = torch.where((rest >= 0) & (rest <= unused), change, -torch.inf)
        if change.max() > best:
            best, at = float(change.max()), int(change.argmax())
            found = {first: at // len(other_costs), second: at % len(other_costs)}
    return found


def _options(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer may be, rank one first and itself last: parameters int64 [k], logarithms of the shares."""
    out, inputs = matrix.shape
    most = (out * inputs - 1) // (out + inputs)  # the highest rank at which factors are smaller than the matrix
    squares = torch.linalg.svdvals(matrix.detach().double()).cpu().square()
    shares = squares.cumsum(0)[:most] / squares.sum().clamp(min=torch.finfo(torch.float64).tiny)
    costs = (out + inputs) * torch.arange(1, most + 1)
    return torch.cat([costs, torch.tensor([out * inputs])]), torch.cat([shares.log(), torch.zeros(1).double()])


def _best_step(costs: Tensor, gains: Tensor, at: int, left: int) -> tuple[float, int]:
    """(gain a parameter, where to), the steepest step from `at` that costs at most `left`; (0, at) without one."""
    more = costs[at + 1 :] - costs[at]
    fits = int((more <= left).sum())
    if fits == 0:
        return 0.0, at
    slopes = (gains[at + 1 :] - gains[at])[:fits] / more[:fits]
    best = int(slopes.argmax())
    return float(slopes[best]), at + 1 + best
