"""Numbers that the authors' code of unlearning methods gives on tiny inputs, beside ours: scores and masks of weights.

A network of 43 weights and eight images of four pixels, all made of sines, so that nobody's random generator matters.
Numbers are those of float32 on a CPU; each test names repository and commit.
"""

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from bench.device import Device
from bench.task.statistics import diagonal_fisher
from methods.unlearning.boundary import nearest_classes
from methods.unlearning.fisher_forgetting import CLASS_VARIANCE, noise_variance
from methods.unlearning.influence import inverse_fisher_product
from methods.unlearning.salun import forgetting_gradient, largest
from methods.unlearning.scrub import scrub
from methods.unlearning.ssd import squared_gradients, ssd

CPU = torch.device("cpu")
IMAGES = ((torch.arange(32) * 53) % 256).to(torch.uint8).reshape(8, 1, 2, 2)
LABELS = torch.arange(8) % 3


def wave(*shape: int, step: float) -> Tensor:
    """sin(step), sin(2 step), ... in float64, of a shape."""
    count = torch.Size(shape).numel()
    return torch.sin(step * torch.arange(1, count + 1, dtype=torch.float64)).reshape(shape)


def network() -> nn.Module:
    """4 - 5 - 3 with tanh; weights made of sines."""
    model = nn.Sequential(OrderedDict(flat=nn.Flatten(), hidden=nn.Linear(4, 5), tanh=nn.Tanh(), head=nn.Linear(5, 3)))
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(wave(*p.shape, step=i + 0.7))
    return model


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def close(found: Tensor, expected: list[float], tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=tolerance)


# fmt: off
DAMPENED = [
    0.6442177, 0.9854497, 0.1900834, 0.0797655, -0.3507832, -0.8715758, -0.2303972, -0.1808034, 0.0168139,
    0.6569866, 0.2076445, 0.2092446, 0.3190983, -0.3664791, -0.1802075, -0.2700235, -0.6181371, 0.0336231,
    0.6695698, 0.9906074, 0.3119992, -0.2555411, -0.9258147, 0.4941134, 0.7984871, 0.4273799, -0.7727645, 0.9698898,
    -0.9809362, 0.8037844, -0.472422, 0.0504227, 0.3812505, -0.7397786, 0.956376, -0.9894871, 0.8327595, -0.0974586,
    0.0189934, 0.0895779, -0.5298361, 0.8987081, -0.9945526,
]
# fmt: on


def test_ssd_dampens_the_weights_that_theirs_does():
    """if-loops/selective-synaptic-dampening cdfdc0e, `ParameterPerturber` on batches of one: to 1e-6.

    Rows 0, 3, 5 of eight are forgotten, alpha 1.5, lambda 0.5: 12 of 43 weights are selected.
    """
    forgotten = torch.tensor([0, 3, 5])
    others = torch.tensor([1, 2, 4, 6, 7])
    task = SimpleNamespace(
        model=network(),
        device=CPU,
        forget_inputs=IMAGES[forgotten],
        forget_labels=LABELS[forgotten],
        retain_inputs=IMAGES[others],
        retain_labels=LABELS[others],
        progress=lambda done, total: None,
    )
    dampened = flat(ssd(task, alpha=1.5, dampening=0.5).parameters())
    close(dampened, DAMPENED)
    assert int((dampened != flat(network().parameters())).sum()) == 12


def test_ssd_squares_rows_where_theirs_squares_batches():
    """On purpose: with all eight rows in one batch their importances add up to 0.5229, and row by row to 3.9485."""
    found = sum(float(s.sum()) for s in squared_gradients(network(), IMAGES, LABELS, CPU).values()) / len(IMAGES)
    assert found == pytest.approx(3.9484721, rel=1e-5)
    theirs_in_one_batch = 0.5229179
    assert found / theirs_in_one_batch == pytest.approx(7.55, abs=0.01)


@pytest.mark.parametrize(
    ("ratio", "mask"),
    [
        (0.3, "0000000000000000000000000100001101111011111"),
        (0.5, "0000000010010001000000110110011111111111111"),
    ],
)
def test_salun_masks_the_weights_that_theirs_does(ratio, mask):
    """OPTML-Group/Unlearn-Saliency a6e89fd, `save_gradient_ratio` on two batches of two rows: equal."""
    rows = torch.tensor([0, 3, 5, 6])
    saliency = forgetting_gradient(network(), IMAGES[rows], LABELS[rows], CPU, batch_size=2)
    found = largest(saliency, ratio)
    assert "".join(str(int(one)) for part in found.values() for one in part.flatten()) == mask


# fmt: off
FISHER = [
    0.0003363, 4.68e-05, 0.000111, 0.0002645, 0.0059016, 0.0008287, 0.0010399, 0.0026766, 0.0353613, 0.0154107,
    0.0135099, 0.0200605, 0.0102971, 0.003594, 0.0025184, 0.003996, 0.0009239, 0.0003884, 0.0001315, 0.0002632,
    0.0008906, 0.0111973, 0.0762706, 0.0186213, 0.0015522, 0.2270792, 0.1890285, 0.0343882, 0.0481783, 0.1620248,
    0.2271915, 0.1889808, 0.0343538, 0.0480334, 0.1619569, 0.0105094, 0.0079884, 0.0009216, 0.0008251, 0.0062703,
    0.2406118, 0.2407671, 0.0112969,
]
# fmt: on
# fmt: off
VARIANCES = [
    1.0, 1.0, 1.0, 1.0, 0.6261568, 0.6261568, 0.6261568, 0.6261568, 0.0542596, 0.0542596, 0.0542596, 0.0542596,
    0.255669, 0.255669, 0.255669, 0.255669, 1.0, 1.0, 1.0, 1.0, 10.0, 0.8930739, 0.131112, 0.5370198, 6.4424725,
    0.1314037, 0.1314037, 0.1314037, 0.1314037, 0.1314037, 0.1315906, 0.1315906, 0.1315906, 0.1315906, 0.1315906,
    0.9903057, 0.9903057, 0.9903057, 0.9903057, 0.9903057, 0.0415607, 0.0415339, 0.8851994,
]
# fmt: on


