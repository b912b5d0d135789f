"""What signs, units, currencies and abbreviations are called in English: tables, and nothing else."""

from __future__ import annotations

CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "US$": ("u s dollar", "u s dollars", "cent", "cents"),
    "A$": ("australian dollar", "australian dollars", "cent", "cents"),
    "C$": ("canadian dollar", "canadian dollars", "cent", "cents"),
    "NZ$": ("new zealand dollar", "new zealand dollars", "cent", "cents"),
    "HK$": ("hong kong dollar", "hong kong dollars", "cent", "cents"),
    "$": ("dollar", "dollars", "cent", "cents"),
    "\u00a3": ("pound", "pounds", "penny", "pence"),
    "\u20ac": ("euro", "euros", "cent", "cents"),
    "\u00a5": ("yen", "yen", "", ""),
    "\uffe5": ("yen", "yen", "", ""),
    "\u20b9": ("rupee", "rupees", "paisa", "paise"),
    "\u20bd": ("rouble", "roubles", "kopeck", "kopecks"),
    "\u20a9": ("won", "won", "", ""),
    "\u20ba": ("lira", "liras", "", ""),
    "\u20aa": ("shekel", "shekels", "", ""),
    "\u20b4": ("hryvnia", "hryvnias", "", ""),
    "\u20ab": ("dong", "dong", "", ""),
    "\u0e3f": ("baht", "baht", "", ""),
    "\u20bf": ("bitcoin", "bitcoins", "", ""),
    "USD": ("u s dollar", "u s dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
    "CHF": ("swiss franc", "swiss francs", "", ""),
    "CAD": ("canadian dollar", "canadian dollars", "cent", "cents"),
    "AUD": ("australian dollar", "australian dollars", "cent", "cents"),
    "INR": ("rupee", "rupees", "paisa", "paise"),
    "BTC": ("bitcoin", "bitcoins", "", ""),
}
"""Sign or code -> one, many, one hundredth, many hundredths."""

MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "bn": "billion", "b": "billion",
    "B": "billion", "tn": "trillion", "T": "trillion",
}  # fmt: skip
"""Letters behind an amount of money."""

_PREFIXED = {
    "m": ("metre", "metres", "f p n \u00b5 \u03bc m c d k"),
    "g": ("gram", "grams", "n \u00b5 \u03bc m k"),
    "l": ("litre", "litres", "\u00b5 \u03bc m c d h"),
    "L": ("litre", "litres", "\u00b5 \u03bc m c d h"),
    "s": ("second", "seconds", "n \u00b5 \u03bc m"),
    "W": ("watt", "watts", "m k M G T"),
    "Wh": ("watt hour", "watt hours", "m k M G T"),
    "V": ("volt", "volts", "m k"),
    "Hz": ("hertz", "hertz", "k M G T"),
    "J": ("joule", "joules", "k M G"),
    "Pa": ("pascal", "pascals", "h k M G"),
    "B": ("byte", "bytes", "k K M G T P"),
    "b": ("bit", "bits", "k M G T"),
    "\u03a9": ("ohm", "ohms", "\u00b5 \u03bc m k M G"),
    "A": ("amp", "amps", "n \u00b5 \u03bc m k"),
    "F": ("farad", "farads", "p n \u00b5 \u03bc m"),
    "H": ("henry", "henrys", "n \u00b5 \u03bc m"),
    "N": ("newton", "newtons", "m k M"),
    "cal": ("calorie", "calories", "k"),
    "bps": ("bit per second", "bits per second", "k M G T"),
    "m\u00b2": ("square metre", "square metres", ""),
    "m\u00b3": ("cubic metre", "cubic metres", ""),
}
_PREFIXES = {
    "f": "femto", "p": "pico", "n": "nano", "\u00b5": "micro", "\u03bc": "micro", "m": "milli", "c": "centi",
    "d": "deci", "h": "hecto", "k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta",
}  # fmt: skip

