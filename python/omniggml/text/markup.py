"""Markdown, tags and entities -> the text that a reader of the page would see.

What comes out has a blank line between paragraphs and a line for each heading, list item, row and verse; lines that a
paragraph was wrapped into are joined, and of captions the times are left out.
"""

from __future__ import annotations

import html
import re

from omniggml.text.captions import without_times
from omniggml.text.latex import without_latex
from omniggml.text.line_ends import cells, joined, page_number, with_ends

# Elements that end a line or paragraph, and those within one. Anything else in angle brackets is text: List<int>.
_BLOCKS = (
    "address article aside blockquote body div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head "
    "header hr html main nav ol p pre s-p section table tbody tfoot thead title ul speak break"
)
_LINES = "br caption dd dt li option tr"
_INLINE = (
    "a abbr audio b bdi bdo big button cite code data del dfn em embed emphasis font i iframe img input ins kbd label "
    "link mark meta meter object option output phoneme picture prosody q rp rt ruby s samp say-as script select small "
    "source span strike strong style sub summary sup svg textarea time tt u var video voice wbr"
)
_VOID = "br embed img input source track wbr"
_LINE_END = "\x1e"  # before a line end that a tag says
_BETWEEN_CELLS = re.compile(r"</t[dh]\s*>\s*(?=<t[dh]\b)", re.IGNORECASE)
_SOFT_HYPHEN = re.compile(r"\u00ad(?![\r\n])")  # at a line's end it parts a word
_UNSEEN = re.compile(r"<!--|<(script|style)\b[^<>]*>", re.IGNORECASE)
_UNSEEN_END = {
    "": re.compile("-->"),
    "script": re.compile(r"</script\s*>", re.IGNORECASE),
    "style": re.compile(r"</style\s*>", re.IGNORECASE),
}
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+|[\w.+-]{1,80}@[\w.-]{1,120})>")
_TAG = re.compile(
    r"</?(?P<name>[A-Za-z][\w:-]*)(?P<rest>(?:\s+[\w:-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))?)*)\s*/?>"
)
# Attributes that need no value.
_BARE = re.compile(
    r"(?:\s+(?:async|autofocus|autoplay|checked|controls|crossorigin|defer|disabled|download|hidden|inert|loop|multiple|"
    r"muted|open|readonly|required|reversed|selected))+\s*/?"
)
_NAMES = re.compile(r"<(/?[A-Za-z][\w:-]*)")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"\n]*\")?\)|\[[^\[\]\n]*\])")
_FOOTNOTE = re.compile(r"\[\^[^\[\]\s]+\]:?")
# Only what leads somewhere is a link's definition: "[Alice]: we ship" and "[^1]: a note" say something.
_TARGET = r"(?:[A-Za-z][A-Za-z0-9+.-]*:\S|www\.|#|\.{0,2}/)\S*"
_TITLE = r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?"
_DEFINITION = re.compile(rf"^ {{0,3}}\[(?!\^)[^\]\n]+\]:[ \t]+(?:<{_TARGET}>|{_TARGET}){_TITLE}[ \t]*$", re.MULTILINE)
_CODE = re.compile(r"(?<!`)(`{1,8})(?!`)(.{1,2000}?)(?<!`)\1(?!`)")
_EMPHASIS = (
    re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])(.{1,1000}?)(?<=[^\s*])\1(?![\w*])"),
    re.compile(r"(\*\*)(?=[^\s*])(.{1,1000}?)(?<=[^\s*])\1(?!\*)"),
    re.compile(r"(?<!\w)(_{1,3})(?=[^\s_])(.{1,1000}?)(?<=[^\s_])\1(?!\w)"),
)
_STRUCK = re.compile(r"(?<![\w~])(~~)(?=[^\s~])(.{1,1000}?)(?<=[^\s~])\1(?!~)")
_STRUCK_TAG = re.compile(r"<(s|del|strike)\b[^<>]*>([^<>\n]*[^<>\n.!?])</\1\s*>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>]+))", re.IGNORECASE)
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+.!~>|$%&-])")

_FENCE = re.compile(r"\s*(?:```+|~~~+) ?(?:[A-Za-z][\w+#.-]*)?\s*$")
_RULE = re.compile(r"\s*(?:=+|-(?:\s*-){2,}|\*(?:\s*\*){2,}|_(?:\s*_){2,})\s*$")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+")
_QUOTATION = re.compile(r"\s{0,3}(?:>\s?)+")
_COMPARISON = re.compile(r"\s*>\s?(?=[$\u00a3\u20ac]?\.?\d)")
_GLUED = re.compile(r"\s*>[$\u00a3\u20ac]?\.?\d")
_BULLET = re.compile(r"\s*[-*+\u2022\u2023\u25e6\u2043]\s+(?:\[(?P<task>[ xX])\]\s+)?(?=\S)")
_NUMBERED = re.compile(r"\s*(\d{1,3})[.)]\s+(?=\S)")
_ROW = re.compile(r"\s*\|(\s.*|[^|]+\|.*)\|\s*$")
_BORDER = re.compile(r"\s*[-=+|: \u2500-\u257f]{3,}$")
_BETWEEN_ROWS = re.compile(r"[\s|:-]+$")


