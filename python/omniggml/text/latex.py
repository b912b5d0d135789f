r"""Formulas in LaTeX -> the same in Unicode, as far as it has the signs, and in words: \frac{1}{2} \leq \pi -> 1/2 ≤ π.

Libraries that do this leave out the brackets that keep a fraction's parts together, and the limits of a sum.
"""

# ruff: noqa: RUF001 (its signs are meant)

from __future__ import annotations

import html
import re

_ALPHABET = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega"
)
_GREEK = dict(zip(_ALPHABET.split(), "αβγδεζηθικλμνξοπρστυφχψω", strict=True))
_SYMBOLS = {
    "times": "×", "div": "÷", "cdot": "⋅", "ast": "×", "pm": "±", "mp": "∓", "le": "≤", "leq": "≤", "leqslant": "≤",
    "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡", "sim": "∼",
    "simeq": "≃", "cong": "≅", "propto": "∝", "ll": "≪", "gg": "≫", "lt": "<", "gt": ">", "infty": "∞",
    "partial": "∂", "nabla": "∇", "in": "∈", "notin": "∉", "subset": "⊂", "subseteq": "⊆", "supset": "⊃",
    "supseteq": "⊇", "cup": "∪", "cap": "∩", "emptyset": "∅", "varnothing": "∅", "forall": "∀", "exists": "∃",
    "neg": "¬", "lnot": "¬", "land": "∧", "wedge": "∧", "lor": "∨", "vee": "∨", "to": "→", "rightarrow": "→",
    "longrightarrow": "→", "leftarrow": "←", "mapsto": "↦", "Rightarrow": "⇒", "implies": "⇒", "Longrightarrow": "⇒",
    "Leftrightarrow": "⇔", "iff": "⟺", "leftrightarrow": "↔", "therefore": "∴", "because": "∵", "perp": "⊥",
    "parallel": "∥", "angle": "∠", "oplus": "⊕", "otimes": "⊗", "circ": "∘", "degree": "°", "langle": "⟨",
    "rangle": "⟩", "lceil": "⌈", "rceil": "⌉", "lfloor": "⌊", "rfloor": "⌋", "lVert": "‖", "rVert": "‖", "Vert": "‖",
    "|": "‖", "lvert": "|", "rvert": "|", "vert": "|", "prime": "′", "dagger": "†", "ldots": ", …, ",
    "cdots": ", …, ", "dots": ", …, ", "vdots": ", …, ", "hbar": "h bar ", "ell": "l", "setminus": " without ",
    "mid": " given ", "max": " maximum of ", "min": " minimum of ", "sup": " supremum of ", "inf": " infimum of ",
    "varepsilon": "ε", "vartheta": "θ", "varphi": "φ", "varrho": "ρ", "varsigma": "σ", "bullet": "⋅", "star": "⋆",
    "%": "%", "$": "US dollars", "&": "&", "#": "#", "_": " ", "{": "{", "}": "}", "\\": ", ", "backslash": "\\",
    **_GREEK, **{name.capitalize(): letter.upper() for name, letter in _GREEK.items()},
}  # fmt: skip
_SPACES = frozenset((",", ";", ":", "!", " ", "quad", "qquad", "thinspace", "displaystyle"))
_SIZES = re.compile("(?:[bB]igg?[lrm]?|left|right|middle)$")
_ARGUMENT_ALONE = frozenset((
    "text", "mathrm", "mathbf", "mathit", "mathsf", "mathtt", "mathcal", "mathfrak", "mathscr", "mathbb", "boldsymbol",
    "bm", "operatorname", "textbf", "textit", "textrm", "emph", "underbrace", "overbrace", "boxed", "mbox", "underline",
    "ensuremath",
))  # fmt: skip
_ABOVE = {
    "hat": "hat", "widehat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde", "widetilde": "tilde",
    "dot": "dot", "ddot": "double dot", "vec": "vector",
}  # fmt: skip
_FUNCTIONS = frozenset((
    "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "log", "ln", "lg",
    "exp", "det", "dim", "ker", "gcd", "arg", "deg", "Pr", "mod", "bmod",
))  # fmt: skip
_SUMS = {"sum": "sum", "prod": "product", "int": "integral", "iint": "double integral", "oint": "contour integral"}
_UNSAID = frozenset(("nonumber", "notag", "centering", "hline", "limits", "nolimits"))
_UNSAID_WITH_ARGUMENT = frozenset(("label", "vspace", "hspace"))
_SCRIPTS = {
    "^": dict(zip("0123456789+-=()nix", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ", strict=True)),
    "_": dict(zip("0123456789+-=()aeoxhklmnpstiruvj", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢᵣᵤᵥⱼ", strict=True)),
}
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_]|[^\\{}^_]", re.DOTALL)
_DEEPEST = 24

_ENVIRONMENTS = "equation|align|gather|multline|eqnarray|displaymath|math|cases|array|[pbvBV]?matrix|aligned|split"
_BLOCKS = re.compile(
    r"\$\$(?P<dollars>[^$]{1,2000})\$\$|\\\[(?P<brackets>.{1,2000}?)\\\]|\\\((?P<round>.{1,1000}?)\\\)"
    rf"|\\begin\{{(?P<kind>(?:{_ENVIRONMENTS})\*?)\}}(?P<block>.{{1,3000}}?)\\end\{{(?P=kind)\}}"
    r"|(?<![\w$\\])\$(?P<inline>(?=[^\s$])[^$\n]{0,300}[^\s$\\]|[^\s$\\])\$(?![\w$])",
    re.DOTALL,
)
_KNOWN = re.compile(
    r"\\(?:d?frac|sqrt|times|leq?|geq?|neq?|cdot|sum|int|prod|pm|infty|approx|alpha|beta|pi|theta)(?![A-Za-z])"
)
_A_PATH = re.compile(r"\\(?:[A-Z]\w+|\w+\\)|\w:\\")


def without_latex(text: str) -> str:
    """The text with its formulas as they would be seen. What only looks like one stays."""
    if "\\" not in text and "$" not in text:
        return text
    text = _BLOCKS.sub(_block, text)
    if "\\" not in text:
        return text
    return "\n".join(_bare(line) for line in text.split("\n"))


def _block(found: re.Match[str]) -> str:
    inline = found["inline"]
    if inline is not None and not _is_formula(inline):
        return found[0]
    formula = next(filter(None, (found[kind] for kind in ("inline", "dollars", "brackets", "round", "block"))))
    if inline is None and found["block"] is None and not re.search(r"[\\^_=+<>\d]|^\s*[A-Za-z]\s*$", formula):
        return found[0]
    return html.escape(" ".join(_seen(formula).split()), quote=False)


def _is_formula(inside: str) -> bool:
    """What stands between two dollar signs: no amounts of money with words between them."""
    if re.search(r"\\[A-Za-z]|[\^_]", inside):
        return True
    words = re.search(r"[A-Za-z]{3,}", inside)
    return words is None and re.search(r"[=<>+*/-]|^\W?\w{1,4}$|^[A-Za-z]\(", inside) is not None


def _bare(line: str) -> str:
    """A line that has formulas, and nothing that tells where they begin."""
    if not _KNOWN.search(line) or _A_PATH.search(line):
        return line
    return html.escape(" ".join(_seen(line).split()), quote=False)


def _seen(formula: str) -> str:
    return _Reader(_TOKEN.findall(formula)).group("")


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def group(self, end: str) -> str:
        """What is seen up to a closing bracket, or to the end."""
        self._depth += 1
        parts: list[str] = []
        while self._at < len(self._tokens):
            token = self._next()
            if token == end:
                break
            parts.append(self._item(token))
        self._depth -= 1
        return "".join(parts)

    def _next(self) -> str:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _argument(self) -> str:
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        return self._item(self._next()) if self._at < len(self._tokens) else ""

    def _option(self) -> str:
        """In square brackets; "" where there is none."""
        if self._tokens[self._at : self._at + 1] != ["["]:
            return ""
        end = next((n for n in range(self._at, len(self._tokens)) if self._tokens[n] == "]"), self._at)
        inside = "".join(self._tokens[self._at + 1 : end])
        self._at = end + 1
        return inside

    def _item(self, token: str) -> str:
        if token == "{":
            return self.group("}") if self._depth < _DEEPEST else ""
        if token in ("^", "_"):
            return self._script(token)
        if token.startswith("\\") and len(token) > 1:
            return self._command(token[1:].rstrip("*"))
        return {"~": " ", "&": " ", "*": "×"}.get(token, "" if token in "{}" else token)

    def _script(self, token: str) -> str:
        inside = self._argument().strip()
        if token == "^" and inside in ("∘", "°"):
            return "°"
        if token == "^" and set(inside) <= {"′"}:
            return inside
        plain = inside.replace(" ", "").replace("−", "-")
        if plain and set(plain) <= set(_SCRIPTS[token]):
            return "".join(_SCRIPTS[token][letter] for letter in plain)
        if token == "^":
            return f"^{inside}" if len(inside) == 1 else f"^({inside})"
        return f" sub {inside} "

    def _command(self, name: str) -> str:
        if name in _SPACES:
            return " "
        if name in _SYMBOLS:
            return _SYMBOLS[name]
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            above, below = self._argument(), self._argument()
            return f" {_bracketed(above)}/{_bracketed(below)}"
        if name == "sqrt":
            degree, inside = self._option(), self._argument()
            sign = {"": "√", "2": "√", "3": "∛", "4": "∜"}.get(degree, f" {degree}th root of ")
            return f"{sign}{_bracketed(inside)}"
        if name == "binom":
            return f" {self._argument()} choose {self._argument()} "
        if name in _SUMS or name == "lim":
            return self._limits(name)
        if name in ("pmod", "pod"):
            return f" (mod {self._argument()})"
        if name == "not":
            return {"∈": "∉", "=": "≠", "⊂": "⊄"}.get(rest := self._argument(), f" not {rest}")
        if name in _ABOVE:
            inside = self._argument()
            return f" {_ABOVE[name]} {inside} " if name == "vec" else f" {inside} {_ABOVE[name]} "
        return self._word(name)

    def _word(self, name: str) -> str:
        if _SIZES.match(name):
            if self._tokens[self._at : self._at + 1] == ["."]:
                self._at += 1
            return ""
        if name in ("begin", "end"):
            self._argument()
            return " "
        if name in _UNSAID_WITH_ARGUMENT:
            self._argument()
            return ""
        if name in _UNSAID:
            return ""
        if name in _ARGUMENT_ALONE:
            inside = self._argument()
            return inside if len(inside.strip()) < 2 else f" {inside} "
        return f" {name} " if name in _FUNCTIONS or name.isalpha() else name

    def _limits(self, name: str) -> str:
        limits = {"_": "", "^": ""}
        while self._at < len(self._tokens) and self._tokens[self._at] in (*limits, "\\limits"):
            sign = self._next()
            if sign in limits:
                limits[sign] = self._argument().strip()
        low, high = limits["_"], limits["^"]
        if name == "lim":
            return f" limit as {low.replace('→', ' approaches ')} of " if low else " limit of "
        between = f"from {low} " if low and high else f"over {low} " if low else ""
        return f" {_SUMS[name]} {between}{f'to {high} ' if high else ''}of "


def _bracketed(inside: str) -> str:
    """As a part of something: one number, one name or what is in brackets already, needs none."""
    inside = inside.strip()
    return inside if re.fullmatch(r"\d+(?:\.\d+)?|\w|\w[²³]|[dα-ω∂]\w?|√\w+|\d?[a-zπ]", inside) else f"({inside})"