UNITS: dict[str, tuple[str, str]] = {
    **{
        name: (one, many)
        for name, (one, many, _) in _PREFIXED.items()
        if name not in ("B", "b", "J", "A", "F", "H", "N")
    },
    **{
        prefix + name: (_PREFIXES[prefix] + one, _PREFIXES[prefix] + many)
        for name, (one, many, prefixes) in _PREFIXED.items()
        for prefix in prefixes.split()
    },
    **{
        f"{short}{power}": (f"{said} {long}metre", f"{said} {long}metres")
        for short, long in (("mm", "milli"), ("cm", "centi"), ("km", "kilo"))
        for power, said in (("\u00b2", "square"), ("\u00b3", "cubic"))
    },
    **{f"{short}iB": (f"{long}byte", f"{long}bytes") for short, long in (("K", "kibi"), ("M", "mebi"), ("G", "gibi"))},
    "k\u03a9": ("kilohm", "kilohms"),
    "M\u03a9": ("megohm", "megohms"),
    "TiB": ("tebibyte", "tebibytes"),
    "km/h": ("kilometre per hour", "kilometres per hour"),
    "kph": ("kilometre per hour", "kilometres per hour"),
    "m/s": ("metre per second", "metres per second"),
    "mph": ("mile per hour", "miles per hour"),
    "MB/s": ("megabyte per second", "megabytes per second"),
    "GB/s": ("gigabyte per second", "gigabytes per second"),
    "Mbit/s": ("megabit per second", "megabits per second"),
    "Gbit/s": ("gigabit per second", "gigabits per second"),
    "t": ("tonne", "tonnes"),
    "ha": ("hectare", "hectares"),
    "ft": ("foot", "feet"),
    "sq ft": ("square foot", "square feet"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "tsp": ("teaspoon", "teaspoons"),
    "tbsp": ("tablespoon", "tablespoons"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "dB": ("decibel", "decibels"),
    "rpm": ("turn per minute", "turns per minute"),
    "fps": ("frame per second", "frames per second"),
    "px": ("pixel", "pixels"),
    "\u00b0C": ("degree celsius", "degrees celsius"),
    "\u00b0F": ("degree fahrenheit", "degrees fahrenheit"),
    "\u00b0": ("degree", "degrees"),
    "%": ("percent", "percent"),
    "\u2030": ("per mille", "per mille"),
    "\u2031": ("per ten thousand", "per ten thousand"),
    "\u00c5": ("angstrom", "angstroms"),
    "\u00a2": ("cent", "cents"),
}
"""Unit behind a number -> one, many."""

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

TITLES = {
    "Dr": "doctor", "Mr": "mister", "Mrs": "missus", "Ms": "miz", "Prof": "professor", "Gen": "general",
    "Sgt": "sergeant", "Capt": "captain", "Lt": "lieutenant", "Col": "colonel", "Gov": "governor", "Sen": "senator",
    "Rev": "reverend", "Mt": "mount", "Ft": "fort",
}  # fmt: skip
"""Before a name."""

ENDINGS = {
    "Jr": "junior", "Sr": "senior", "Inc": "incorporated", "Ltd": "limited", "Corp": "corporation", "Co": "company",
    "Ave": "avenue", "Rd": "road", "Blvd": "boulevard", "St": "street", "Dept": "department", "dept": "department",
    "Esq": "esquire",
}  # fmt: skip
"""Behind a name."""

BEFORE_FIGURES = {
    "No": "number", "no": "number", "Nos": "numbers", "Fig": "figure", "fig": "figure", "Figs": "figures", "p": "page",
    "pp": "pages", "vol": "volume", "Vol": "volume", "ch": "chapter", "Ch": "chapter", "sec": "section",
    "Sec": "section", "Eq": "equation", "eq": "equation", "ca": "about", "c": "about", "Art": "article",
}  # fmt: skip

ANYWHERE = {
    r"\be\.\s?g\.,?": "for example",
    r"\bi\.\s?e\.,?": "that is",
    r"\bw/o\b": "without",
    r"\bw/(?=\s)": "with",
    r"\band/or\b": "and or",
    r"\b24/7\b": "twenty four seven",
    r"\b9/11\b": "nine eleven",
    r"\bPh\.?D\b\.?": "p h d",
    r"\bB\.?Sc\b\.?": "b s c",
    r"\bM\.?Sc\b\.?": "m s c",
    r"\bC\+\+": "c plus plus",
    r"\b([CF])#": r"\1 sharp",
    r"&&": "and",
    r"\|\|": "or",
}
"""Pattern -> what is said."""

SHORTENED = {"ok": "okay", "etc": "et cetera", "vs": "versus", "approx": "approximately"}
"""Words that are said longer than they are written, with or without a full stop."""

LETTER_BY_LETTER = frozenset((
    "US", "USA", "UK", "UAE", "EU", "UN", "FBI", "CIA", "BBC", "CEO", "CFO", "CTO", "COO", "CPU", "GPU", "USB", "URL",
    "URI", "HTML", "CSS", "HTTP", "HTTPS", "API", "SQL", "PDF", "DVD", "CD", "TV", "PC", "AI", "UI", "UX", "ATM",
    "DIY", "FAQ", "VIP", "IBM", "DNA", "RNA", "GDP", "GPS", "SMS", "UFO", "MBA", "IQ", "EQ", "HIV", "ABC", "NBC",
    "CBS", "CNN", "NHS", "EV", "ID", "IP", "IO", "OS", "IOS", "ISO", "IEEE", "AC", "AM", "PM", "AD", "BC", "BCE", "CE",
    "LED", "LCD", "LLM", "AGI", "ETA", "RSVP", "IOU", "NYU", "UCLA", "AKA", "IPA", "APA",
))  # fmt: skip
"""Capitals that are read as letters, though they could be read as a word."""

ROMAN_AFTER = frozenset((
    "chapter", "part", "book", "volume", "act", "scene", "section", "war", "type", "phase", "stage", "article",
    "title", "appendix", "figure", "table", "level", "class", "grade", "mark", "episode", "season", "round", "version",
    "group", "category", "schedule", "step", "unit", "lesson", "psalm", "canto", "edition",
))  # fmt: skip
"""Words behind which a Roman numeral is a number."""

RULERS = frozenset((
    "henry", "elizabeth", "charles", "louis", "george", "edward", "william", "richard", "james", "john", "paul",
    "benedict", "pius", "francis", "philip", "peter", "catherine", "nicholas", "alexander", "napoleon", "frederick",
    "wilhelm", "leo", "gregory", "clement", "innocent", "urban", "mary", "ivan", "otto", "ferdinand", "ramses",
    "ptolemy", "darius", "cyrus", "xerxes", "alfonso", "christian", "gustav", "carl",
))  # fmt: skip
"""Names behind which it is an ordinal."""

SIGNS = {
    "&": "and", "+": "plus", "=": "equals", "%": "percent", "@": "at", "*": "star", "\u00d7": "times",
    "\u00f7": "divided by", "\u2212": "minus", "\u00b1": "plus or minus", "\u2248": "about",
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
    "\u20bd": "roubles", "\u20a9": "won", "\u20ba": "liras",
}  # fmt: skip
"""Signs that no rule before has said."""

IN_ADDRESSES = {
    ".": "dot", "/": "slash", "-": "dash", "_": "underscore", "?": "question mark", "=": "equals", "&": "and",
    ":": "colon", "#": "hash", "%": "percent", "~": "tilde", "+": "plus", "@": "at", ",": "comma", ";": "semicolon",
    "!": "exclamation mark", "*": "star", "$": "dollar", "(": "bracket", ")": "bracket", "'": "apostrophe",
    "|": "bar", "[": "bracket", "]": "bracket",
}  # fmt: skip

EMOJI = {
    "\U0001f44d": "thumbs up", "\U0001f44e": "thumbs down", "\u2764": "red heart", "\u2b50": "star",
    "\u263a": "smiling face", "\u2728": "sparkles", "\u2705": "check mark", "\u274c": "cross mark",
}  # fmt: skip
"""Pictures whose Unicode name nobody says."""
