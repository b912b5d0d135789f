"""What is written above or below the line: powers, charges, bases, notes, indices, the limits of a sum.

Powers and charges become "^2", "^(n+1)" and "^2-", whatever they were written with, which expressions and formulas are
read with.
"""

from __future__ import annotations

import re

from omniggml.text.english.rule import either
from omniggml.text.english.unit_names import LENGTHS, UNITS

FUNCTIONS = {
    "sin": "sine", "cos": "cosine", "tan": "tangent", "cot": "cotangent", "sec": "secant", "csc": "cosecant",
    "sinh": "hyperbolic sine", "cosh": "hyperbolic cosine", "tanh": "hyperbolic tangent", "arcsin": "arc sine",
    "arccos": "arc cosine", "arctan": "arc tangent", "log": "log", "ln": "natural log", "lg": "log",
    "exp": "exponential", "det": "determinant",
}  # fmt: skip

_SUPERSCRIPTS = dict(zip(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207c\u207d\u207e\u207f\u2071\u02e3\u02b8\u1d4f\u1d40",
    "0123456789+-=()nixykT", strict=True,
))  # fmt: skip
_SUBSCRIPTS = dict(zip(
    "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089\u208a\u208b\u208c\u208d\u208e"
    "\u2090\u2091\u2092\u2093\u2095\u2096\u2097\u2098\u2099\u209a\u209b\u209c\u1d62\u1d63\u1d64\u1d65\u2c7c",
    "0123456789+-=()aeoxhklmnpstiruvj", strict=True,
))  # fmt: skip
_UP, _DOWN = (str.maketrans(letters) for letters in (_SUPERSCRIPTS, _SUBSCRIPTS))
_RAISED_FIGURES = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079"
_HIGH = f"[{''.join(_SUPERSCRIPTS)}]+(?![\u02b0\u02b3\u02e2\u1d48])"  # not of "th"
_LOW = f"[{''.join(_SUBSCRIPTS)}]+"
_BOUND = r"(?:\{[^{}\n]{1,40}\}|-?\w{1,8})"
_LIMITS = re.compile(
    rf"(?P<sign>[\u2211\u220f\u222b\u222e\u22c3\u22c2])\s?(?:(?P<low>{_LOW})|_(?P<below>{_BOUND}))?\s?"
    rf"(?:(?P<high>{_HIGH})|\^(?P<above>{_BOUND}))?"
)
_OPERATIONS = {
    "\u2211": "sum", "\u220f": "product", "\u222b": "integral", "\u222e": "contour integral", "\u22c3": "union",
    "\u22c2": "intersection",
}  # fmt: skip
_RAISED = re.compile(_HIGH)
_LOWERED = re.compile(_LOW)
_BASE = re.compile("([A-Za-z]{1,12}|[\u0370-\u03ff\u211d\u2102\u2115\u2124\u211a\u2202\u2207]|[\\d)\\]}\\|\u2016])$")
_BEHIND = 16  # characters before a figure that tell what it is
_OF_A_UNIT = re.compile(rf"(?:[\d\s/(\u00b7\u22c5*]|^)(?:{either(UNITS)}|in)$")
_COMPUTED = re.compile("(?:[-=+*/\u2212\u00d7\u00b7]\\s*|[\u00bc-\u00be\u2150-\u215e])[A-Za-z]{1,3}$")


def on_the_line(text: str) -> str:
    """The text with nothing above or below the line."""
    text = _LIMITS.sub(_limits, text)
    text = _LOWERED.sub(_lowered, text)
    return _RAISED.sub(_raised, text)


def raised_figure(letter: str) -> bool:
    """Whether it is a figure above the line."""
    return re.match(f"[{_RAISED_FIGURES}]", letter) is not None


def _limits(found: re.Match[str]) -> str:
    low = (found["low"] or "").translate(_DOWN) or (found["below"] or "").strip("{}")
    high = (found["high"] or "").translate(_UP) or (found["above"] or "").strip("{}")
    if not low and not high:
        return found[0]
    between = f"from {low} " if low and high else f"over {low} " if low else ""
    return f" {_OPERATIONS[found['sign']]} {between}{f'to {high} ' if high else ''}of "


def _lowered(found: re.Match[str]) -> str:
    """Part of a name; behind a number or a logarithm its base."""
    figures = found[0].translate(_DOWN)
    before, behind = found.string[max(0, found.start() - _BEHIND) : found.start()], found.string[found.end() :]
    if re.search(r"\d$", before):
        return f" base {figures} "
    if re.search(r"\b(?:log|lg)$", before):
        return f" base {figures} " + ("of " if re.match(r" ?(?:[^\W_]|\()", behind) else "")
    if not figures.isdecimal():
        return f" {figures}" + (" " if behind[:1].isalnum() else "")
    # The next element of a formula goes on; another figure, or the next variable, doesn't.
    end = " " if re.match("[0-9a-z]", behind) else ""
    return ("_" if re.search(r"\d[a-z]$", before) else "") + figures + end


def _raised(found: re.Match[str]) -> str:
    """A power or charge; behind a word the number of a note."""
    figures = found[0].translate(_UP)
    before = found.string[max(0, found.start() - _BEHIND) : found.start()]
    base = _BASE.search(before)
    if base is None:
        return figures if figures in "+-" and re.match(r"\d", found.string[found.end() :]) else f" {figures} "
    if figures[-1] in "+-":
        return f"^{figures}"
    word = base[1]
    known = len(word) == 1 or word in FUNCTIONS or word in LENGTHS
    if not (known or _OF_A_UNIT.search(before) or _COMPUTED.search(before)):
        return f" {figures} "
    plain = r"-?\d+" if found.string[found.end() : found.end() + 1].isalnum() else r"-?\d+|[a-zT]"
    return f"^{figures}" if re.fullmatch(plain, figures) else f"^({figures})"
