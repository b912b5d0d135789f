"""What is written shorter than it is said, and the words among which figures and capitals are read otherwise."""

from __future__ import annotations

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
    r"\u00a7\u00a7": "sections",
    r"(?<=\d )fl\. ?oz\b\.?": "fluid ounces",
    r"\bpcs\b\.?": "pieces",
    r"\bea\.(?=\s|$)": "each",
    r"(?<=\d )pts\b\.?": "points",
    r"\b(?:Rm|rm)\.(?=\s*\d)": "room",
    r"\b[aA]pt\.(?=\s*[#\dA-Z])": "apartment",
    r"\bSte\.(?=\s*\d)": "suite",
    r"\bBldg\.": "building",
    r"\b[eE]xt\.(?=\s*\d)": "extension",
    r"\b[tT]el\.": "telephone",
    r"\bHwy\b\.?": "highway",
    r"\bR(?:te|t)\.(?=\s*\d)": "route",
    r"\b(?:max|Max)\.(?=\s)": "maximum",
    r"\b(?:min|Min)\.(?=\s+\d)": "minimum",
    r"\b(?:avg|Avg)\.(?=\s)": "average",
    r"\bincl\.": "including",
    r"\bcf\.(?=\s)": "compare",
    r"\blg\.(?=\s+[a-z])": "large",
    r"(?<=[a-z] )(?:St|st)(?=, [A-Z])": "street",
    r"(?<=[a-z] )Ave(?=,| (?:NW|NE|SW|SE|N|S|E|W)\b)": "avenue",
    r"(?<=[a-z] )Blvd(?=,| (?:NW|NE|SW|SE|N|S|E|W)\b)": "boulevard",
    r"(?<=[a-z] )Rd(?=,| (?:NW|NE|SW|SE|N|S|E|W)\b)": "road",
    r"\be\.\s?g\.,?": "for example",
    r"\bi\.\s?e\.,?": "that is",
    r"\bw/o\b": "without",
    r"\bw/(?=\s)": "with",
    r"\band/or\b": "and or",
    r"\b24/7\b": "twenty four seven",
    r"\b9/11\b": "nine eleven",
    r"\bWW(?:II|2)\b": "world war two",
    r"\bWW(?:I|1)\b": "world war one",
    r"\bPh\.?D\b\.?": "p h d",
    r"\bB\.?Sc\b\.?": "b s c",
    r"\bM\.?Sc\b\.?": "m s c",
    r"\bC\+\+": "c plus plus",
    r"\b([CF])#": r"\1 sharp",
    r"&&": "and",
    r"\|\|": "or",
    # Bits per second, or hundredths of a percent.
    r"(?<![A-Za-z])bps\b": "b p s",
}
"""Pattern -> what is said."""

SHORTENED = {"ok": "okay", "etc": "et cetera", "vs": "versus", "approx": "approximately"}
"""Words that are said longer than they are written, with or without a full stop."""

ROMAN_AFTER = frozenset((
    "chapter", "part", "book", "volume", "act", "scene", "section", "war", "type", "phase", "stage", "article",
    "title", "appendix", "figure", "table", "level", "class", "grade", "mark", "episode", "season", "round", "version",
    "group", "bowl", "category", "schedule", "step", "unit", "lesson", "psalm", "canto", "edition",
))  # fmt: skip
"""Words behind which a Roman numeral is a number."""

RULERS = frozenset((
    "henry", "elizabeth", "charles", "louis", "george", "edward", "william", "richard", "james", "john", "paul",
    "benedict", "pius", "francis", "philip", "peter", "catherine", "nicholas", "alexander", "napoleon", "frederick",
    "wilhelm", "leo", "gregory", "clement", "innocent", "urban", "mary", "ivan", "otto", "ferdinand", "ramses",
    "ptolemy", "darius", "cyrus", "xerxes", "alfonso", "christian", "gustav", "carl",
))  # fmt: skip
"""Names behind which it is an ordinal."""
