"""Formulas and charges, letter by letter."""

from __future__ import annotations

import re

from omniggml.text.english.numbers import cardinal
from omniggml.text.english.rule import Rule, either, rule, said

_ELEMENTS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb Mo Tc
Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi
Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
"""
_IONS = "H F Cl Br OH CN O N S Na K Li Ag Cu NO SCN AB A B"
_SALTS = "HCl NaCl KCl NaOH KOH HBr HF KBr NaF MgO CaO ZnO AgCl LiCl CuO FeO LiF NaBr NaI KI"
_SIGN = {"-": "minus", "\u2212": "minus", "+": "plus"}


def is_formula(name: str) -> bool:
    """Whether it may be one: of elements and small counts alone."""
    return _WHOLE_FORMULA.fullmatch(name) is not None and len(re.findall("[A-Z]", name)) > 1


def _formula(found: re.Match[str]) -> str:
    counts = [int(count) for count in re.findall(r"\d+", found[0])]
    letters = re.findall("[A-Z]", found[0])
    # "COP26" names something else.
    if not counts or len(letters) < 2 or (max(counts) > 9 and len(counts) == 1 and len(letters) > 2):
        return found[0]
    return _spelled(found[0])


def _spelled(formula: str) -> str:
    return said(*(part.lower() if part.isalpha() else cardinal(part) for part in re.findall(r"\d+|[A-Za-z]", formula)))


def _ion(found: re.Match[str]) -> str:
    return f"{_spelled(found[1])}{_SIGN[found[2]]}"


def _negative(found: re.Match[str]) -> str:
    return f"{found[1]} minus "


def _charge(found: re.Match[str]) -> str:
    return said(cardinal(found[1]) if found[1] else "", _SIGN[found[2]])


_WHOLE_FORMULA = re.compile(rf"(?:(?:{either(_ELEMENTS.split())})\d{{0,2}})+")

RULES: tuple[Rule, ...] = (
    # A sign at the end of a word is its charge, unless another word's beginning is to be put there: A- and B-rich.
    rule(
        rf"(?<![\w'.-])({either(_IONS.split())})([-\u2212+])(?=[\s.,;:!?)]|$)(?!\s*(?:,|and\b|or\b|to\b)\s*\w+-\w)",
        _ion,
    ),
    rule(
        rf"(?<![\w'.-])((?:(?:{either(_ELEMENTS.split())})\d{{0,2}}){{1,8}})(?<=\d)([-\u2212+])(?=[\s.,;:!?)]|$)"
        r"(?!\s*(?:and|or|to)\b)",
        _ion,
    ),
    # Of a test, or of blood.
    rule(r"(?<![\w'.-])([A-Z][A-Za-z]{1,3})-(?=[\s.;:!?)]|$)(?!\s*(?:and|or|to|und|oder|&)\b)(?!\s+[a-z])", _negative),
    # With how many there are of them.
    rule(
        rf"(?<![\w.,/-])(\d{{1,2}})((?:(?:{either(_ELEMENTS.split())})\d{{0,2}}){{2,12}})(?=\(|(?!\w))",
        lambda found: f"{said(cardinal(found[1]))}{_spelled(found[2])}",
    ),
    rule(rf"\b(?:{either(_SALTS.split())})\b", lambda found: _spelled(found[0])),
    rule(rf"(?<![\w.'-])(?:(?:{either(_ELEMENTS.split())})\d{{0,2}})+(?!\w)", _formula),
    rule(r"\^(\d*)([-\u2212+])(?!\w)", _charge),
    rule(r"\^\((\d*)([-\u2212+])\)", _charge),
)
