"""Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference time.

Mitchell Wortsman, Gabriel Ilharco, Samir Yitzhak Gadre, Rebecca Roelofs, Raphael Gontijo-Lopes, Ari S. Morcos, Hongseok
Namkoong, Ali Farhadi, Yair Carmon, Simon Kornblith and Ludwig Schmidt, ICML 2022, arXiv:2203.05482.

The greedy soup: networks are tried in the order of their held-out accuracy, the best first, and one is stirred in if
the mean of all weights so far is at least as accurate with it as without. So the soup is at least as accurate on the
held-out images as the best network. The uniform soup, the mean of all, is the method `average`.

Different from the paper, whose networks have no BatchNorm: statistics of networks and soups are estimated anew on the
unlabelled images before they are judged, and the soup comes with them. Boards do the same to every row by default.
"""

from __future__ import annotations

from torch import nn

from bench import method
from bench.scenarios.fuse.scenario import FuseTask
from methods.fusion.held_out import calibrated, right_answers
from methods.fusion.state import State, mean, parent_states, result


@method(
    family="fusion",
    scenario="fuse",
    access={"weights", "unlabeled", "validation"},
    paper="arXiv:2203.05482",
    year=2022,
)
def soup_greedy(task: FuseTask) -> nn.Module:
    """Average parents in the order of their held-out accuracy, each only if the average does not get worse by it."""
    states = parent_states(task)
    alone = [right_answers(task, calibrated(task, parent)) for parent in task.parents]
    chosen: list[State] = []
    soup, best = task.parents[0], -1
    for done, index in enumerate(sorted(range(len(states)), key=lambda i: -alone[i]), 1):
        tried = calibrated(task, result(task, mean([*chosen, states[index]])))
        right = right_answers(task, tried)
        if right >= best:
            chosen, soup, best = [*chosen, states[index]], tried, right
        task.progress(done, len(states))
    return soup
