"""What shows that a poison has been unlearned. The setting of "Corrective Machine Unlearning" (Goel, Prabhu, Torr,
Kumaraguru and Sanyal 2024, arXiv:2402.14015), where only some of the poisoned rows may be known.

The judges are trained on clean rows alone, and retained rows are scored on those. Where not all of the poison is named,
the row `retrain` is not clean: like anybody who retrains without what is known, it keeps what was not named. The upper
reference is `retrain-clean` there.

`attack_success`, the share of stamped images that are taken for the target, stands in a reading where other requests
have the attack on membership: the question is whether the trigger still works. Whether a row was seen is a weaker one,
since a trigger that was learnt works on seen and unseen images alike. It is answered beside it (`mia_...`), against
unseen images of the same kind: stamped, and labelled as the target. (Clean images of the target class as non-members
would tell the trigger and not the membership.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from bench.data.spec import Split
from bench.scenarios.unlearn.judging import JudgedRows
from bench.scenarios.unlearn.poison import Poison


def triggered_rows(rows: JudgedRows, poison: Poison, forget: Split) -> JudgedRows:
    """What scoring looks at.

    Args:
        rows: the parts of the clean data.
        poison: what was done to some training rows.
        forget: the rows to be forgotten, as they were trained on.

    Returns:
        Beside the usual parts `stamped`: the scored test images that are not of the target class, stamped, with their
        own labels. The attack's half holds its clean images and, comparable with the forgotten rows, its stamped ones
        that are labelled as the target.
    """
    attack = rows.parts["attack"]
    stamped = poison.stamped(attack)
    unseen = Split(
        torch.cat([attack.inputs, stamped.inputs]),
        torch.cat([attack.labels, torch.full_like(stamped.labels, poison.target)]),
    )
    parts = {**rows.parts, "forget": forget, "attack": unseen, "stamped": poison.stamped(rows.parts["test"])}
    return replace(rows, parts=parts, comparable=np.arange(len(unseen)) >= len(attack), target=poison.target)
