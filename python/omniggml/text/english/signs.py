"""What signs and pictures are called."""

from __future__ import annotations

SIGNS = {
    "&": "and", "+": "plus", "=": "equals", "%": "percent", "@": "at", "*": "star", "\u00d7": "times",
    "\u00f7": "divided by", "\u2212": "minus", "\u2213": "minus or plus", "\u00b1": "plus or minus", "\u2248": "about",
    "\u2260": "is not equal to", "\u2264": "less than or equal to", "\u2265": "greater than or equal to",
    "<": "less than", ">": "greater than", "\u221a": "square root of", "\u221e": "infinity", "\u2211": "sum of",
    "\u220f": "product of", "\u222b": "integral of", "\u2202": "partial", "\u2208": "in", "\u2209": "not in",
    "\u222a": "union", "\u2229": "intersection", "\u2227": "and", "\u2228": "or", "\u00ac": "not",
    "\u2200": "for all", "\u2203": "there is", "\u2205": "empty set", "\u00a7": "section", "\u00b6": "paragraph",
    "\u00a9": "copyright", "\u00ae": "registered", "\u2122": "trademark", "\u2117": "recording copyright",
    "\u2190": "left arrow", "\u2191": "up arrow", "\u2192": "arrow", "\u2193": "down arrow",
    "\u2194": "both ways arrow", "\u21d2": "implies", "\u21d4": "equivalent to", "\u00b0": "degrees",
    "\u2030": "per mille", "\u00a2": "cents", "#": "hash", "_": "underscore", "/": "slash", "\\": "backslash",
    "~": "tilde", "^": "caret", "\u2020": "dagger", "\u2021": "double dagger", "\u203b": "note",
    "\u2031": "per ten thousand", "\u2605": "star", "\u2606": "star", "\u2713": "check mark",
    "\u2714": "check mark", "\u2717": "cross mark", "\u2718": "cross mark", "\u2116": "number", "\u00b5": "micro",
    "\u2044": "over", "\u266f": "sharp", "\u266d": "flat", "\u2640": "female", "\u2642": "male", "\u20ac": "euros",
    "\u00a3": "pounds", "$": "dollars", "\u00a5": "yen", "\u20b9": "rupees", "\u20bf": "bitcoins",
    "\u20bd": "roubles", "\u20a9": "won", "\u20ba": "liras", "\u223c": "similar to", "\u2243": "about equal to",
    "\u2245": "congruent to", "\u2261": "identical to", "\u221d": "proportional to", "\u2282": "subset of",
    "\u2286": "subset of or equal to", "\u2283": "superset of", "\u2287": "superset of or equal to",
    "\u2284": "not a subset of", "\u27fa": "if and only if", "\u27f9": "implies", "\u21a6": "maps to",
    "\u2234": "therefore", "\u2235": "because", "\u22a5": "perpendicular to", "\u2225": "parallel to",
    "\u2220": "angle", "\u2207": "nabla", "\u2295": "circled plus", "\u2297": "circled times",
    "\u222e": "contour integral of",
    "\u221b": "cube root of", "\u226a": "much less than", "\u226b": "much greater than", "\u2218": "composed with",
    "\u2308": "ceiling of", "\u2309": ",", "\u230a": "floor of", "\u230b": ",", "\u2016": "norm",
    "\u25b2": "up", "\u25bc": "down", "\u25b3": "triangle",
    **dict.fromkeys("\u25cf\u25cb\u25a0\u25a1\u25aa\u25ba\u25b6\u25c6\u25c7", ","),
    "\u22c5": "times", "\u2223": "divides", "\u27e8": ",", "\u27e9": ",",
}  # fmt: skip
"""Signs that no rule before has said."""

IN_ADDRESSES = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals", "&": "and",
    ":": "colon", "#": "hash", "%": "percent", "~": "tilde", "+": "plus", "@": "at", ",": "comma", ";": "semicolon",
    "!": "exclamation mark", "*": "star", "$": "dollar", "(": "bracket", ")": "bracket", "'": "apostrophe",
    "|": "bar", "[": "bracket", "]": "bracket",
}  # fmt: skip

EMOTICONS = {
    ":)": "smiling face", ":-)": "smiling face", ":(": "sad face", ":-(": "sad face", ":'(": "crying face",
    ";)": "winking face", ";-)": "winking face", ":D": "laughing face", ":-D": "laughing face", "XD": "laughing face",
    ":P": "tongue out", ":-P": "tongue out", ":p": "tongue out", ":O": "surprised face", ":o": "surprised face",
    ":/": "doubtful face", ":-/": "doubtful face", ":|": "blank face", ":-|": "blank face", "^_^": "smiling face",
}  # fmt: skip
"""Faces of ordinary marks, apart from other words."""

EMOJI = {
    "\U0001f44d": "thumbs up", "\U0001f44e": "thumbs down", "\u2764": "red heart", "\u2b50": "star",
    "\u263a": "smiling face", "\u2728": "sparkles", "\u2705": "check mark", "\u274c": "cross mark",
}  # fmt: skip
"""Pictures whose Unicode name nobody says."""
