"""What is kept, for how long, and under which name."""

import torch

from bench.scenarios import remembering
from bench.scenarios.remembering import digest, remembered


def test_it_is_made_once_for_a_key():
    made = []
    values = [remembered(("test", key), lambda key=key: made.append(key) or f"value {key}") for key in (1, 2, 1)]
    assert values == ["value 1", "value 2", "value 1"]
    assert made == [1, 2]


def test_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(remembering, "MOST", 2)
    monkeypatch.setattr(remembering, "_KEPT", type(remembering._KEPT)())
    for key in (1, 2, 1, 3):  # 1 was asked for after 2
        remembered((key,), lambda key=key: key)
    assert list(remembering._KEPT) == [(1,), (3,)]


def test_what_failed_is_tried_again():
    outcomes = iter([ValueError("once"), 7])

    def make():
        found = next(outcomes)
        if isinstance(found, Exception):
            raise found
        return found

    for _ in range(2):
        try:
            found = remembered(("test", "fails"), make)
        except ValueError:
            continue
    assert found == 7


def test_a_digest_tells_content_shape_and_type_apart():
    x = torch.arange(4, dtype=torch.uint8)
    others = [x + 1, x.reshape(2, 2), x.to(torch.int8)]
    assert digest([x]) == digest([x.clone()])
    assert len({digest([t]) for t in (x, *others)} | {digest([x, x])}) == 5