def test_fisher_forgetting_draws_noise_of_their_variance():
    """OPTML-Group/Unlearn-Saliency a6e89fd, `hessian` on batches of one and `get_mean_var`, alpha 0.001: to 1e-6."""
    model = network()
    fisher = diagonal_fisher(model, IMAGES, Device())
    close(flat(fisher.values()), FISHER)
    close(flat(noise_variance(f, 1e-3, last=name.startswith("head.")) for name, f in fisher.items()), VARIANCES, 1e-5)
    assert pytest.approx(1e-4 * 10) == CLASS_VARIANCE  # they set 0.0001 and then multiply the last layer by 10


def test_influence_steps_along_their_inverse_where_theirs_is_exact():
    """OPTML-Group/Unlearn-Saliency a6e89fd, `woodfisher` (N = 1000), six equal gradients: to 1e-6.

    The first gradient only starts their vector, so five count; and theirs is the inverse of I + sum g g^T / 1000.
    """
    v, g = wave(6, step=0.9), 30 * wave(6, step=0.4)
    found = inverse_fisher_product(g.expand(5, 6), v, 1000 / 5) * 1000 / 5
    close(found, [0.8268249, 1.0539763, 0.5314886, -0.3308681, -0.8759616, -0.6973153])


def test_influence_is_exact_where_their_single_vector_is_not():
    """On purpose: of six different gradients theirs keeps one vector, and ends far off (4.6 lengths)."""
    v, g = wave(6, step=0.9), 30 * wave(6, 6, step=0.4)
    theirs = torch.tensor([1.3723807, 2.0589566, 1.8372291, 1.0694849, 0.3979189, 0.2489751], dtype=torch.float64)
    found = inverse_fisher_product(g[1:], v, 1000 / 5) * 1000 / 5
    exact = torch.linalg.solve(torch.eye(6, dtype=torch.float64) + g[1:].T @ g[1:] / 1000, v)
    torch.testing.assert_close(found, exact)
    assert float((theirs - found).norm() / found.norm()) == pytest.approx(4.57, abs=0.01)


def test_boundary_shrinking_relabels_as_theirs_where_their_attack_succeeds():
    """TY-LEE-KR/Boundary-Unlearning-Code 19f9f23, `FGSM` with bound 0.1 in [0, 1] pixels: equal where it succeeds.

    On purpose: where it does not they train a row on its own label, and this takes the class that comes second.
    """
    images = ((torch.arange(96) * 71) % 256).to(torch.uint8).reshape(24, 1, 2, 2)
    labels = torch.tensor([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0])
    theirs = torch.tensor([0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    found = nearest_classes(network().eval(), images, labels, 0.1)
    succeeded = theirs != labels
    assert torch.equal(found[succeeded], theirs[succeeded])
    assert int((found != theirs).sum()) == int((~succeeded).sum()) == 14
    assert (found != labels).all()


# fmt: off
SCRUBBED = [
    0.5642843, 0.9055556, 0.783527, 0.2557772, -0.2729891, -0.7918291, -0.902873, -0.5514675, -0.0522241, 0.582421,
    0.9098722, 0.7758459, 0.3566433, -0.293473, -0.800591, -0.8997202, -0.5463625, -0.0350931, 0.5897386, 0.9106532,
    0.911855, -0.178656, -0.9425884, 0.528132, 0.7195354, 0.3532335, -0.6961763, 0.8903691, -0.9017793, 0.7262962,
    -0.4285498, 0.0929153, 0.3220073, -0.6627666, 0.8760654, -0.912654, 0.756269, -0.4414858, 0.1028689, 0.3675762,
    -0.553525, 0.8187945, -0.917738,
]
# fmt: on


def test_scrub_takes_their_steps():
    """meghdadk/SCRUB 98ffb11, `train_distill` by Adam at 0.01 with weight decay 0.1: weights after 8 updates, to 1e-5.

    Three turns of two updates each on five retained rows, the first two begun by one of ascent on three forgotten rows.
    """
    task = SimpleNamespace(
        model=network(),
        device=CPU,
        recipe=SimpleNamespace(augment="none", weight_decay=0.1, label_smoothing=0.0),
        generator=torch.Generator().manual_seed(0),
        forget_inputs=IMAGES[5:],
        retain_inputs=IMAGES[:5],
        retain_labels=LABELS[:5],
        progress=lambda done, total: None,
    )
    sizes = {"turns": 3, "ascent_turns": 2, "ascents": 1, "descents": 2, "batch_size": 5}
    found = scrub(task, **sizes, lr=1e-2, alpha=0.5, gamma=0.99, temperature=4.0)
    close(flat(found.parameters()), SCRUBBED, 1e-5)
