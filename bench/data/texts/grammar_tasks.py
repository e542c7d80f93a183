"""Sentences of the grammar: one function a kind of task, each from a class and a stream of draws.

What decides is partly the words and partly their order: negation turns a judgement round, a subordinate clause says
the opposite of the main one, a question mentions things of other kinds, and unacceptable sentences have the words of
acceptable ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from bench.data.draws import generator
from bench.data.texts.grammar_words import (
    ACTS,
    BAD,
    BLAME,
    CONCESSIONS,
    GOOD,
    HEADS,
    HEDGES,
    LETTERS,
    NEGATIONS,
    OBJECTS,
    OPENINGS,
    PEOPLE,
    PLACES,
    PRAISE,
    THINGS,
    TIMES,
    TOPICS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_T = TypeVar("_T")


class Draws:
    """Choices from a stream of uniform doubles that depends on the names given and nothing else."""

    def __init__(self, *axes: object) -> None:
        self._random = generator("grammar", *axes)

    def chance(self, share: float) -> bool:
        """True in this share of all calls."""
        return self._random.random() < share

    def one(self, words: Sequence[str]) -> str:
        """One of them; the first ones come more often, as words do."""
        u = self._random.random()
        return words[int(len(words) * u * u)]  # products are the same on every machine, powers need not be

    def any(self, words: Sequence[_T]) -> _T:
        """One of them, all alike."""
        return words[int(len(words) * self._random.random())]


def polarity(task: str, label: int, draw: Draws) -> str:
    """A judgement: class 1 praises."""
    main = _judgement(task, label, draw)
    if draw.chance(0.35):
        other = _judgement(task, 1 - label if draw.chance(0.8) else label, draw)
        joint = draw.any(CONCESSIONS)
        main = f"{joint} {other} , {main}" if draw.chance(0.5) else f"{main} , {joint} {other}"
    if draw.chance(0.3):
        main = f"{draw.any(TIMES)} , {main}"
    return f"{main} {draw.any(('.', '!', '...'))}"


def subjectivity(_task: str, label: int, draw: Draws) -> str:
    """Class 0 tells a plot and says in passing what somebody thinks of it, class 1 the other way round."""
    opinion = f"the {draw.one(THINGS['sst2'])} is {draw.any(HEDGES)} {draw.one((*GOOD, *BAD))}"
    plot = f"the {draw.one(PEOPLE)} {draw.one(ACTS)} the {draw.one(OBJECTS)} in the {draw.one(PLACES)}"
    main, aside = (plot, opinion) if label == 0 else (opinion, plot)
    joint = draw.any(("when", "because", *CONCESSIONS))
    if draw.chance(0.3):
        return f"{main} {draw.any(TIMES)} ." if label == 0 or draw.chance(0.3) else f"i think {main} ."
    if draw.chance(0.4):
        return f"{joint} {aside} , {main} ."
    return f"{main} {joint} {aside} ."


def question(_task: str, label: int, draw: Draws) -> str:
    """A question; its first noun or its opening says what kind of answer is asked for, later nouns distract."""
    kinds = tuple(HEADS)
    kind = kinds[label]
    thing = draw.one(LETTERS if kind == "abbreviation" and draw.chance(0.7) else OBJECTS)
    if draw.chance(0.5):
        asked = draw.any(OPENINGS[kind]).format(o=thing)
    else:
        asked = f"what {draw.one(HEADS[kind])} has the {thing}"
    if draw.chance(0.6):
        asked += f" that the {draw.one(HEADS[draw.any(kinds)])} of the {draw.one(HEADS[draw.any(kinds)])} has"
    return f"{asked} ?"


def acceptability(_task: str, label: int, draw: Draws) -> str:
    """Class 1 is well formed; class 0 has one fault, of order, agreement or repetition."""
    many = draw.chance(0.5)
    noun, place = draw.one(PEOPLE), draw.one(PLACES)
    verb = draw.one(ACTS)
    verb = verb[:-1] if many else verb
    words = ["the", f"{noun}s" if many else noun, verb, "the", draw.one(OBJECTS), "in", "the", place]
    if draw.chance(0.4):
        words = [*words, "and", "the", draw.one(PEOPLE), draw.one(ACTS), "it"]
    if label == 0:
        at = draw.any((0, 1, 1, 2))
        if at == 0:  # a noun before its article
            first = draw.any((0, 3, 6))
            words[first], words[first + 1] = words[first + 1], words[first]
        elif at == 1:  # the verb in another place
            words.insert(draw.any((0, 4, 6)), words.pop(2))
        else:  # the other number
            words[1] = noun if many else f"{noun}s"
    return f"{' '.join(words)} ."


def topic(_task: str, label: int, draw: Draws) -> str:
    """An item of news; a clause on another topic may go before or after it."""
    names = tuple(TOPICS)
    main = _news(names[label], draw)
    if draw.chance(0.5):
        main += f" {draw.one(TOPICS[names[label]][0])}"
    for _ in range(2):
        if draw.chance(0.5):
            other = _news(draw.any(names), draw)
            main = f"after the {other} , {main}" if draw.chance(0.5) else f"{main} , as the {other}"
    return f"the {main} {draw.any(TIMES)} ."


def _news(name: str, draw: Draws) -> str:
    nouns, verbs = TOPICS[name]
    verb = draw.one(verbs if draw.chance(0.7) else ACTS)
    subject = draw.one(nouns if draw.chance(0.8) else PEOPLE)
    return f"{subject} {verb} the {draw.one(nouns if draw.chance(0.5) else OBJECTS)}"


def _judgement(task: str, label: int, draw: Draws) -> str:
    turned = draw.chance(0.2)
    praised = bool(label) != turned
    thing = draw.one(THINGS[task])
    negation = f"{draw.any(NEGATIONS)} " if turned else ""
    if draw.chance(0.3):
        return f"i {negation}{draw.one(PRAISE if praised else BLAME)} the {thing}"
    hedge = f"{draw.any(HEDGES)} " if draw.chance(0.5) else ""
    return f"the {thing} was {negation}{hedge}{draw.one(GOOD if praised else BAD)}"


def _deed(draw: Draws) -> str:
    return f"{draw.one(ACTS)} the {draw.one(OBJECTS)} of a {draw.one(PEOPLE)} in a {draw.one(PLACES)}"


TASKS: dict[str, Callable[[str, int, Draws], str]] = {
    "sst2": polarity,
    "mr": polarity,
    "subj": subjectivity,
    "cr": polarity,
    "trec": question,
    "cola": acceptability,
    "ag_news": topic,
    "sentiment_books": polarity,
    "sentiment_dvd": polarity,
    "sentiment_electronics": polarity,
    "sentiment_kitchen": polarity,
    "sentiment_airline": polarity,
}
"""Corpus -> what writes its stand-in, in the order of `texts`."""
