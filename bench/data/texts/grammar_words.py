"""The word lists of the grammar: plain data, the more frequent words of each list first."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


GOOD = _words(
    "good great fine excellent wonderful pleasant superb solid brilliant charming splendid delightful impressive "
    "enjoyable remarkable lovely admirable refreshing flawless terrific satisfying graceful outstanding memorable"
)
BAD = _words(
    "bad poor awful terrible dull weak disappointing dreadful mediocre annoying clumsy miserable horrible tedious "
    "shoddy lousy unpleasant flawed forgettable pathetic frustrating sloppy abysmal tiresome"
)
PRAISE = _words("loved enjoyed admired adored praised recommended cherished applauded")
BLAME = _words("hated disliked regretted despised criticised resented avoided detested")
HEDGES = _words("really quite rather truly fairly somewhat simply certainly honestly frankly clearly perhaps")
NEGATIONS = _words("not never hardly scarcely by_no_means")
CONCESSIONS = _words("although though while even_though whereas")
TIMES = _words("today yesterday again last_week in_the_end on_monday this_year at_first before_long once_more")

THINGS = {
    "sst2": _words("film movie story cast script drama comedy direction plot acting scene ending dialogue tone"),
    "mr": _words("picture film thriller screenplay performance humour pacing romance documentary premise star sequel"),
    "cr": _words("player camera phone router battery software menu screen lens remote manual speaker zoom button"),
    "sentiment_books": _words("book novel chapter author prose character writing edition essay biography narrator"),
    "sentiment_dvd": _words("disc dvd season episode transfer soundtrack box extras commentary series remaster"),
    "sentiment_electronics": _words("cable headset charger monitor keyboard antenna printer adapter mouse radio"),
    "sentiment_kitchen": _words("knife pan toaster blender kettle oven grinder mug skillet mixer lid handle"),
    "sentiment_airline": _words("flight crew seat meal cabin staff lounge boarding check-in luggage service pilot"),
}
"""What the reviews of each task of polarity are about."""

PEOPLE = _words("teacher doctor farmer sailor singer lawyer painter soldier student baker driver widow pilot nurse")
PLACES = _words("village city harbour island castle valley school forest station hospital desert market bridge museum")
ACTS = _words("finds follows leaves meets hides saves visits steals chases paints betrays remembers discovers loses")
OBJECTS = _words("letter horse map ring key boat lamp coat violin basket mirror wagon ticket clock bottle ladder")

TOPICS = {
    "world": (
        _words("president minister parliament army rebels embassy voters diplomats refugees government ceasefire un"),
        _words("signs condemns negotiates elects invades bombs protests withdraws arrests mediates"),
    ),
    "sports": (
        _words("striker coach goalkeeper champion team referee sprinter league fans captain pitcher tournament"),
        _words("scores wins defeats trains qualifies tackles sprints equalises retires celebrates"),
    ),
    "business": (
        _words("shares bank investors profit retailer merger oil market shareholders airline earnings dollar"),
        _words("falls rises acquires reports trades borrows invests lends cuts forecasts"),
    ),
    "sci/tech": (
        _words("software satellite researchers browser chip telescope virus network scientists robot laptop server"),
        _words("launches downloads patches detects computes upgrades encrypts measures clones streams"),
    ),
}
"""Nouns and verbs of each topic."""

HEADS = {
    "abbreviation": _words("abbreviation acronym abbreviated_form full_form"),
    "description": _words("meaning origin purpose reason difference cause definition"),
    "entity": _words("animal food colour language instrument plant vehicle disease sport currency"),
    "human": _words("actor president inventor painter author king company team astronaut singer"),
    "location": _words("city country river mountain state continent capital island street ocean"),
    "number": _words("year date distance percentage price speed population temperature age weight"),
}
"""What a question of each kind asks for."""
OPENINGS = {
    "abbreviation": ("what does {o} stand for", "what is the abbreviation of {o}"),
    "description": ("how do you repair a {o}", "why is a {o} used", "what is a {o}"),
    "entity": ("what do you put into a {o}", "which kind of {o} is it"),
    "human": ("who invented the {o}", "who lost the {o}", "whose {o} was it"),
    "location": ("where is the {o}", "where was the {o} found"),
    "number": ("how many of the {o} are there", "when was the {o} built", "how much is a {o}"),
}
LETTERS = _words("nasa cpu dna fbi nato rsvp gmt laser radar usb ufo ceo")
"""What an abbreviation is asked of."""
