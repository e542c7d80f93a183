"""Numbers that the authors' code of LAF gives on tiny features made of sines, beside ours."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from methods.unlearning.laf_features import extractor_unlearning, representation_alignment
from methods.unlearning.vae import vae_loss


def wave(*shape: int, step: float) -> Tensor:
    """sin(step), sin(2 step), ... in float64, of a shape."""
    count = torch.Size(shape).numel()
    return torch.sin(step * torch.arange(1, count + 1, dtype=torch.float64)).reshape(shape)


RETAINED, REBUILT = wave(5, 7, step=0.3), wave(5, 7, step=0.8)
FORGOTTEN, REBUILT_FORGOTTEN = wave(4, 7, step=0.5), wave(4, 7, step=1.1)


def test_extractor_unlearning():
    """ShaofeiShen768/LAF bda3694, `extractor_loss_functionnmse`: to 1e-9.

    On purpose: theirs adds up over rows and over features, where means stand here; of seven features it makes -0.0621
    a row, and the means -0.0370.
    """
    width = 7**0.5
    found = extractor_unlearning((REBUILT - RETAINED) * width, (REBUILT_FORGOTTEN - FORGOTTEN) * width)
    assert float(found) == pytest.approx(11.656738752643466 / 5 - 9.573985739509439 / 4, abs=1e-9)
    means = extractor_unlearning(REBUILT - RETAINED, REBUILT_FORGOTTEN - FORGOTTEN)
    assert float(means) == pytest.approx(-0.036996, abs=1e-5)


@pytest.mark.parametrize(("temperature", "theirs"), [(5.0, -2.6095639936700286), (20.0, -1.7976203501866015)])
def test_representation_alignment(temperature, theirs):
    """ShaofeiShen768/LAF bda3694, `extractor_loss_functioncosine`: to 1e-9; theirs is the sum over retained rows."""
    cosine = nn.functional.cosine_similarity
    moved_r, moved_f = 1 - cosine(RETAINED, REBUILT), 1 - cosine(FORGOTTEN, REBUILT_FORGOTTEN)
    assert 5 * float(representation_alignment(moved_r, moved_f, temperature)) == pytest.approx(theirs, abs=1e-9)


def test_loss_of_the_autoencoders():
    """ShaofeiShen768/LAF bda3694, `vae_loss_function`: to 1e-6, for it adds 1e-8 to a variance before its logarithm."""
    vae = SimpleNamespace(
        encode=lambda e: (wave(5, 2, step=0.6), wave(5, 2, step=1.3)),
        decoder=lambda code: REBUILT,
    )
    assert float(vae_loss(vae, RETAINED, torch.Generator())) == pytest.approx(7.541501679007464, abs=1e-6)
