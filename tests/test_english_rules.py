"""Numbers in words, and which rules of written English a text is held to."""

from __future__ import annotations

import random
import re
import string
import sys
from typing import Any

import inflect
import pytest

from omniggml.text.english import expressions, numbers
from omniggml.text.english.rules import OF_LETTERS, RULES
from omniggml.text.spoken_english import spoken_text

if sys.version_info >= (3, 11):
    from re import _constants as constants
    from re import _parser as parser
else:
    import sre_constants as constants
    import sre_parse as parser

_INFLECT = inflect.engine()
_PLAIN = frozenset(string.ascii_letters + "' .,?!\n")


def _by_inflect(figures: str) -> str:
    return str(_INFLECT.number_to_words(figures)).replace("-", " ")  # type: ignore[arg-type]


def test_numbers_are_said_as_another_program_says_them() -> None:
    rng = random.Random(5)
    values = {*range(1200), *(rng.randrange(10 ** rng.randrange(1, 19)) for _ in range(1500))}
    values |= {10**power + more for power in range(2, 18) for more in (-1, 0, 1, 5, 100)}
    for value in sorted(values):
        assert numbers.cardinal(value) == _by_inflect(str(value))
        assert numbers.ordinal(value) == _by_inflect(f"{value}th")
        decimals = f"{value % 10**11:,}.{rng.randrange(1000):03}"
        assert numbers.cardinal(decimals) == _by_inflect(decimals.replace(",", ""))


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ("007", "zero zero seven"),
        (".5", "zero point five"),
        ("1000000000000000000", f"one{' zero' * 18}"),
    ],
)
def test_what_is_no_plain_number_is_read_figure_by_figure(figures: str, said: str) -> None:
    assert numbers.cardinal(figures) == said


def test_an_ordinal_of_any_size_is_said() -> None:
    assert numbers.ordinal(10**35) == "one hundred decillionth"
    assert numbers.ordinal(10**36) == f"number one{' zero' * 36}"


# --- which rules letters alone are held to ----------------------------------------------------------------------------


def _letters_of(category: Any) -> frozenset[str]:
    kind = str(category).removeprefix("CATEGORY_")
    found = {
        "DIGIT": frozenset(string.digits),
        "SPACE": frozenset(" \n"),
        "WORD": frozenset(string.ascii_letters),
    }[kind.removeprefix("NOT_")]
    return _PLAIN - found if kind.startswith("NOT_") else found & _PLAIN


def _of_a_set(items: Any, any_case: bool) -> frozenset[str]:
    found: set[str] = set()
    for kind, what in items:
        if kind is constants.LITERAL:
            found.add(chr(what))
        elif kind is constants.RANGE:
            found |= {letter for letter in _PLAIN if what[0] <= ord(letter) <= what[1]}
        elif kind is constants.CATEGORY:
            found |= _letters_of(what)
    if any_case:
        found |= {letter.swapcase() for letter in found}
    return _PLAIN - found if items[0][0] is constants.NEGATE else _PLAIN & found


def _may_be_plain(parts: Any, any_case: bool) -> bool:
    """Whether a pattern may find something in a text of letters and the marks of sentences: False is a proof."""
    for kind, what in parts:
        if kind is constants.LITERAL:
            may = chr(what) in _PLAIN
        elif kind is constants.IN:
            may = bool(_of_a_set(what, any_case))
        elif kind is constants.BRANCH:
            may = any(_may_be_plain(branch, any_case) for branch in what[1])
        elif kind is constants.SUBPATTERN:
            may = _may_be_plain(what[-1], any_case)
        elif kind in (constants.MAX_REPEAT, constants.MIN_REPEAT):
            may = what[0] == 0 or _may_be_plain(what[2], any_case)
        elif kind is constants.ASSERT:
            may = _may_be_plain(what[1], any_case)
        else:
            may = True
        if not may:
            return False
    return True


def test_no_other_rule_finds_anything_among_letters() -> None:
    for rule in RULES:
        if _may_be_plain(parser.parse(rule.source, rule.flags), bool(rule.flags & re.IGNORECASE)):
            # An expression has an operator, a power or a root, all of them signs, or else is left as it is.
            assert rule in OF_LETTERS or rule in expressions.RULES, rule.source


def test_letters_alone_are_said_as_all_rules_say_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    said = (
        "Hello the St. Dr. Mr Mrs. e.g. i.e. U.S. NASA AIDS XIV Henry VIII II I a A sin log dx pi Pi No. Jan. May Mon. "
        "Sat, page iv Max. NaCl He www.example.com example.org it's James' ok etc. vs. IR ma ut x y OK PhD Ph.D. J. R. "
        "Smith Ave. Main Ave, N W 'x' '.' :D XD pcs ea. tel. said. And then! Why? co-op"
    )
    words = said.split()
    texts = [" ".join(rng.choices(words, k=rng.randrange(1, 9))) for _ in range(600)]
    quick = [spoken_text(text) for text in texts]
    monkeypatch.setattr("omniggml.text.spoken_english.OF_LETTERS", frozenset(RULES))
    assert quick == [spoken_text(text) for text in texts]
