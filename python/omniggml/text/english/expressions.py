"""The grammar of expressions: operands, and the operators between them.

An operand is an amount (a number with its currency or unit), a variable with what it is multiplied by, a function, or
what stands in brackets; each may be raised to a power. Amounts are left as they are for the rules that know them. What
is said here is operators, variables and powers: a hyphen is a minus where something is computed and "to" between
amounts that grow, a stroke is "over" or "per", and letters are said one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from omniggml.text.english.compound_units import COMPOUND, measured
from omniggml.text.english.money import CURRENCIES, IN_WORDS, MAGNITUDES
from omniggml.text.english.numbers import NUMBER, cardinal, power
from omniggml.text.english.raised import FUNCTIONS
from omniggml.text.english.rule import Rule, either, rule
from omniggml.text.english.unit_names import LENGTHS

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega"
)
_MINUS = "[-\u2212\u2013]"
_SIGNS = either(sign for sign in CURRENCIES if not sign.isalpha())
_CODES = either(sign for sign in CURRENCIES if sign.isalpha())
_NUMBER = rf"(?:{NUMBER}|\.\d+)"
_SCIENTIFIC = r"(?:[eE][-+\u2212]?\d{1,3}(?![\w.]\d))"
_IN_WORDS = rf"\s?(?:{IN_WORDS})\b"
_LETTERS_BEHIND = r"(?:[a-z]|d[a-z]|[abckmnpqrtuvwxyz]{2,3})(?<!\d[ap]m)(?<!nd)(?<!rd)(?<!mn)(?<!bn)(?<!tn)"
_INDEX = r"(?:_?\d{1,2})?"
_NAMES = f"{'|'.join(GREEK.split())}|{'|'.join(FUNCTIONS)}"
_POWER = (
    r"\^\s?(?:\((?P<group>[^()]{1,80}(?:\([^()]{1,40}\)[^()]{0,40})?)\)|\{(?P<braces>[^{}]{1,80})\}"
    rf"|(?P<plain>[-+\u2212]?(?:{_NUMBER}(?!\.?\d)|(?:{'|'.join(GREEK.split())}|[A-Za-z])(?![A-Za-z]))))"
)
_TOKEN = rf"""
(?P<space>[ ]{{1,3}})
|(?P<amount>(?<![\w.:'])(?:
    (?P<currency>{_SIGNS}|(?:{_CODES})(?=\s?\d))\s?(?P<priced>{_NUMBER})
    (?P<size>{_IN_WORDS}|\s?(?:{either(MAGNITUDES)})(?![\w^/]))?
    |(?P<number>{_NUMBER}{_SCIENTIFIC}?)(?P<magnitude>{_IN_WORDS}|(?:k|M|bn)(?![\w^/]))?)
    (?:\s?(?P<unit>{COMPOUND}|%|{_SIGNS}|(?:{_CODES})\b))?(?P<per>/(?:{COMPOUND}|[a-z]{{3,9}})(?![\w^]))?(?![\w'"\u00b0]|[.,:]\d))
|(?P<product>(?<![\w.:'])(?P<times>{NUMBER})(?P<letters>{_LETTERS_BEHIND}(?:_\d{{1,2}})?)(?![\w']))
|(?P<greek>(?<![A-Za-z'-])(?P<before>{NUMBER}\s?)?(?P<name>{_NAMES})(?![A-Za-z'])(?!-[A-Za-z]{{2}}))
|(?P<differential>(?<![\w'-])d[a-z](?=/d[a-z]\b)|(?<=[a-z]/)d[a-z]\b|(?<=[\w)]\s)d[xyzt](?![\w'.-]))
|(?P<raised>(?<![\w'-])[A-Za-z]{{2,3}}(?=\^))
|(?P<word>(?<![\w'-])(?:(?<=[=+*/\u2212-]\s)(?:[A-Za-z]{{2,3}})|[A-Z]{{2}}(?=\s?=\s?[A-Za-z\d]{{1,3}}\b))(?=\s?(?:[-+*/\u2212^=<>.,;)]|$)))
|(?P<variable>(?:(?<![\w'.])|(?<=\^\d))[A-Za-z]{_INDEX}(?![\w'])(?!-[A-Za-z]{{2}})(?!\.[A-Za-z]))
|(?P<power>{_POWER})
|(?P<operator><=|>=|!=|==|\*\*|[-\u2212\u2013+=<>*/\u00d7\u00f7\u00b7\u22c5\u2219\u2264\u2265\u2260\u2248\u00b1\u2213~])
|(?P<root>[\u221a\u221b\u221c\u2202\u2207\u221e])
|(?P<open>[(\[])
|(?P<close>[)\]])
"""
_HYPHENS = ("-", "\u2013")
_COMPUTING = frozenset(("+", "\u00d7", "\u00f7", "*", "\u00b7", "\u22c5", "\u2219", "\u00b1", "\u2213", "**", "\u2212"))
_OPERANDS = frozenset(("amount", "product", "greek", "differential", "raised", "word", "variable"))
_PRODUCTS = ("ma", "IR", "ut", "at")


@dataclass
class _Token:
    kind: str
    text: str
    found: re.Match[str]
    apart: bool  # whether a space is before it

    def __getitem__(self, name: str) -> str:
        return self.found[name] or ""

    @property
    def number(self) -> str:
        return self["number"] or self["priced"] or self["times"]

    @property
    def magnitude(self) -> str:
        size = (self["magnitude"] or self["size"]).strip()
        return MAGNITUDES.get(size, size)


@cache
def _tokens() -> re.Pattern[str]:
    return re.compile(_TOKEN, re.VERBOSE)


def _read(found: re.Match[str]) -> str:
    return _Expression(found).said()


class _Expression:
    """A run of operands and operators."""

    def __init__(self, found: re.Match[str]) -> None:
        self._text = found[0]
        self._behind = found.string[found.end() : found.end() + 1]
        self._before = found.string[max(0, found.start() - 2) : found.start()]
        self._tokens: list[_Token] = []
        apart = False
        for token in _tokens().finditer(found.string, found.start(), found.end()):
            kind = str(token.lastgroup)
            if kind == "space":
                apart = True
                continue
            kind = next(name for name in _KINDS if token[name] is not None)
            self._tokens.append(_Token(kind, token[0], token, apart))
            apart = False
        self._algebraic = [self._is_algebra(at) for at in range(len(self._tokens))]
        self._computed = self._is_computed()
        for at in range(len(self._tokens)):
            self._algebraic[at] = self._algebraic[at] or self._is_a_letter_after_all(at)

    def said(self) -> str:
        tokens = self._tokens
        if not any(token.kind in ("operator", "power", "root") for token in tokens):
            return self._text
        if self._is_a_unit():
            return self._text
        words = [self._word(at) for at in range(len(tokens))]
        if all(word is None for word in words):
            return self._text
        said = "".join(
            (" " if token.apart else "") + (token.text if word is None else f" {word} ")
            for token, word in zip(tokens, words, strict=True)
        )
        lead = " " if self._text[:1] == " " else ""
        return lead + said + (" " if self._text[-1:] == " " else "")

    def _is_a_unit(self) -> bool:
        """By itself, or behind another: m^2, the end of mol*L^-1."""
        binary = any(token.kind == "operator" and self._is_binary(at) for at, token in enumerate(self._tokens))
        behind = self._tokens[0].text in ("\u00b7", "\u22c5", "/") and self._before[-1:].isalpha()
        return not binary and (behind or any(token.text in LENGTHS for token in self._tokens))

    # --- what is what -----------------------------------------------------------------------------------------------

    def _at(self, at: int) -> _Token | None:
        return self._tokens[at] if 0 <= at < len(self._tokens) else None

    def _kind(self, at: int) -> str:
        token = self._at(at)
        return "" if token is None else token.kind

    def _operator(self, at: int) -> str:
        token = self._at(at)
        return token.text if token is not None and token.kind == "operator" else ""

    def _ends_operand(self, at: int) -> bool:
        return self._kind(at) in (*_OPERANDS, "close", "power")

    def _begins_operand(self, at: int) -> bool:
        return self._kind(at) in (*_OPERANDS, "open", "root")

    def _is_binary(self, at: int) -> bool:
        """Whether there is something on both sides of an operator."""
        behind = at + 1
        if self._operator(behind) in ("-", "\u2212", "\u2213", "\u00b1", "+"):
            behind += 1
        return self._ends_operand(at - 1) and self._begins_operand(behind)

    def _is_algebra(self, at: int) -> bool:
        """Whether it can be nothing else than variables."""
        token = self._tokens[at]
        beside = self._operator(at - 1) or self._operator(at + 1) or self._kind(at + 1) == "power"
        if token.kind in ("differential", "raised"):
            return True
        if token.kind == "greek":
            return bool(beside)
        if token.kind == "product":
            beside = beside or self._kind(at + 1) == "differential"
            return bool(beside) and not (token["letters"] == "x" and self._is_a_multiple(at))
        if token.kind == "variable":
            index = token.text[1:]
            return (
                bool(beside)
                and token.text[0].islower()
                and token.text not in ("a", "i")
                and (not index or bool(self._operator(at - 1) or self._operator(at + 1)))
            )
        return False

    def _is_a_multiple(self, at: int) -> bool:
        """ "2-3x", "2x - 3x", "2x/day": three times, not a variable."""
        if self._operator(at + 1) == "/" and self._kind(at + 2) not in ("amount", "open", "variable", "product"):
            return True
        if any(self._operator(n) not in ("", "-", "\u2013", "~", "<", ">") for n in range(len(self._tokens))):
            return False
        others = [t for n, t in enumerate(self._tokens) if n != at and t.kind in _OPERANDS]
        if not all(t.kind == "amount" or (t.kind == "product" and t["letters"] == "x") for t in others):
            return False
        first = self._tokens[at - 2] if at >= 2 and self._operator(at - 1) in _HYPHENS else None
        later = self._at(at + 2) if self._operator(at + 1) in _HYPHENS else None
        if first is not None:
            return _value(first) < _value(self._tokens[at])
        return later is None or (later.kind == "product" and _value(self._tokens[at]) < _value(later))

    def _is_computed(self) -> bool:
        """Whether this is arithmetic for sure."""
        return any(self._computes(at) for at in range(len(self._tokens)))

    def _computes(self, at: int) -> bool:
        token = self._tokens[at]
        if token.kind in ("product", "differential", "raised"):
            return self._algebraic[at]
        if not self._is_binary(at):
            return False
        if token.text in _COMPUTING:
            # A dot between words, "SELECT * FROM".
            between_words = token.text in ("\u00b7", "\u2219") or (token.text == "*" and not self._beside_figures(at))
            return not (token.apart and between_words)
        if token.text in _HYPHENS:
            return token.apart and self._separated(at) and self._is_beside_variables(at)
        letters = any(other.kind in ("variable", "product", "greek", "word") for other in self._tokens)
        return token.text in ("=", "==") and letters

    def _is_beside_variables(self, at: int) -> bool:
        sides = [self._base(n) for n in (at - 1, at + 1)]
        return any(self._algebraic[n] and self._tokens[n].kind != "greek" for n in sides)

    def _beside_figures(self, at: int) -> bool:
        return any(self._kind(n) in ("amount", "product", "close", "open", "power") for n in (at - 1, at + 1))

    def _is_a_letter_after_all(self, at: int) -> bool:
        """A capital or an "a" that is computed with; letters like a unit's in a sum with what has none."""
        token = self._tokens[at]
        if token.kind == "variable":
            return self._computed and (self._ends(at) or self._kind(at + 1) == "power")
        if token.kind == "word":
            return self._computed and (not re.search("[aeiouy]", token.text.lower()) or token.text in _PRODUCTS)
        if token.kind == "amount" and re.fullmatch("[a-z]", token["unit"]) and token.text[-2:-1].isdigit():
            terms = [at + 2 * step for step in (-1, 1) if self._operator(at + step) in ("+", "-", "\u2212", "\u2013")]
            return any(map(self._in_a_sum_without_unit, terms))
        return False

    def _ends(self, at: int) -> bool:
        return any(self._operator(n) for n in (at - 1, at + 1))

    def _in_a_sum_without_unit(self, at: int) -> bool:
        token = self._at(at)
        if token is None:
            return False
        if token.kind == "amount":
            return self._computed and not token["unit"] and not token["currency"] and not token.magnitude
        return token.kind == "product" and self._algebraic[at]

    # --- what is said -----------------------------------------------------------------------------------------------

    def _word(self, at: int) -> str | None:
        """What is said for a token; None where it stays as it is."""
        token = self._tokens[at]
        if token.kind == "operator":
            return self._operator_word(at)
        if token.kind == "power":
            return self._power(at)
        if not self._algebraic[at]:
            return None
        if token.kind == "product":
            return f"{cardinal(token['times'])} {_letters(token['letters'])}"
        if token.kind == "amount":
            return f"{cardinal(token.number)} {token['unit']}"
        if token.kind == "greek":
            return _function(token)
        return _letters(token.text) if token.kind != "word" else " ".join(token.text)

    def _power(self, at: int) -> str:
        token = self._tokens[at]
        exponent = token["group"] or token["braces"] or token["plain"]
        plain = exponent.strip().replace("\u2212", "-")
        if re.fullmatch(r"-?\d+", plain) and self._kind(at + 1) != "power":
            return power(plain)
        return f"to the power of {_inner(plain)}"

    def _operator_word(self, at: int) -> str | None:
        sign = self._tokens[at].text
        if sign in ("-", "\u2212", "\u2013"):
            return self._hyphen(at)
        if not self._is_binary(at):
            return None
        if sign == "/":
            return self._stroke(at)
        if sign == "**":
            return "to the power of"
        if sign in ("*", "\u00b7", "\u2219"):
            return self._times(at)
        if sign == "~":
            return "to" if self._kind(at - 1) == self._kind(at + 1) == "amount" else None
        return None

    def _times(self, at: int) -> str | None:
        token = self._tokens[at]
        if token.apart and token.text == "*" and not self._beside_figures(at):
            # "SELECT * FROM", "char * s"
            return "times" if self._algebraic[at - 1] or self._algebraic[at + 1] or self._computed else None
        equal = any(other.text in ("=", "==") for other in self._tokens)
        return "times" if not token.apart or self._computed or equal else None

    def _hyphen(self, at: int) -> str | None:
        token = self._tokens[at]
        if not self._is_binary(at):
            return self._unary(at)
        if token.text == "\u2212" or self._is_minus(at):
            return "minus"
        one, other = self._tokens[self._base(at - 1)], self._tokens[at + 1]
        if "power" in (self._kind(at - 1), self._kind(at + 2)):
            return "to" if self._raised_value(self._base(at - 1)) < self._raised_value(at + 1) else "minus"
        if one.kind == "product" and other.kind == "product":
            return "to"
        if one.kind == "amount" and other.kind == "amount" and (one["unit"] or one["currency"]) and _alike(one, other):
            return "to" if _value(one) < _value(other) else "minus"
        return None

    def _unary(self, at: int) -> str | None:
        """Before a variable, a function or a bracket, where it is one of an expression."""
        glued = at > 0 and self._operator(at - 1) in _HYPHENS and not self._tokens[at].apart
        if glued or (at == 0 and self._before[-1:].isalnum()):
            return None
        if self._ends_operand(at - 1) or not self._begins_operand(at + 1) or self._kind(at + 1) in ("amount", "word"):
            return None
        behind = self._operator(at - 1) or self._kind(at - 1) == "open" or self._kind(at + 1) in ("root", "greek")
        return "minus" if behind or (len(self._tokens) > 2 and self._computed) else None

    def _is_minus(self, at: int) -> bool:
        token = self._tokens[at]
        if not self._separated(at):
            return False
        if any(self._algebraic[self._base(n)] and self._is_by_itself(self._base(n)) for n in (at - 1, at + 1)):
            # "the x-y plane"
            return token.apart or self._computed or not self._kind(at - 1) == self._kind(at + 1) == "variable"
        if self._kind(at - 1) == "close" and self._computed:
            return True
        if token.text == "\u2013" and not token.apart and not self._computed:
            return self._followed_by_equals(at)
        if self._followed_by_equals(at):
            return True
        if not self._computed:
            return False
        # "n = 5-10" is a range, "x = 20-5" is not.
        one, other = self._tokens[at - 1], self._tokens[at + 1]
        ranged = one.kind == other.kind == "amount" and _value(one) < _value(other) and self._operator(at - 2) == "="
        return not ranged

    def _base(self, at: int) -> int:
        """Of what is raised to a power, where that begins."""
        return at - 1 if self._kind(at) == "power" and at > 0 else at

    def _raised_value(self, at: int) -> float:
        exponent = self._tokens[at + 1]["plain"].replace("\u2212", "-") if self._kind(at + 1) == "power" else "1"
        try:
            return float(_value(self._tokens[at]) ** float(exponent))
        except (ValueError, OverflowError, ZeroDivisionError):
            return 0.0

    def _separated(self, at: int) -> bool:
        """Not of a name: the spaces on both sides of an operator are the same."""
        behind = self._at(at + 1)
        return behind is None or self._tokens[at].apart == behind.apart or self._kind(at + 1) == "open"

    def _is_by_itself(self, at: int) -> bool:
        return self._kind(at) != "greek" or self._computed or self._tokens[at].text.strip() in GREEK

    def _followed_by_equals(self, at: int) -> bool:
        return any(self._operator(n) in ("=", "==", "\u2248", "\u2260") for n in range(at + 2, len(self._tokens)))

    def _stroke(self, at: int) -> str | None:
        token, one, other = self._tokens[at], self._tokens[at - 1], self._tokens[at + 1]
        if one.kind == "differential" or other.kind == "differential":
            return "over"
        if one.kind == "amount" and other.kind == "amount":
            if not _plain(one) or not _plain(other):
                if one["unit"] and other["unit"]:
                    same = measured(one["unit"]) and measured(one["unit"]) == measured(other["unit"])
                    return None if same or one["unit"] == other["unit"] else "per"
                if one["currency"] and other["unit"]:
                    return "per"
                return "over" if one["unit"] and "." in other.text else None
            return "over" if "." in one.text + other.text else None
        if token.apart and not self._computed:
            return None
        if {one.kind, other.kind} <= {"variable", "word"} and not self._computed:
            return None
        if one.text == "w" or (one.kind == "close" and other.kind == "open" and not self._computed):
            return None
        letters = any(self._algebraic[n] for n in (at - 1, at + 1)) or self._computed
        return "over" if letters or self._kind(at + 1) == "root" or self._kind(at - 1) == "power" else None


def _plain(token: _Token) -> bool:
    return not token["unit"] and not token["currency"] and not token.magnitude


def _alike(one: _Token, other: _Token) -> bool:
    """Amounts of one kind: both of money, or of the same unit, which the first may leave out."""
    money = [bool(token["currency"]) or token["unit"] in CURRENCIES for token in (one, other)]
    if any(money):
        return all(money)
    return (
        one["unit"] == other["unit"]
        or not one["unit"]
        or (measured(one["unit"]) != "" and measured(one["unit"]) == measured(other["unit"]))
    )


_SIZES = {"thousand": 1e3, "lakh": 1e5, "million": 1e6, "crore": 1e7, "billion": 1e9, "trillion": 1e12}


def _value(token: _Token) -> float:
    figures = token.number.replace(",", "").replace("\u2212", "-")
    return float(figures or "0") * _SIZES.get(token.magnitude, 1.0)


def _letters(text: str) -> str:
    """One by one; what stands behind them is an index."""
    return " ".join(part if part.isalpha() else cardinal(part) for part in re.findall(r"[A-Za-z]|\d+", text))


def _function(token: _Token) -> str:
    before = cardinal(token["before"].strip()) + " " if token["before"] else ""
    return before + FUNCTIONS.get(token["name"], token["name"])


def _inner(text: str) -> str:
    """An exponent, read like anything else; a sign before it is its own."""
    signed = re.match(rf"\s*({_MINUS})(?=\S)", text)
    rest = text[signed.end() :] if signed else text
    said = _EXPRESSION.applied(rest)
    said = re.sub(rf"(?<![\w.]){_NUMBER}(?![\w/])", lambda found: cardinal(found[0]), said)
    return ("minus " if signed else "") + " ".join(said.split())


_KINDS = (
    "amount", "product", "greek", "differential", "raised", "word", "variable", "power", "operator", "root", "open",
    "close",
)  # fmt: skip
_UNNAMED = re.sub(r"\?P<\w+>", "?:", _TOKEN)
_EXPRESSION = rule(rf"(?:{_UNNAMED}){{2,120}}", _read, re.VERBOSE)

RULES: tuple[Rule, ...] = (_EXPRESSION,)
