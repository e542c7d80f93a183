"""BatchNorm statistics as the only trace of the training data: the regulariser R_bn of data-free distillation.

DeepInversion (Yin et al., CVPR 2020, arXiv:1912.08795); the variant with a running average of the synthetic
statistics is from Fast-Datafree (Fang et al., AAAI 2022, arXiv:2112.06253).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Skip
from methods.watching import Latest


class BatchNormStatistics:
    """How far the latest batch is from the data that the teacher's BatchNorm layers remember; a context manager.

    Args:
        teacher: in eval mode: in train mode its memory would drift towards the synthetic images.
        momentum: share m of the average over earlier batches in the compared statistics; see `remember`.

    Raises:
        Skip: the teacher has no BatchNorm layer with running statistics.
    """

    def __init__(self, teacher: nn.Module, momentum: float = 0.0) -> None:
        kind = nn.modules.batchnorm._BatchNorm
        self.layers = [m for m in teacher.modules() if isinstance(m, kind) and m.running_mean is not None]
        if not self.layers:
            raise Skip(f"needs BatchNorm statistics, and the teacher ({type(teacher).__name__}) keeps none")
        self.inputs = Latest(self.layers, inputs=True)
        self.momentum = momentum
        self._average: list[tuple[Tensor, Tensor]] = []

    def __enter__(self) -> BatchNormStatistics:
        self.inputs.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.inputs.__exit__(*error)

    def distance(self) -> Tensor:
        """R_bn of the latest batch, a scalar: sum over layers of ||mean - running mean|| + ||var - running var||.

        Statistics of each layer's *input* over batch and space, biased variances, norms that are not squared.
        With momentum m and an average E, (1 - m) * statistic + m * E takes the statistic's place.
        """
        terms = []
        for i, (mean, var) in enumerate(self._statistics()):
            layer = self.layers[i]
            assert layer.running_mean is not None and layer.running_var is not None
            if self._average:
                old_mean, old_var = self._average[i]
                mean, var = torch.lerp(mean, old_mean, self.momentum), torch.lerp(var, old_var, self.momentum)
            terms.append(torch.linalg.vector_norm(mean - layer.running_mean))
            terms.append(torch.linalg.vector_norm(var - layer.running_var))
        return torch.stack(terms).sum()

    def remember(self) -> None:
        """Take the latest batch into the average, E <- m * E + (1 - m) * statistic: once a synthesised batch."""
        new = [(mean.detach(), var.detach()) for mean, var in self._statistics()]
        pairs = zip(new, self._average or new, strict=True)
        self._average = [
            (torch.lerp(mean, old_mean, self.momentum), torch.lerp(var, old_var, self.momentum))
            for (mean, var), (old_mean, old_var) in pairs
        ]

    def _statistics(self) -> list[tuple[Tensor, Tensor]]:
        """(mean, biased variance) [C] of each layer's latest input [B, C, ...]."""
        out = []
        for i in range(len(self.layers)):
            x = self.inputs.latest[i].float()
            var, mean = torch.var_mean(x, dim=[d for d in range(x.dim()) if d != 1], correction=0)
            out.append((mean, var))
        return out
