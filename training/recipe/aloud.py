"""How people ask aloud: in more ways than they write, with words before and after that mean nothing."""

from __future__ import annotations

import random

from .questions import Question
from .thinker import addressed

ALOUD = {
    "capital": (
        "can you tell me the capital of {0}", "could you name the capital of {0}", "what would be the capital of {0}",
        "i would like to hear the capital of {0}", "which town is the capital of {0}",
        "the capital city of {0} please", "do you remember the capital of {0}", "{0} has which capital",
    ),
    "sum": (
        "can you add {0} and {1}", "how much do {0} and {1} make", "do you know {0} plus {1}", "what is {0} and {1}",
        "i want to know {0} plus {1}", "please tell me {0} plus {1}", "give me {0} plus {1}", "take {0} and add {1}",
        "could you work out {0} plus {1}", "so what is {0} plus {1}",
    ),
    "difference": (
        "can you take {1} from {0}", "please tell me {0} minus {1}", "i want to know {0} minus {1}",
        "give me {0} minus {1}", "do you know {0} minus {1}", "what is {0} less {1}", "please subtract {1} from {0}",
        "could you work out {0} minus {1}", "how much does {0} minus {1} make",
    ),
    "product": (
        "can you multiply {0} by {1}", "please tell me {0} times {1}", "i want to know {0} times {1}",
        "give me {0} times {1}", "do you know {0} times {1}", "could you work out {0} times {1}",
        "how much do {0} times {1} make", "{0} multiplied by {1}",
    ),
    "opposite": (
        "can you tell me the opposite of {0}", "i want to know the opposite of {0}", "name the opposite of {0}",
        "what would be the opposite of {0}", "please say the opposite of {0}", "which is the opposite of {0}",
        "what word means the opposite of {0}", "so what is the opposite of {0}",
    ),
    "colour": (
        "can you tell me which colour {0} is", "i want to know which colour {0} has", "give me a colour for {0}",
        "please say which colour {0} is", "of what colour is {0}", "which colour does {0} have",
        "so which colour is {0}", "what colour would {0} be",
    ),
    "after": (
        "can you tell me what comes after {0}", "i want to know what comes after {0}", "say what comes after {0}",
        "which comes next after {0}", "what comes right after {0}", "and what comes after {0}",
        "please say what follows {0}",
    ),
    "before": (
        "can you tell me what comes before {0}", "i want to know what comes before {0}", "say what comes before {0}",
        "what came before {0}", "please say what is before {0}", "which comes just before {0}",
        "so what comes before {0}",
    ),
    "count": (
        "could you find out how many {0}", "i would like to know how many {0}", "do you remember how many {0}",
        "so how many {0}", "i ask you how many {0}", "please answer, how many {0}",
    ),
    "young": (
        "can you tell me what a young {0} is called", "i want to know what a young {0} is called",
        "please tell me the name of a young {0}", "how do you call a young {0}", "say what a baby {0} is called",
        "do you know the word for a young {0}", "give me the name of a baby {0}",
    ),
    "noise": (
        "can you tell me what a {0} does", "i want to know how a {0} sounds", "what is the noise of a {0}",
        "please tell me which noise a {0} makes", "say what sound a {0} makes", "do you know the sound of a {0}",
        "give me the noise of a {0}",
    ),
    "talk": ("now, {0}", "oh, {0}", "yes, {0}", "and {0}", "{0} my friend", "right, {0}", "hey, {0}"),
}  # fmt: skip
"""Phrasings that only the ear is trained on."""

THINGS = {
    "capital": (
        "the capital of {0}", "the capital city of {0}", "the capital town of {0}", "the main city of {0}",
        "the city that is the capital of {0}", "the name of the capital of {0}", "{0} and its capital",
    ),
    "sum": (
        "{0} plus {1}", "the sum of {0} and {1}", "the total of {0} and {1}", "{0} and {1} together",
        "the result of {0} plus {1}", "the answer to {0} plus {1}", "the value of {0} plus {1}",
    ),
    "difference": (
        "{0} minus {1}", "{0} less {1}", "{0} take away {1}", "the result of {0} minus {1}",
        "the answer to {0} minus {1}", "the value of {0} minus {1}", "the rest of {0} minus {1}",
    ),
    "product": (
        "{0} times {1}", "{0} multiplied by {1}", "the product of {0} and {1}", "the result of {0} times {1}",
        "the answer to {0} times {1}", "the value of {0} times {1}",
    ),
    "opposite": (
        "the opposite of {0}", "the opposite word of {0}", "the word opposite to {0}",
        "a word that is the opposite of {0}", "a good opposite of {0}", "the exact opposite of {0}",
    ),
    "colour": ("the usual colour of {0}", "a colour for {0}", "the right color for {0}"),
    "after": ("the one after {0}", "the one that comes after {0}", "the next one after {0}"),
    "before": ("the one before {0}", "the one that comes before {0}", "the last one before {0}"),
    "young": ("the name of a young {0}", "the word for a baby {0}", "the name of a baby {0}", "a word for a young {0}"),
    "noise": ("the noise of a {0}", "the usual sound of a {0}", "the noise a {0} makes", "the sound that a {0} makes"),
}  # fmt: skip
"""What one can ask for."""
CLAUSES = {
    "capital": (
        "what the capital of {0} is", "which city is {0}'s capital", "how the capital of {0} is called",
        "what they call the capital of {0}",
    ),
    "sum": (
        "what {0} plus {1} is", "how much {0} plus {1} is", "what {0} plus {1} makes", "what {0} and {1} make",
        "what you get if you add {0} and {1}", "how much {0} and {1} are", "what comes out of {0} plus {1}",
    ),
    "difference": (
        "what {0} minus {1} is", "how much {0} minus {1} is", "what {0} minus {1} makes",
        "what you get if you take {1} from {0}", "what remains if you take {1} from {0}",
        "what comes out of {0} minus {1}",
    ),
    "product": (
        "what {0} times {1} is", "how much {0} times {1} is", "what {0} times {1} makes",
        "what you get if you multiply {0} by {1}", "how much {0} times {1} are", "what comes out of {0} times {1}",
    ),
    "opposite": (
        "what the opposite of {0} is", "what is the opposite of {0}", "which word means the opposite of {0}",
        "what would be the opposite of {0}",
    ),
    "colour": (
        "which colour {0} has", "what colour {0} is", "which color {0} is", "what colour people see in {0}",
        "what the colour of {0} is",
    ),
    "after": (
        "what comes after {0}", "what goes after {0}", "what follows {0}", "which one follows {0}",
        "what comes after {0} is", "what you say after {0}",
    ),
    "before": (
        "what comes before {0}", "what goes before {0}", "what is just before {0}", "which one is before {0}",
        "what you say before {0}",
    ),
    "count": ("how many {0}",),
    "young": (
        "what a young {0} is called", "what you call a young {0}", "how people call a baby {0}",
        "what a baby {0} is called", "what we call a young {0}",
    ),
    "noise": (
        "what a {0} does", "how a {0} sounds", "what sound a {0} makes", "which noise a {0} makes",
        "what a {0} always does",
    ),
}  # fmt: skip
"""What one can ask about."""

