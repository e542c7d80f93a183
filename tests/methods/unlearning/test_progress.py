"""What a method tells the terminal: whole numbers that rise to a total which stays what it was."""

import pytest

from bench import registry

SILENT = {"original", "mask-class"}
"""They do nothing that takes time."""
QUICK = {"epochs": 2, "turns": 2, "ascent_turns": 1, "steps": 3, "repair_steps": 2, "vae_steps": 2}
QUICK |= {"rows": 20, "noise_steps": 2, "copies": 2}
METHODS = sorted(name for name, method in registry.METHODS.entries.items() if "unlearn" in method.scenarios)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SILENT | {"retrain-clean"}])
def test_progress_rises_to_its_total(name, make_task):
    told = []
    method = registry.METHODS.get(name)
    known = registry.parameters(method).model_fields
    settings = {key: value for key, value in QUICK.items() if key in known}
    method.function(make_task(name, progress=lambda done, total: told.append((done, total))), **settings)
    assert len({total for _, total in told}) == 1
    done = [step for step, _ in told]
    assert done == sorted(set(done))
    assert done[0] >= 1
    assert told[-1][0] == told[-1][1]