_SCRIPT = re.compile(r"<(sup|sub)\b[^<>]*>\s*([-+\u2212\u2013]?\d+|\d*[-+\u2212\u2013])\s*</\1\s*>", re.IGNORECASE)
_RAISED = str.maketrans(
    "0123456789+-\u2212\u2013",
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u207b\u207b",
)
_LOWERED = str.maketrans("0123456789", "\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089")


def without_markup(text: str) -> str:
    """The text without Markdown and tags, entities resolved. Nothing that a reader would see goes."""
    text = _AUTOLINK.sub(_linked, _seen(without_latex(without_times(text))))
    text = _BETWEEN_CELLS.sub("\t", text)
    text = _SCRIPT.sub(lambda found: found[2].translate(_RAISED if found[1].lower() == "sup" else _LOWERED), text)
    text = _STRUCK_TAG.sub(_struck, text)
    text = _NICK.sub(_spoken_by, text)
    names = frozenset(name.lower() for name in _NAMES.findall(text))
    text = _TAG.sub(lambda found: _tag(found, names), text)
    text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    return "\n\n".join(_paragraph(lines) for lines in _paragraphs(_DEFINITION.sub("", text)))


_AROUND = 40  # characters of a text that tell whether it speaks of a tag


def _seen(text: str) -> str:
    """Without comments, scripts and styles. One that doesn't end is text."""
    seen: list[str] = []
    at = 0
    unended: set[str] = set()
    for begin in _UNSEEN.finditer(text):
        kind = (begin[1] or "").lower()
        if begin.start() < at or kind in unended:
            continue
        end = _UNSEEN_END[kind].search(text, begin.end())
        if end is None:
            unended.add(kind)
        else:
            seen += [text[at : begin.start()], " "]
            at = end.end()
    return "".join([*seen, text[at:]])


def _linked(found: re.Match[str]) -> str:
    return (
        f", {found[1]}, " if re.search(r"\w\s*$", found.string[max(0, found.start() - 2) : found.start()]) else found[1]
    )


def _spoken_by(found: re.Match[str]) -> str:
    """Who says a line of a chat, where that is no tag's name."""
    name = found[2].lower()
    known = name in _INLINE.split() or name in _BLOCKS.split() or name in _LINES.split()
    return found[0] if known or f"</{name}" in found.string.lower() else f"{found[1]}{found[2]}:"


def _struck(found: re.Match[str]) -> str:
    return f"crossed out: {found[2]},"


def _mentioned(found: re.Match[str], names: frozenset[str]) -> bool:
    """Whether the text speaks of a tag: "use the <b> tag"."""
    before = found.string[max(0, found.start() - _AROUND) : found.start()]
    behind = found.string[found.end() : found.end() + _AROUND]
    name = found["name"].lower()
    if re.match(r"[ \t]+(?:tag|element)s?\b", behind) or re.search(r"\b(?:tag|element)s?[ \t]+$", before):
        return True
    if name not in _INLINE.split() or name in _VOID.split() or found["rest"] or found[0].endswith("/>"):
        return False
    apart = re.search(r"\S[ \t]+$", before) and re.match(r"[.,;:!?]?(?:[ \t]+\S|\s*$)", behind)
    return apart is not None and (name if found[0].startswith("</") else f"/{name}") not in names


def _tag(found: re.Match[str], names: frozenset[str]) -> str:
    name = found["name"].lower()
    if _mentioned(found, names):
        return html.escape(found[0])
    rest = found["rest"].strip()
    if rest and "=" not in rest and not _BARE.fullmatch(found["rest"]) and f"/{name}" not in names:
        return found[0]  # "x <a or b> c" compares
    if name == "img" and (alt := _ALT.search(found["rest"])):
        return f" {alt[1] or alt[2] or alt[3] or ''} "
    if name in ("td", "th"):
        return "\t"
    if name in _LINES.split():
        return f"{_LINE_END}\n"
    if name in _BLOCKS.split():
        return "\n\n"
    closed = found[0].startswith("</")
    # Behind a letter, "a<b>c" compares, unless something closes it.
    before = found.string[max(0, found.start() - 1) : found.start()]
    compares = re.match(r"[\w)\]]", before) and name not in _VOID.split()
    if compares and not closed and "=" not in found["rest"] and f"/{name}" not in names:
        return found[0]
    # A pair that no list knows is a tag too, and so is what has attributes.
    if name in _INLINE.split() or closed or "=" in rest or f"/{name}" in names:
        return ""
    return found[0]


