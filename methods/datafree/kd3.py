"""KD3: Distribution Shift Matters for Knowledge Distillation with Webly Collected Images.

Tang, Chen, Niu, Sugiyama and Gong, ICCV 2023, arXiv:2307.11469. Images from elsewhere are of another distribution
than the teacher's. Three remedies, each of which can be switched off:

- dynamic selection: of the pool only what teacher and student together are sure of is learnt from, as many images of
  one class as of another, chosen anew as the student learns;
- weighted feature alignment and classifier sharing: the student's features, projected to the teacher's width, imitate
  the teacher's, sure images more so, and are read by the teacher's own classifier, which stays as it is;
- MixDistribution: an image and its copy with another image's mean and contrast shall look alike to the student, and
  unlike all other images.

A reconstruction: no code is public, and of the paper its components were known to us, not its formulas. Ours are the
confidence max_k of the mean of both softmaxes (the teacher's alone at first); an equal quota for every class that the
two name; the mean square over features, weighted by the confidence; statistics of pixels, a random convex mixture of
two images' plus Gaussian noise of their standard deviations over the batch; InfoNCE on features in both directions.
The student sees the copies in one batch with the images, on top of the board's batch; the teacher does not see them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from bench import Skip, method
from bench.device import as_input
from bench.models.augment import augment
from bench.scenarios.datafree.scenario import DataFreeTask
from bench.types import Count, Rate, Share, Weight
from methods.datafree.student import StudentTraining, targets
from methods.distillation.losses import distillation_kl
from methods.watching import penultimate

SCORED_AT_ONCE = 512
"""Images in one forward pass while the pool is scored."""


@method(
    family="datafree",
    scenario=("datafree", "poisoned"),
    access={"weights", "proxy"},
    paper="arXiv:2307.11469",
    year=2023,
)
def kd3(
    task: DataFreeTask,
    *,
    rho: Share = 0.5,
    epochs: Count = 10,
    share_classifier: bool = True,
    align: Weight = 1.0,
    contrast: Weight = 0.1,
    tau: Rate = 0.1,
) -> nn.Module:
    """KD3: distil on those images from elsewhere that teacher and student are sure of, into the teacher's classifier.

    Args:
        rho: share of the pool that the classes' quotas sum up to; 1 switches selection and weights off.
        epochs: how often, evenly over the budget, images are selected.
        share_classifier: whether the student's projected features are read by the teacher's classifier.
        align: weight of their distance from the teacher's features; idle without `share_classifier`.
        contrast: weight of the contrast between images and their copies of another distribution; 0 switches it off.
        tau: temperature of the contrast.
    """
    head = Head(task) if share_classifier else None
    training = StudentTraining(task, also=head.parameters() if head else (), settle=head.fold if head else None)
    student, pool = training.model, task.proxy.to(task.device)
    selection = Selection(task, pool, rho) if rho < 1 else None
    chosen = torch.arange(len(pool), device=task.device)
    weight = torch.ones(len(pool), device=task.device)
    passed = 0

    with penultimate(task.teacher) as wanted, penultimate(student) as given:
        while training.running:
            if selection is not None and training.spent * epochs >= passed:
                chosen, weight = selection.choose(student if passed else None)
                passed += 1
            rows = torch.randint(len(chosen), (task.batch_size,), generator=task.generator).to(task.device)
            x = as_input(augment(pool[chosen[rows]], task.recipe.augment, task.generator))
            w = weight[chosen[rows]]

            def loss(x: Tensor = x, w: Tensor = w) -> Tensor:
                t = targets(task, x)
                both = torch.cat([x, mix_distribution(x, task.generator)]) if contrast else x
                z = student(both)
                f = given.latest[0]
                if head is not None:
                    f = head.project(f)
                    z = head.classify(f)
                value = distillation_kl(z[: len(x)], t, task.temperature)
                if head is not None and align:
                    value = value + align * weighted_square(f[: len(x)], wanted.latest[0], w)
                if contrast:
                    value = value + contrast * info_nce(f[: len(x)], f[len(x) :], tau)
                return value

            training.update(loss, x)
    return student


class Head:
    """The teacher's classifier behind a linear projection of the student's features.

    Raises:
        Skip: one of the two networks does not end in a linear layer `head`.
    """

    def __init__(self, task: DataFreeTask) -> None:
        own, shared = (linear_head(network) for network in (task.student, task.teacher))
        self.projection = nn.Linear(own.in_features, shared.in_features).to(task.device)
        self.shared = shared
        self.parameters = self.projection.parameters
        self.project = self.projection.forward

    def classify(self, f: Tensor) -> Tensor:
        """Logits [B, K] of projected features [B, d_teacher]; the classifier itself is not trained."""
        return linear(
            f, self.shared.weight.detach(), self.shared.bias if self.shared.bias is None else self.shared.bias.detach()
        )

    @torch.no_grad()
    def fold(self, student: nn.Module) -> None:
        """Write projection and classifier, which are one linear map, into the student's own head."""
        own = linear_head(student)
        own.weight.copy_(self.shared.weight @ self.projection.weight)
        own.bias.copy_(self.classify(self.projection.bias))


