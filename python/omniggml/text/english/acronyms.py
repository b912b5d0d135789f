"""Words of capitals: letter by letter, or as a word, as people do; and what is only written loudly."""

from __future__ import annotations

import re

from omniggml.text.english.numbers import cardinal, roman
from omniggml.text.english.rule import said

_LETTERS = frozenset((
    "UAE", "EU", "UN", "UK", "USA", "FBI", "CIA", "BBC", "CEO", "CFO", "CTO", "CIO", "COO", "CPU", "GPU", "USB", "URL",
    "URI", "HTML", "CSS", "HTTP", "HTTPS", "API", "SQL", "PDF", "DVD", "CD", "TV", "PC", "AI", "UI", "UX", "ATM",
    "DIY", "FAQ", "VIP", "IBM", "DNA", "RNA", "GDP", "GPS", "SMS", "UFO", "MBA", "IQ", "EQ", "HIV", "ABC", "NBC",
    "CBS", "CNN", "NHS", "EV", "ID", "IP", "IO", "OS", "IOS", "ISO", "IEEE", "AC", "PM", "BC", "BCE", "CE", "ER", "ET",
    "LCD", "LLM", "AGI", "ETA", "RSVP", "IOU", "NYU", "UCLA", "AKA", "IPA", "APA", "UTC", "GMT", "EST", "EDT", "CET",
    "CEST", "NYC", "FDA", "SEC", "NIH", "IRS", "MIT", "ACLU", "LAX", "GOP", "ROI", "VAT", "GUI", "ECG", "EEG", "MRI",
    "FYI", "TBA", "IMO", "POV", "RIP", "DOB", "DOJ", "DOD", "UFC", "WTO", "EPA", "IMF", "XML", "PHP", "RGB", "VPN",
    "DJ", "MC", "PR", "HR", "QA", "VR", "AR", "ML", "BA", "MA", "LA", "NY", "DC", "PS", "SUV", "ICU", "IDE", "IRA",
    "AAA", "OMG", "IDK", "IMHO", "AFAIK", "USSR", "LGBT", "NAACP", "NCAA", "AARP", "MVP", "PTA", "SOS", "USC",
))  # fmt: skip
"""Read as letters wherever they are capitals, though some could be read as a word."""

SMALL = {
    word: " ".join(word)
    for word in (
        "pdf", "usb", "url", "html", "http", "https", "css", "cpu", "gpu", "sql", "dvd", "tv", "xml", "php", "vpn",
        "gps", "sms", "dns", "ssh", "tcp", "ftp", "svg", "png", "csv", "gui", "rgb", "dna", "rna", "ceo", "cfo",
        "cto", "api", "faq", "llm", "ssd", "hdd", "lcd", "mri", "nfc", "nft", "btw", "tbd", "fyi",
    )
}  # fmt: skip
"""Those that are written small as well, and are no words."""

_ALSO_WORDS = frozenset(("US", "AM", "AD", "IT", "WHO", "LED", "MA", "LA", "RIP", "ET", "AR", "PS", "ER", "BA", "AKA"))
"""Letters where other words are small; where all are capitals, words."""

_READ = {"JPEG": "jay peg", "MPEG": "em peg", "OK": "okay", "JSON": "json", "WI": "wi", "FI": "fi"}
"""Said as neither."""

_WORDS = """
AM AN AS AT BE BY DO GO HE HI IF IN IS IT ME MY NO OF OH ON OR SO TO UP US WE OK AH HA HO OW EX PA MA LO YE ACE ACT
ADD AGE AGO AID AIM AIR ALE ALL AND ANT ANY APE ARE ARK ARM ART ASH ASK ATE AWE AXE BEE BOO BUY BYE COO CRY CUE DIE
DRY DUE DYE EAR EAT EGG ELF ELK ELM END ERA EVE EYE FEE FEW FLU FLY FOE FRY GEE HEY HOE HUE ICE ICY ILL INK INN ION
ITS IVY JOY KEY LAY LIE LOW MAY NEW NOW ODD OFF OFT OIL OLD ONE OPT ORE OUR OUT OWE OWL OWN PAY PEA PIE PLY PRO PRY
RAY RAW RUE SAY SEA SEE SHE SHY SKY SLY SPA SPY SUE TEA THE TIE TOE TOO TOY TRY TWO URN USE VIA VOW WAY WHO WHY WOE
WOO WOW YEA YES YOU ZOO AHA AYE EGO AXIS ALSO EVEN IDEA OVER ONCE ONLY
"""
_SHORT_WORDS = frozenset(_WORDS.split())
"""Common words that no pattern tells from an acronym."""

