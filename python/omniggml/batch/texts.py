"""The texts of a batch, out of a file: lines, CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.errors import InputError
from omniggml.options import PathLike
from omniggml.paths import as_path
from omniggml.text.decoding import read_text
from omniggml.text.soundness import check_text

_LONGEST_ID = 200
_MOST_SEED = 2**64 - 1
_COLUMNS = ("id", "text", "speaker", "seed")
# Other letters that end a line somewhere are part of a text here.
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEPARATOR = re.compile(r"sep=([,;|\t])(?:\r\n|\r|\n)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_WHOLE = re.compile(r"[0-9]+\.0")
_MADE_UP = re.compile(r"row [0-9]+'*")
_DIGITS = re.compile(r"\s*([0-9]{1,20})(?:\.0+)?\s*")


Row = tuple[Mapping[str, Any], str]
"""A row's columns, and what is wrong with it as a row: nothing, mostly."""


@dataclass(frozen=True)
class BatchText:
    """A text to be spoken: `id` names it, `speaker` and `seed` are the batch's where they are None. `error`: why its
    row holds nothing that can be spoken."""

    id: str
    text: str
    speaker: str | None = None
    seed: int | None = None
    error: str = ""


def read_texts(path: PathLike) -> list[BatchText]:
    """All texts of a file: .txt, a text a line, numbered from 1; .csv, .tsv, .jsonl and .parquet with columns text and,
    as wished, id, speaker, seed; other columns are nobody's here. A row is judged alone: what is wrong with it is its
    `error`. Raises InputError for a file whose rows can't be told apart, or that has none."""
    file = as_path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(f"{file}: the ending {file.suffix!r} is none of {', '.join(_READERS)}")
    rows = list(reader(file))
    if file.suffix.lower() in _TABLES:
        rows = _with_whole_ids(rows)
    given = {name for row, _ in rows if (name := _given_id(row)) is not None}
    texts: dict[str, BatchText] = {}
    for number, (row, wrong) in enumerate(rows, 1):
        text = _text_of(number, row, wrong, texts, given)
        texts[text.id] = text
    if not texts:
        raise InputError(f"{file} holds no texts")
    return list(texts.values())


def _lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_LINE_END.split(read_text(path)), 1):
        if line.strip():
            yield {"id": str(number), "text": line.strip()}, ""


def _csv(path: Path) -> Iterator[Row]:
    # Strict: a quote that nobody closes would take all rows behind it for one text.
    words, delimiter = _delimited(read_text(path))
    rows = csv.reader(io.StringIO(words, newline=""), strict=True, delimiter=delimiter)
    begin = 1
    try:
        header = _columns(path, next(rows, []))
        while True:
            begin = rows.line_num + 1
            fields = next(rows, None)
            if fields is None:
                return
            if fields:
                yield _named(header, fields)
    except csv.Error as error:
        raise InputError(
            f"{path}, the row of line {begin}: {error}; a field that begins with a quote ends with one, and quotes "
            "within it are doubled"
        ) from error


def _delimited(words: str) -> tuple[str, str]:
    """A table of text, and what is between its fields: spreadsheets write semicolons where a comma is in numbers, and
    may say so in a line of its own."""
    told = _SEPARATOR.match(words)
    if told is not None:
        return words[told.end() :], told[1]
    head = _LINE_END.split(words, maxsplit=1)[0]
    return words, next((one for one in ",;\t" if _names_text(head.split(one))), ",")


def _names_text(header: Sequence[str]) -> bool:
    return "text" in [_column(name.strip('"')) for name in header]


def _column(name: str) -> str:
    """Ours in small letters, others as they are."""
    name = name.strip()
    return name.lower() if name.lower() in _COLUMNS else name


def _tsv(path: Path) -> Iterator[Row]:
    """Each line a row: a quote is a letter, but where it is around a whole field, as spreadsheets write it."""
    lines = _LINE_END.split(read_text(path))
    header = _columns(path, _tabbed(lines[0]))
    for line in lines[1:]:
        if line.strip():
            yield _named(header, _tabbed(line))


def _tabbed(line: str) -> list[str]:
    return [field[1:-1].replace('""', '"') if _QUOTED.fullmatch(field) else field for field in line.split("\t")]


