"""What the thinker can be asked: questions with their answers, and the phrasings it is trained on and tested with."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import inflect

from .sentences import core_words

CAPITALS = {
    "france": "paris", "germany": "berlin", "spain": "madrid", "italy": "rome", "england": "london",
    "scotland": "edinburgh", "ireland": "dublin", "greece": "athens", "poland": "warsaw", "sweden": "stockholm",
    "norway": "oslo", "denmark": "copenhagen", "finland": "helsinki", "russia": "moscow", "china": "beijing",
    "japan": "tokyo", "india": "delhi", "egypt": "cairo", "canada": "ottawa", "cuba": "havana", "peru": "lima",
    "kenya": "nairobi", "turkey": "ankara", "portugal": "lisbon", "austria": "vienna", "hungary": "budapest",
    "belgium": "brussels", "america": "washington",
}  # fmt: skip

OPPOSITES = (
    "big small", "good bad", "new old", "long short", "hot cold", "fast slow", "happy sad", "easy hard", "loud quiet",
    "clean dirty", "dark light", "strong weak", "rich poor", "full empty", "open closed", "high low", "early late",
    "right wrong", "true false", "wet dry", "thick thin", "wide narrow", "safe dangerous", "day night", "summer winter",
    "north south", "east west", "yes no", "up down", "before after", "always never", "first last", "black white",
    "sharp blunt", "rough smooth", "sweet sour", "brave afraid", "young old", "deep shallow", "heavy light",
)  # fmt: skip

COLOURS = {
    "grass": "green", "snow": "white", "the sky": "blue", "the sun": "yellow", "milk": "white", "a leaf": "green",
    "an orange": "orange", "coal": "black", "a banana": "yellow", "a tomato": "red", "blood": "red", "a frog": "green",
    "an elephant": "grey", "a lemon": "yellow", "chocolate": "brown", "the night": "black", "a carrot": "orange",
}  # fmt: skip

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip

COUNTS = {
    "days are there in a week": ("seven", "there are seven days in a week"),
    "months are there in a year": ("twelve", "there are twelve months in a year"),
    "hours are there in a day": ("twenty four", "there are twenty four hours in a day"),
    "minutes are there in an hour": ("sixty", "there are sixty minutes in an hour"),
    "seconds are there in a minute": ("sixty", "there are sixty seconds in a minute"),
    "legs does a dog have": ("four", "a dog has four legs"),
    "legs does a spider have": ("eight", "a spider has eight legs"),
    "legs does a bird have": ("two", "a bird has two legs"),
    "wheels does a bicycle have": ("two", "a bicycle has two wheels"),
    "wheels does a car have": ("four", "a car has four wheels"),
    "letters are there in the alphabet": ("twenty six", "there are twenty six letters in the alphabet"),
    "fingers are there on a hand": ("five", "there are five fingers on a hand"),
    "seasons are there in a year": ("four", "there are four seasons in a year"),
}

YOUNG = {
    "dog": "puppy", "cat": "kitten", "cow": "calf", "horse": "foal", "sheep": "lamb", "lion": "cub", "duck": "duckling",
    "hen": "chick", "goat": "kid", "pig": "piglet",
}  # fmt: skip

SOUNDS = {
    "dog": "barks", "cat": "meows", "cow": "moos", "lion": "roars", "duck": "quacks", "bee": "buzzes",
    "snake": "hisses", "wolf": "howls", "sheep": "bleats", "horse": "neighs",
}  # fmt: skip

TALK = {
    "hello": "hello, how can i help you",
    "good morning": "good morning to you",
    "good night": "good night, sleep well",
    "how are you": "i am very well, thank you",
    "who are you": "i am a small voice in a computer",
    "what is your name": "my name is omni",
    "who made you": "people who like small models made me",
    "can you speak": "yes, i can speak",
    "can you sing": "no, i can only speak",
    "are you a person": "no, i am a computer model",
    "do you like music": "yes, i like music very much",
    "thank you": "you are very welcome",
    "goodbye": "goodbye, see you soon",
    "what can you do": "i can answer easy questions",
    "are you happy": "yes, i am happy",
    "where are you": "i am in your computer",
}

_NUMBERS = inflect.engine()


def _number(value: int) -> str:
    return str(_NUMBERS.number_to_words(value)).replace("-", " ")


UNKNOWN = "i am sorry, i do not know that"

_ASKED = {
    "capital": (
        "what is the capital of {0}", "what's the capital of {0}", "tell me the capital of {0}", "capital of {0}",
        "name the capital of {0}", "do you know the capital of {0}", "which city is the capital of {0}",
        "please tell me the capital of {0}", "the capital of {0} is", "say the capital of {0}",
        "what is the capital city of {0}", "i want to know the capital of {0}", "give me the capital of {0}",
    ),
    "sum": (
        "what is {0} plus {1}", "add up {0} and {1}", "what do {0} and {1} make", "what does {0} and {1} make",
        "what's {0} plus {1}", "how much is {0} plus {1}", "{0} plus {1}", "add {0} and {1}",
        "tell me {0} plus {1}", "what do you get from {0} plus {1}", "what is the sum of {0} and {1}",
        "calculate {0} plus {1}", "{0} plus {1} is", "what does {0} plus {1} make", "please add {0} and {1}",
    ),
    "difference": (
        "what is {0} minus {1}", "subtract {1} from {0}", "what is left when you take {1} from {0}",
        "what's {0} minus {1}", "how much is {0} minus {1}", "{0} minus {1}",
        "take {1} from {0}", "tell me {0} minus {1}", "calculate {0} minus {1}", "{0} minus {1} is",
        "what does {0} minus {1} make", "please take {1} from {0}",
    ),
    "product": (
        "what is {0} times {1}", "what is {0} multiplied by {1}", "what do {0} times {1} make",
        "what's {0} times {1}", "how much is {0} times {1}", "{0} times {1}",
        "multiply {0} by {1}", "tell me {0} times {1}", "calculate {0} times {1}", "{0} times {1} is",
        "what does {0} times {1} make", "please multiply {0} by {1}",
    ),
    "opposite": (
        "what is the opposite of {0}", "what's the opposite of {0}", "opposite of {0}", "tell me the opposite of {0}",
        "give me the opposite of {0}", "do you know the opposite of {0}", "the opposite of {0} is",
        "say the opposite of {0}", "please tell me the opposite of {0}", "which word is the opposite of {0}",
    ),
    "colour": (
        "what colour is {0}", "which color is {0}", "tell me the color of {0}",
        "which colour is {0}", "tell me the colour of {0}", "what is the colour of {0}",
        "what's the colour of {0}", "do you know the colour of {0}", "please tell me the colour of {0}",
        "what colour does {0} have", "the colour of {0}", "what color is {0}",
    ),
    "after": (
        "what comes after {0}", "what is after {0}", "what follows {0}", "tell me what comes after {0}",
        "which one comes after {0}", "what comes next after {0}", "do you know what comes after {0}",
        "please tell me what comes after {0}", "what is next after {0}",
    ),
    "before": (
        "what comes before {0}", "what is before {0}", "tell me what comes before {0}", "which one comes before {0}",
        "do you know what comes before {0}", "please tell me what comes before {0}", "what comes right before {0}",
    ),
    "count": (
        "how many {0}", "tell me how many {0}", "do you know how many {0}", "please tell me how many {0}",
        "i want to know how many {0}", "can you tell me how many {0}", "say how many {0}",
    ),
    "young": (
        "what is a young {0} called", "what is the name of a young {0}", "the word for a young {0}",
        "what do you call a young {0}", "what is a baby {0} called",
        "what do you call a baby {0}", "tell me what a young {0} is called", "what's a young {0} called",
        "do you know what a young {0} is called", "name for a young {0}",
    ),
    "noise": (
        "what does a {0} do", "what is the sound of a {0}",
        "what sound does a {0} make", "what noise does a {0} make", "tell me what a {0} does",
        "how does a {0} sound", "which sound does a {0} make", "tell me the sound of a {0}",
    ),
    "talk": ("{0}", "{0} please", "please, {0}", "well, {0}", "so, {0}", "okay, {0}", "{0} omni"),
    "repeat": (
        "say {0}", "repeat {0}", "repeat after me: {0}", "please say {0}", "can you say {0}", "say this: {0}",
        "repeat after me, {0}", "please repeat {0}",
    ),
}  # fmt: skip

HELD_OUT = 2
"""The last phrasings of every kind are never trained on."""


@dataclass(frozen=True)
class Question:
    """One thing to be asked: `kind` picks the phrasings, `slots` fill them."""

    kind: str
    slots: tuple[str, ...]
    answer: str

    @property
    def plain(self) -> str:
        """The published phrasing."""
        return _ASKED[self.kind][0].format(*self.slots)

    def trained(self) -> list[str]:
        """Phrasings to train on."""
        return [form.format(*self.slots) for form in _ASKED[self.kind][:-HELD_OUT]]

    def unseen(self) -> list[str]:
        """Phrasings never trained on."""
        return [form.format(*self.slots) for form in _ASKED[self.kind][-HELD_OUT:]]


def all_questions() -> list[Question]:
    """The published list."""
    return [*_facts(), *_arithmetic(), *_orders(), *_things(), *(Question("talk", (q,), a) for q, a in TALK.items())]


def repetition(text: str) -> Question:
    """ "Say this", with the text as its answer."""
    return Question("repeat", (text,), text)


def _facts() -> Iterator[Question]:
    for country, city in CAPITALS.items():
        yield Question("capital", (country,), f"the capital of {country} is {city}")
    answered = set()
    for pair in OPPOSITES:
        for word, other in (pair.split(), pair.split()[::-1]):
            if word not in answered:
                answered.add(word)
                yield Question("opposite", (word,), f"the opposite of {word} is {other}")
    for thing, colour in COLOURS.items():
        yield Question("colour", (thing,), f"{thing} is {colour}")


def _arithmetic() -> Iterator[Question]:
    for a in range(11):
        for b in range(11):
            yield _calculation("sum", "plus", a, b, a + b)
            if a + b <= 10:
                yield _calculation("difference", "minus", a + b, a, b)
            if 1 <= a <= 10 and 2 <= b <= 5:
                yield _calculation("product", "times", a, b, a * b)


def _calculation(kind: str, sign: str, a: int, b: int, result: int) -> Question:
    left, right, answer = (_number(value) for value in (a, b, result))
    return Question(kind, (left, right), f"{left} {sign} {right} is {answer}")


def _orders() -> Iterator[Question]:
    numbers = [_number(value) for value in range(1, 21)]
    for circle in (DAYS, MONTHS):
        for index, name in enumerate(circle):
            yield Question("after", (name,), f"{circle[(index + 1) % len(circle)]} comes after {name}")
            yield Question("before", (name,), f"{circle[index - 1]} comes before {name}")
    for first, second in pairwise(numbers):
        yield Question("after", (first,), f"{second} comes after {first}")
        yield Question("before", (second,), f"{first} comes before {second}")


def _things() -> Iterator[Question]:
    for rest, (_, answer) in COUNTS.items():
        yield Question("count", (rest,), answer)
    for animal, name in YOUNG.items():
        yield Question("young", (animal,), f"a young {animal} is called a {name}")
    for animal, sound in SOUNDS.items():
        yield Question("noise", (animal,), f"a {animal} {sound}")


def nonsense(rng: random.Random) -> str:
    """A question that nothing in the list answers."""
    words = core_words()
    form = rng.choice(_UNANSWERED)
    return re.sub(r"\{(\w+)\}", lambda slot: rng.choice(words[slot[1]]), form)


def dressed(question: str, rng: random.Random) -> str:
    """A question as people type it: capitals, marks and figures, or none."""
    text = question
    if rng.random() < 0.25:
        text = " ".join(_FIGURES.get(word, word) for word in text.split(" "))
    if rng.random() < 0.3:
        text = " ".join(word.capitalize() if word in CAPITALS else word for word in text.split(" "))
    if rng.random() < 0.4:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.5:
        text += rng.choice("?.!?")
    return text


_FIGURES = {_number(value): str(value) for value in range(21)}

_UNANSWERED = (
    "where is the {adjective} {thing}", "who is the {person} of {country}", "why is the {thing} {colour}",
    "what does the {person} {verb}", "who {past} the {thing}", "when will the {person} {verb} the {thing}",
    "how old is the {person}", "where does the {animal} {verb}", "what is in the {thing}", "why did they {verb} it",
    "how many {thing}s are in the {place}", "what is the name of your {person}", "what is the weather in {capital}",
    "which {thing} is the best", "can you {verb} the {thing}", "do you have a {thing}", "how do i {verb} a {thing}",
    "what time does the {place} open", "who lives in {capital}", "tell me about the {thing}",
    "is the {thing} {adjective}", "what is a {thing}",
    "how far is {capital} from {capital}", "what happened on {day}", "where was the {animal}",
)  # fmt: skip