ASKING = (
    "tell me", "please tell me", "can you tell me", "could you tell me", "would you tell me", "will you tell me",
    "i want to know", "i would like to know", "i would love to know", "i need to know", "we want to know",
    "do you know", "do you remember", "do you still know", "let me know", "let us know", "let me hear", "say",
    "please say", "just say", "can you say", "i forgot", "i have forgotten", "i wonder", "i am asking you",
    "i asked you", "my friend asks", "he wants to know", "she would like to know", "my brother asked",
    "my question is", "the question is", "the next question is", "one more question", "here is a question",
    "a short question", "answer me", "please answer", "find out", "please find out", "explain",
    "show me that you know", "guess", "try to guess", "are you sure", "i bet you know", "you must know", "teach me",
    "remind me", "help me, i forgot", "what do you think",
)  # fmt: skip
"""Before what is asked for or about."""
DIRECT = (
    "what is", "what's", "what was", "what would be", "what could be", "what about", "how about", "and what is",
    "so what is", "give me", "please give me", "can you give me", "i need", "we need", "find", "look for", "name",
    "tell us", "can you name", "could you find", "i am looking for", "think of", "can you think of",
    "have you heard of", "and", "",
)  # fmt: skip
"""Before what is asked for."""
OPENINGS = (
    "now", "well", "so", "and", "but", "hello", "hey", "hi", "listen", "look", "excuse me", "sorry", "good",
    "all right", "yes", "no", "oh", "then", "next", "today", "dear friend", "my friend", "computer", "quickly",
    "slowly", "once more", "again", "one question", "wait", "thank you", "come on", "let me see", "first",
    "last question", "tell me this",
)  # fmt: skip
CLOSINGS = (
    "please", "now", "then", "again", "today", "for me", "for us", "my friend", "if you can", "if you know",
    "thank you", "quickly", "slowly", "right now", "this time", "at once", "by the way", "once more", "in one word",
    "i wonder", "do you know", "can you say", "my dear", "exactly", "really", "in short",
)  # fmt: skip
"""Around what is said: neither is a phrasing that is held out."""


def asked_aloud(asked: Question, rng: random.Random) -> str:
    """The question in any phrasing, none of which is held out or has one that is in it."""
    held_out = [plainly(form) for form in asked.unseen()]
    while True:
        text = _composed(asked, rng) if rng.random() < 0.6 else addressed(_phrased(asked, rng), rng)
        if not any(f" {form} " in f" {plainly(text)} " for form in held_out):
            return text


def spoken_around(text: str, rng: random.Random) -> str:
    """With words before and after that mean nothing, as often as not."""
    before = f"{rng.choice(OPENINGS)}{rng.choice((', ', ' '))}" if rng.random() < 0.35 else ""
    after = f"{rng.choice((', ', ' '))}{rng.choice(CLOSINGS)}" if rng.random() < 0.3 else ""
    return f"{before}{text}{after}"


def plainly(text: str) -> str:
    """Without commas, as it is heard."""
    return text.replace(",", "")


def _phrased(asked: Question, rng: random.Random) -> str:
    return rng.choice([*asked.trained(), *(form.format(*asked.slots) for form in ALOUD[asked.kind])])


def _composed(asked: Question, rng: random.Random) -> str:
    things, clauses = THINGS.get(asked.kind, ()), CLAUSES.get(asked.kind, ())
    if not clauses or rng.random() < 0.25:
        return spoken_around(_phrased(asked, rng), rng)
    form = rng.choice((*things, *clauses))
    leads = ASKING if form in clauses or rng.random() < 0.5 else DIRECT
    return spoken_around(f"{rng.choice(leads)} {form.format(*asked.slots)}".strip(), rng)