_SOUNDS = frozenset(("HM", "HMM", "HMMM", "SH", "SHH", "SHHH", "PSST", "BRR", "BRRR", "GRR", "GRRR", "ZZZ", "TSK"))
_ONSETS = (
    "b|c|d|f|g|h|j|k|l|m|n|p|qu|r|s|t|v|w|x|y|z|bl|br|ch|cl|cr|dr|dw|fl|fr|gh|gl|gn|gr|kn|kl|kr|ph|pl|pr|ps|rh|sc|sch|"
    "scr|sh|shr|sk|sl|sm|sn|sp|spl|spr|squ|st|str|sw|th|thr|tr|tw|wh|wr"
)
_CODAS = (
    "[bcdfghjklmnpqrstvwxz]|ff|ll|ss|zz|dd|gg|ck|ct|ft|ld|lf|lk|lm|lp|lt|lb|lch|lth|mb|mp|mpt|nd|ng|nk|nt|nch|nth|nx|"
    "pt|pth|rb|rc|rch|rd|rf|rg|rk|rl|rld|rm|rn|rp|rr|rst|rt|rth|sh|sk|sm|sp|st|tch|th|dth|xt|xth|gh|ght|gn|wn|wl|wk|wd"
)
_LIKE_A_WORD = re.compile(rf"(?:{_ONSETS})?[aeiouy]+(?:[b-df-hj-np-tv-xz]{{1,3}}[aeiouy]+)*(?:(?:{_CODAS})s?)?")
_THREE_LIKE_A_WORD = re.compile("[b-df-hj-np-tv-xz][aeiou][b-df-hj-np-tv-xz]")
_LONGEST = 5
_VOWEL = re.compile("[AEIOUY]")

_AROUND = 200  # characters that tell whether a sentence is written loudly
_ENDS = re.compile(r"[.!?\n](?:\s|$)")
_CAPITALS = re.compile(r"(?<![A-Za-z'])[A-Z]{2,}(?![A-Za-z])")
_ROMAN = re.compile(r"\b(?:II|III|VII|VIII|XII|XIII)\b")
_OF_A_THING = re.compile(
    r"\s+(?:department|team|support|staff|manager|specialist|compan|industr|guy|professional|infrastructure|security|"
    r"admin|system|project|consult|expert|sector|service|budget|director|skill|job|equipment)",
    re.IGNORECASE,
)
_BEHIND_THE = re.compile(r"\b(?:the|an|our|your|their|its|his|her|of)\s+$", re.IGNORECASE)


def words_of_capitals(found: re.Match[str]) -> str:
    """`found`: the capitals, and what plural or owner is behind them."""
    word, ending = found[1], found[2]
    value = roman(word)
    if (
        value
        and (len(word) > 2 or word == "II" or _ROMAN.search(found.string))
        and not found[2]
        and set(word) <= {*"IVX"}
    ):
        return said(cardinal(value))
    if word in _READ:
        return f"{_READ[word]}{ending}"
    if not _by_letters(word, found):
        return found[0]
    letters = " ".join(word.lower())
    return said(letters + ending) if ending == "'s" else said(letters) + ending


def _by_letters(word: str, found: re.Match[str]) -> bool:
    if word in _SOUNDS:
        return False
    before = found.string[max(0, found.start() - _AROUND) : found.start()]
    behind = found.string[found.end() : found.end() + _AROUND]
    if word in _ALSO_WORDS:
        if found[2] or (word == "US" and re.search(r"\b(?:[tT]he|THE)\s+$", before)):
            return True
        return not _loud(word, before, behind) and _is_a_name(word, before, behind)
    if word in _LETTERS or not _VOWEL.search(word):
        return len(word) <= _LONGEST
    if len(word) > _LONGEST or _loud(word, before, behind):
        return False
    return word not in _SHORT_WORDS and not _like_a_word(word.lower())


def _is_a_name(word: str, before: str, behind: str) -> bool:
    """Of those that are words as well."""
    if word == "IT":
        return _OF_A_THING.match(behind) is not None or re.search(r"\b(?:in|the|an|our)\s+$", before) is not None
    if word == "WHO":
        return re.search(r"\b[tT]he\s+$", before) is not None
    if word == "AM":
        return not re.search(r"\b(?:I|i)\s+$", before)
    return word not in ("ER", "BA", "RIP")


def _like_a_word(word: str) -> bool:
    return (_THREE_LIKE_A_WORD if len(word) == 3 else _LIKE_A_WORD).fullmatch(word) is not None and len(word) > 2


def _loud(word: str, before: str, behind: str) -> bool:
    """Whether the words beside it are capitals too, and no acronyms: then it stands out no more than they do."""
    starts = [end.end() for end in _ENDS.finditer(before)]
    start = before[starts[-1] if starts else 0 :]
    end = _ENDS.search(behind)
    rest = behind[: end.start() if end else len(behind)]
    if re.search("[a-z]", start + rest):
        beside = [*re.findall(r"([A-Z]{2,})[^\w.!?]{1,3}$", start), *re.findall(r"^[^\w.!?]{1,3}([A-Z]{2,})\b", rest)]
    else:
        beside = _CAPITALS.findall(start) + _CAPITALS.findall(rest)
    return any(_plainly_a_word(other) for other in beside if other != word)


def _plainly_a_word(word: str) -> bool:
    if word in _ALSO_WORDS or word in _LETTERS or not _VOWEL.search(word):
        return False
    return word in _SHORT_WORDS or (len(word) > 3 and _like_a_word(word.lower())) or len(word) > _LONGEST