def linear_head(network: nn.Module) -> nn.Linear:
    """The classifier of a standard model. Raises Skip where there is none."""
    if not isinstance(head := getattr(network, "head", None), nn.Linear):
        raise Skip(f"needs a linear classifier `head` to share, and {type(network).__name__} has none")
    return head


class Selection:
    """The images of a pool that teacher and student are sure of, as many of one class as of another.

    Args:
        task: gives the teacher, which is asked once for every image of the pool.
        pool: uint8 [N, C, H, W].
        rho: share of the pool that the quotas sum up to.
    """

    def __init__(self, task: DataFreeTask, pool: Tensor, rho: float) -> None:
        self._task = task
        self._pool = pool
        self._rho = rho
        self._teacher = self._probabilities(task.teacher)

    def choose(self, student: nn.Module | None) -> tuple[Tensor, Tensor]:
        """Rows of the chosen images, ascending, and the confidence in every image of the pool [N].

        Args:
            student: asked in eval mode and left in train mode; None leaves the choice to the teacher.
        """
        q = self._teacher
        if student is not None:
            q = (q + self._probabilities(student.eval())) / 2
            student.train()
        confidence, classes = q.max(1)
        return surest(confidence, classes, q.shape[1], self._rho), confidence

    @torch.no_grad()
    def _probabilities(self, network: nn.Module) -> Tensor:
        """[N, K] of a network in eval mode."""
        with self._task.compute.autocast():
            return torch.cat([network(as_input(x)).float().softmax(1) for x in self._pool.split(SCORED_AT_ONCE)])


def surest(confidence: Tensor, classes: Tensor, num_classes: int, rho: float) -> Tensor:
    """Rows, ascending, of the most confident images: at most ceil(rho * N / num_classes) of every class.

    Args:
        confidence: [N].
        classes: [N], whole numbers below `num_classes`.
        rho: in (0, 1].
    """
    quota = -(-round(rho * len(classes)) // num_classes)
    by_confidence = confidence.argsort(descending=True, stable=True)
    order = by_confidence[classes[by_confidence].argsort(stable=True)]
    starts = torch.bincount(classes, minlength=num_classes).cumsum(0).roll(1)
    starts[0] = 0
    rank = torch.arange(len(order), device=order.device) - starts[classes[order]]
    return order[rank < quota].sort().values


def weighted_square(f: Tensor, wanted: Tensor, w: Tensor) -> Tensor:
    """Batch mean of w * mean over features of (f - wanted)^2; f and wanted [B, d], w [B]."""
    return (w * (f - wanted).square().mean(1)).mean()


def mix_distribution(x: Tensor, generator: torch.Generator) -> Tensor:
    """Images [B, C, H, W] with other means and standard deviations a channel; pixels may leave [0, 1].

    New statistics are (1 - u) * the image's own + u * another image's, u uniform in [0, 1], plus Gaussian noise whose
    standard deviation is that of the statistic over the batch.
    """
    std, mean = torch.std_mean(x, dim=(2, 3), correction=0, keepdim=True)
    other = torch.randperm(len(x), generator=generator).to(x.device)
    u = torch.rand(len(x), 1, 1, 1, generator=generator).to(x.device)

    def perturbed(statistic: Tensor) -> Tensor:
        noise = torch.randn(statistic.shape, generator=generator).to(x.device)
        return torch.lerp(statistic, statistic[other], u) + noise * statistic.std(0, correction=0)

    return (x - mean) / (std + 1e-5) * perturbed(std).clamp(min=0) + perturbed(mean)


def info_nce(f: Tensor, g: Tensor, tau: float) -> Tensor:
    """Cross-entropy (nats) of telling which g [B, d] belongs to each f [B, d], and the reverse, mean of both.

    By cosine similarity divided by tau.
    """
    similarity = normalize(f) @ normalize(g).T / tau
    own = torch.arange(len(f), device=f.device)
    return (cross_entropy(similarity, own) + cross_entropy(similarity.T, own)) / 2