_NICK = re.compile(
    r"^((?:\[?\d\d?:\d\d(?::\d\d)?\]?[ \t]+)?)<[@+%~&]?([A-Za-z_][\w.|-]{0,30})>(?=[ \t]+\S)", re.MULTILINE
)


def _paragraphs(text: str) -> list[list[str]]:
    """Lines of paragraphs, each a sentence or more of its own."""
    paragraphs: list[list[str]] = []
    block: list[tuple[str, str]] = []
    code = False
    lines = _SOFT_HYPHEN.sub("", text).splitlines()
    for line, compares in zip(lines, _compared(lines), strict=True):
        if _FENCE.match(line):
            code = not code
        elif not line.strip() or _RULE.match(line):
            paragraphs.append(_lines_of(block))
            block = []
        else:
            line, alone = (line.strip(), "") if compares else _line(line)
            if line.strip():
                block.append((line, "whole" if code else alone))
    return [lines for lines in [*paragraphs, _lines_of(block)] if lines]


def _lines_of(block: list[tuple[str, str]]) -> list[str]:
    """The lines of a paragraph, of which one that is "whole" and one that "begins" something begin anew."""
    starts = [n for n, (_, alone) in enumerate(block) if n == 0 or alone or block[n - 1][1] == "whole"]
    lines: list[str] = []
    for start, end in zip(starts, [*starts, len(block)][1:], strict=True):
        group = [line for line, _ in block[start:end]]
        if block[start][1]:
            # The next line of a list item belongs to it.
            lines.append(joined([line.strip() for line in group]))
        else:
            rows = cells(group)
            lines += list(with_ends(group)) if rows is None else map(_ended, rows[:-1])
            lines += [] if rows is None else rows[-1:]
    return [*map(_ended, lines[:-1]), *lines[-1:]]


def _compared(lines: list[str]) -> list[bool]:
    """Which lines begin with a sign that compares: ">" before a figure, where no line beside it has one, too."""
    quoted = [False, *(_QUOTATION.match(line) is not None for line in lines), False]
    alone = [not quoted[n] and not quoted[n + 2] for n in range(len(lines))]
    return [(_COMPARISON if one else _GLUED).match(line) is not None for line, one in zip(lines, alone, strict=True)]


def _line(line: str) -> tuple[str, str]:
    """The line without its mark, and whether it stands alone: "" no, "begins" it begins something, "whole"."""
    if line.endswith(_LINE_END):
        line = line.rstrip(_LINE_END).strip()
        return (cells([line]) or [line])[0], "whole"
    if (heading := _HEADING.match(line)) and not line.startswith("of ", heading.end()):
        return _ended(line[heading.end() :].rstrip().rstrip("#").rstrip()), "whole"
    if row := _ROW.match(line):  # "|x|" is none
        if _BETWEEN_ROWS.match(row[1]):
            return "", "whole"
        return _ended(", ".join(cell.strip() for cell in row[1].split("|") if cell.strip())), "whole"
    if _is_border(line):
        return "", "whole"
    if page := page_number(line):
        return page, "whole"
    if quotation := _QUOTATION.match(line):
        line = line[quotation.end() :]
    if bullet := _BULLET.match(line):
        task = {"": "", " ": "not checked: ", "x": "checked: "}[(bullet["task"] or "").lower()]
        return _ended(task + line[bullet.end() :].strip()), "begins"
    if number := _NUMBERED.match(line):
        return _ended(f"{number[1]}. {line[number.end() :].strip()}"), "begins"
    return line.rstrip(), ""


def _is_border(line: str) -> bool:
    """Of a table that is drawn."""
    drawn = line.strip()
    plain = drawn[0] in "+|" and drawn[-1] in "+|" and ("--" in drawn or "==" in drawn)
    return _BORDER.match(drawn) is not None and (plain or drawn[0] >= "\u2500")


def _ended(line: str) -> str:
    return line if not line or line[-1] in ".,;:!?\u2026\u3002\uff01\uff1f" else f"{line}."


def _paragraph(lines: list[str]) -> str:
    return "\n".join(_inline(line) for line in lines)


def _link(found: re.Match[str]) -> str:
    # "[1][2]" are two notes, "a[i][j]" a place in a table.
    return found[0] if found[0].endswith("]") and not re.search(r"[^\W\d_]{2}", found[1]) else found[1]


def _inline(line: str) -> str:
    line = _FOOTNOTE.sub("", _LINK.sub(_link, line))
    line = _STRUCK.sub(_struck, _CODE.sub(r"\2", line))
    for pattern in _EMPHASIS:
        line = pattern.sub(r"\2", line)
    return _ESCAPE.sub(r"\1", line)