def _columns(path: Path, header: Sequence[str]) -> list[str]:
    """Raises InputError for a table without texts."""
    names = [_column(name) for name in header]
    if "text" not in names:
        raise InputError(f"{path} has no column text; it has {', '.join(map(repr, names))[:200] or 'nothing'}")
    twice = next((name for name in _COLUMNS if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has the column {twice} twice")
    return names


def _named(header: Sequence[str], fields: Sequence[str]) -> Row:
    wrong = ""
    if any(field.strip() for field in fields[len(header) :]):
        wrong = f"it has {len(fields)} fields, and there are {len(header)} columns; a text with a comma is in quotes"
    # A row may end early.
    return {name: field for name, field in zip(header, fields) if field != ""}, wrong  # noqa: B905


def _json_lines(path: Path) -> Iterator[Row]:
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    rows = [_object(line) for line in lines]
    if rows and all(row is None for row in rows):
        raise InputError(f"{path} holds no JSON objects, one a line")
    for row in rows:
        yield ({}, "it is no JSON object") if row is None else (row, "")


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise InputError(f"{path} needs pyarrow: pip install pyarrow") from None
    try:
        file = parquet.ParquetFile(path)
        ours = dict(zip(file.schema_arrow.names, _columns(path, file.schema_arrow.names), strict=True))
        for batch in file.iter_batches(columns=[name for name, column in ours.items() if column in _COLUMNS]):
            yield from (({ours[name]: value for name, value in row.items()}, "") for row in batch.to_pylist())
    except (ArrowException, OSError) as error:
        raise InputError(f"{path} can't be read as Parquet: {error}") from error


_TABLES = (".csv", ".tsv")
_READERS = {".txt": _lines, ".csv": _csv, ".tsv": _tsv, ".jsonl": _json_lines, ".parquet": _parquet}


def _with_whole_ids(rows: list[Row]) -> list[Row]:
    """A column of integers with a hole in it is one of floats in pandas, and so in the table that it writes."""
    ids = [row["id"] for row, _ in rows if "id" in row]
    if not ids or not all(_WHOLE.fullmatch(name) for name in ids):
        return rows
    return [({**row, "id": row["id"].partition(".")[0]} if "id" in row else row, wrong) for row, wrong in rows]


def _text_of(
    number: int, row: Mapping[str, Any], wrong: str, known: Container[str], given: Container[str]
) -> BatchText:
    """The text of a row, or what is wrong with it. `known`: ids of the rows before; `given`: all that rows name."""
    try:
        name = _id(row.get("id"))
        if name is None:
            name = str(number) if str(number) not in given else _made_up(number, known, given)
        elif name in known:
            raise InputError(f"the id {name!r:.80} was there before")
    except InputError as error:
        return BatchText(_made_up(number, known, given), "", error=f"row {number}: {error}")
    try:
        if wrong:
            raise InputError(wrong)
        return BatchText(name, _words(row), _speaker(row.get("speaker")), _seed(row.get("seed")))
    except InputError as error:
        return BatchText(name, "", error=f"row {number}: {error}")


def _made_up(number: int, known: Container[str], given: Container[str]) -> str:
    """A name for a row that no other has or will have: the same whenever the same file is read."""
    name = f"row {number}"
    while name in known or name in given:
        name += "'"
    return name


def is_made_up(name: str) -> bool:
    """Whether an id was made up for a row whose own was none."""
    return _MADE_UP.fullmatch(name) is not None


def _given_id(row: Mapping[str, Any]) -> str | None:
    """None where a row names none, or none that can be."""
    try:
        return _id(row.get("id"))
    except InputError:
        return None


def _present(value: object) -> object:
    """As pandas has it: a missing value is a number that is none, and makes floats of the integers beside it."""
    if isinstance(value, float):
        return None if math.isnan(value) else int(value) if value.is_integer() else value
    return value


def _id(given: object) -> str | None:
    """Raises InputError, as those below."""
    name = _present(given)
    if name is None:
        return None
    known = str(name) if isinstance(name, (str, int)) and not isinstance(name, bool) else ""
    if not known or len(known) > _LONGEST_ID:
        raise InputError(f"the id is {given!r:.80}; expected 1 to {_LONGEST_ID} characters, or an integer")
    return check_text("the id", known)


def _words(row: Mapping[str, Any]) -> str:
    text = _present(row.get("text"))
    if text is None or text == "":
        raise InputError("it has no text" if "text" in row or not row else f"it has no text, only {_shown(row)}")
    return check_text("the text", text)


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, row))[:200]


def _speaker(given: object) -> str | None:
    speaker = _present(given)
    if speaker is not None and not isinstance(speaker, str):
        raise InputError(f"the speaker is {given!r:.80}; expected a name")
    return None if speaker is None else check_text("the speaker", speaker)


def _seed(given: object) -> int | None:
    digits = _DIGITS.fullmatch(given) if isinstance(given, str) else None
    number = int(digits[1]) if digits is not None else _present(given)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MOST_SEED:
        raise InputError(f"the seed is {given!r:.80}; expected an integer from 0 to 2^64 - 1")
    return number
