"""Networks of several networks, by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models.compositions import Mixture, SideBySide


class Says(nn.Module):
    """The same row for every input."""

    def __init__(self, *row: float) -> None:
        super().__init__()
        self.register_buffer("row", torch.tensor(row))

    def forward(self, x: Tensor) -> Tensor:
        return self.row.expand(len(x), -1)


X = torch.zeros(2, 1)


def test_a_mixture_averages_probabilities_and_no_logits():
    """Of two classes: 0.8 and 0.5 make 0.65; the mean logit, log 2, would make 2/3."""
    sure, even = Says(float(torch.tensor(4.0).log()), 0.0), Says(3.0, 3.0)
    p = Mixture([sure, even])(X).softmax(1)
    torch.testing.assert_close(p, torch.tensor([[0.65, 0.35]]).expand(2, 2))
    torch.testing.assert_close(Mixture([sure])(X).softmax(1), sure(X).softmax(1))


def test_side_by_side_one_head_reads_all():
    head = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
    members = [Says(1.0, -2.0), Says(3.0)]
    assert SideBySide(members, head, relu=False)(X).tolist() == [[281.0]] * 2
    assert SideBySide(members, head, relu=True)(X).tolist() == [[301.0]] * 2
    assert SideBySide(members, head, relu=True).features(X).tolist() == [[1.0, 0.0, 3.0]] * 2
