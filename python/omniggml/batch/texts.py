"""The texts of a batch, out of a file: lines, CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
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


@dataclass(frozen=True)
class BatchText:
    """A text to be spoken: `id` names it, `speaker` and `seed` are the batch's where they are None."""

    id: str
    text: str
    speaker: str | None = None
    seed: int | None = None


def read_texts(path: PathLike) -> list[BatchText]:
    """All texts of a file: .txt, a text a line, numbered from 1; .csv, .tsv, .jsonl and .parquet with columns text and,
    as wished, id, speaker, seed; other columns are nobody's here. Raises InputError, with the row, for what is no text
    and for an id that comes twice."""
    file = as_path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise InputError(f"{file}: the ending {file.suffix!r} is none of {', '.join(_READERS)}")
    texts: dict[str, BatchText] = {}
    for number, row in enumerate(reader(file), 1):
        text = _checked(f"{file}, row {number}", number, row)
        if text.id in texts:
            raise InputError(f"{file}, row {number}: the id {text.id!r:.80} was there before")
        texts[text.id] = text
    return list(texts.values())


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            yield {"id": str(number), "text": line.strip()}


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter)
    try:
        for row in rows:
            yield {name: value for name, value in row.items() if name is not None and value != ""}
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: {error}") from error


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number} is no JSON object")
        yield row


def _parquet(path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise InputError(f"{path} needs pyarrow: pip install pyarrow") from None
    try:
        file = parquet.ParquetFile(path)
        columns = [name for name in ("id", "text", "speaker", "seed") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise InputError(f"{path} can't be read as Parquet: {error}") from error


_READERS = {".txt": _lines, ".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}


def _checked(where: str, number: int, row: Mapping[str, Any]) -> BatchText:
    """Raises InputError."""
    if row.get("text") is None:
        raise InputError(f"{where} has no text; it has {', '.join(map(repr, row)) or 'nothing'}")
    name, speaker, seed = row.get("id"), row.get("speaker"), row.get("seed")
    known = str(number) if name is None else str(name) if isinstance(name, (str, int)) else ""
    if not known or len(known) > _LONGEST_ID:
        raise InputError(f"{where}: the id is {name!r:.80}; expected 1 to {_LONGEST_ID} characters, or an integer")
    check_text(f"{where}: the id", known)
    if speaker is not None and not isinstance(speaker, str):
        raise InputError(f"{where}: the speaker is {speaker!r:.80}; expected a name")
    return BatchText(known, check_text(f"{where}: the text", row["text"]), speaker, _seed(where, seed))


def _seed(where: str, seed: object) -> int | None:
    digits = seed if isinstance(seed, str) and seed.isdecimal() and len(seed) <= 20 else None
    number = int(digits) if digits is not None else seed
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MOST_SEED:
        raise InputError(f"{where}: the seed is {seed!r:.80}; expected an integer from 0 to 2^64 - 1")
    return number
