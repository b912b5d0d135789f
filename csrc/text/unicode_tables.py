"""Writes unicode_tables.h, which csrc/text/unicode.cpp reads: `python unicode_tables.py UNICODE_DATA_CPP OUT`.

The classes come from llama.cpp's table (Unicode 15.1), completed by what Unicode 16 added; the normalisation from
Python's `unicodedata`, whose values Unicode never changes, cut back to Unicode 9. Those are the versions of the
`tokenizers` library, by which Qwen's text is split; any Python writes the same tables.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

ALL = 0x110000
BLOCK = 256

# Classes, as in unicode.h, and what else a code point is.
OTHER, LETTER, NUMBER, SPACE = range(4)
UNSTABLE = 4  # may change, join what is before it or move when normalised
JOINS = 8  # may be joined by what comes behind it

LLAMA_NUMBER, LLAMA_LETTER, LLAMA_UNDEFINED = 2, 4, 1

UNICODE_16_LETTERS = (
    "1C89-1C8A A7CB-A7CD A7DA-A7DC 105C0-105F3 10D4A-10D65 10D6F-10D85 10EC2-10EC4 11380-11389 1138B 1138E "
    "11390-113B5 113B7 113D1 113D3 11BC0-11BE0 13460-143FA 16100-1611D 16D40-16D6C 18CFF 1E5D0-1E5ED 1E5F0"
)
UNICODE_16_NUMBERS = "10D40-10D49 116D0-116E3 11BF0-11BF9 16130-16139 16D70-16D79 1CCF0-1CCF9 1E5F1-1E5FA"

# Where the marks and letters lie that came after Unicode 9 and that normalisation would touch; nothing older does.
NOT_NORMALISED = (
    "07FD 0898-08D3 09FE 0C3C 0D3B-0D3C 0EBA 1715 1ABF-1ACE 1DF6-1DFA A82C 10D24-10F85 11070 1133B 1145E "
    "11839-11A99 11D42-11F42 16FF0-16FF1 1E08F-1E4EF"
)

LEADING_JAMO, VOWEL_JAMO, TRAILING_JAMO = range(0x1100, 0x1113), range(0x1161, 0x1176), range(0x11A8, 0x11C3)
SYLLABLES, TRAILING = range(0xAC00, 0xD7A4), 28


def code_points(ranges: str) -> set[int]:
    found: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def llama_flags(source: str) -> list[int]:
    """llama.cpp's flags of every code point: its table has the first of each run."""
    table = source[source.index("unicode_ranges_flags") : source.index("unicode_set_whitespace")]
    runs = [(int(first, 16), int(flags, 16)) for first, flags in re.findall(r"\{(0x\w+), (0x\w+)\}", table)]
    flags: list[int] = []
    for (first, value), (end, _) in zip(runs, [*runs[1:], (ALL, 0)], strict=True):
        assert len(flags) == first
        flags += [value] * (end - first)
    return flags


def llama_spaces(source: str) -> set[int]:
    table = source[source.index("unicode_set_whitespace") : source.index("unicode_map_lowercase")]
    return {int(code, 16) for code in re.findall(r"^(0x\w+),", table, re.MULTILINE)}


def classes(source: str, flags: list[int]) -> list[int]:
    letters, numbers = code_points(UNICODE_16_LETTERS), code_points(UNICODE_16_NUMBERS)
    spaces = llama_spaces(source)
    found = []
    for code, flag in enumerate(flags):
        if flag & LLAMA_LETTER or code in letters:
            found.append(LETTER)
        elif flag & LLAMA_NUMBER or code in numbers:
            found.append(NUMBER)
        else:
            found.append(SPACE if code in spaces else OTHER)
    return found


def normalisation(flags: list[int]) -> tuple[dict[int, int], dict[int, tuple[int, int]], dict[tuple[int, int], int]]:
    """Combining classes; decompositions by one step, 0: no second part; compositions; all of it without Hangul."""
    left_out = code_points(NOT_NORMALISED)
    marks: dict[int, int] = {}
    parts: dict[int, tuple[int, int]] = {}
    whole: dict[tuple[int, int], int] = {}
    for code in range(ALL):
        if flags[code] & LLAMA_UNDEFINED or code in left_out or 0xD800 <= code < 0xE000 or code in SYLLABLES:
            continue
        if unicodedata.combining(chr(code)):
            marks[code] = unicodedata.combining(chr(code))
        decomposition = unicodedata.decomposition(chr(code))
        if decomposition and not decomposition.startswith("<"):
            first, second = ([int(part, 16) for part in decomposition.split()] + [0])[:2]
            parts[code] = (first, second)
            if second and unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(code):
                whole[first, second] = code
    return marks, parts, whole


def with_normalisation(
    values: list[int], marks: dict[int, int], parts: dict[int, tuple[int, int]], whole: dict[tuple[int, int], int]
) -> None:
    """Adds UNSTABLE and JOINS to the classes."""
    kept = set(whole.values())
    unstable = set(marks) | (set(parts) - kept) | {second for _, second in whole} | set(VOWEL_JAMO) | set(TRAILING_JAMO)
    # What decomposes may lose its own mark to one that comes behind it.
    joins = {first for first, _ in whole} | set(parts) | set(LEADING_JAMO)
    joins |= {code for code in SYLLABLES if (code - SYLLABLES[0]) % TRAILING == 0}
    for code in unstable:
        values[code] |= UNSTABLE
    for code in joins:
        values[code] |= JOINS


def rows(numbers: list[int]) -> str:
    lines = [", ".join(map(str, numbers[start : start + 24])) for start in range(0, len(numbers), 24)]
    return ",\n    ".join(lines)


def array(declaration: str, entries: list[str]) -> str:
    lines = [", ".join(entries[start : start + 5]) for start in range(0, len(entries), 5)]
    return f"constexpr {declaration}[] = {{\n    " + ",\n    ".join(lines) + "\n};\n"


def header(source: str) -> str:
    flags = llama_flags(source)
    values = classes(source, flags)
    marks, parts, whole = normalisation(flags)
    with_normalisation(values, marks, parts, whole)
    blocks: dict[tuple[int, ...], int] = {}
    index = [blocks.setdefault(tuple(values[start : start + BLOCK]), len(blocks)) for start in range(0, ALL, BLOCK)]
    flat = [value for block in blocks for value in block]
    return (
        "// Written by unicode_tables.py while building.\n#pragma once\n\n#include <cstdint>\n\nnamespace omni {\n\n"
        f"constexpr uint8_t k_unicode_index[] = {{\n    {rows(index)}\n}};\n\n"
        f"constexpr uint8_t k_unicode_blocks[] = {{\n    {rows(flat)}\n}};\n\n"
        "struct CombiningClass {\n    uint32_t code;\n    uint32_t value;\n};\n\n"
        + array("CombiningClass k_combining_classes", [f"{{ {code}, {value} }}" for code, value in marks.items()])
        + "\nstruct Decomposition {\n    uint32_t code;\n    uint32_t first;\n    uint32_t second;\n};\n\n"
        + array("Decomposition k_decompositions", [f"{{ {code}, {a}, {b} }}" for code, (a, b) in parts.items()])
        + "\n// Sorted by their two parts.\n"
        + array("Decomposition k_compositions", [f"{{ {code}, {a}, {b} }}" for (a, b), code in sorted(whole.items())])
        + "\n}  // namespace omni\n"
    )


def main() -> None:
    source, out = map(Path, sys.argv[1:])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(header(source.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
