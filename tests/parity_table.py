"""Print how closely the engine follows transformers: module x geometry x type, then greedy speech.

    python tests/parity_table.py [--geometry NAME ...] [--type TYPE ...] [--all-rows] [--stages]

Needs torch and transformers (`pip install '.[reference]'`). Ends with status 1 when a row is outside of its gate or a
greedy code differs. `docs/parity.md` says what is compared and why.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import omniggml
from ears_side import CLIPS, FRAMES, SAMPLES, Ears, boundaries, clip, of_whisper, recorded
from eyes_side import GRIDS, Eyes, held_to
from eyes_side import recorded as recorded_eyes
from omniggml.synthetic.ears import EARS
from omniggml.synthetic.eyes import EYES
from omniggml.synthetic.geometries import GEOMETRIES
from parity import engine_side, greedy
from parity.cases import make_case
from parity.files import ModelFiles
from parity.metrics import GATES, agreement
from parity.rows import Row, compare, worst_of_kind

# The last of them speaks no frame.
_WHOLE = [name for name in GEOMETRIES if name != "eos-first"]
_EARS = {f"ears-{name}": name for name in EARS}
_EYES = {f"eyes-{name}": name for name in EYES}
_NAMES = [*_WHOLE, *_EARS, *_EYES]

_COLUMNS = "{:<16} {:<5} {:<68} {:>12} {:>9} {:>10}  {}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the status to exit with."""
    options = _parser().parse_args(arguments)
    # Not at the top, so that --help answers where they are missing.
    import torch

    from parity import transformers_side

    # The tensors are tiny: more threads would only wait for each other.
    torch.set_num_threads(1)
    rows: list[Row] = []
    n_different = 0
    print(_COLUMNS.format("geometry", "type", "module", "cosine", "nmse", "gain", ""))
    with tempfile.TemporaryDirectory() as directory:
        files = ModelFiles(Path(directory))
        for name in (name for name in options.geometry if name in _WHOLE):
            reference = transformers_side.load_reference(files.checkpoint(name))
            for some in _rows(files, name, options.type, transformers_side, reference, forced=not options.stages):
                _print_rows(some if options.all_rows else worst_of_kind(some))
                rows += some
            n_different += _compare_greedy(files, name, transformers_side, reference)
        for name in (name for name in options.geometry if name in _EARS):
            ears = Ears(Path(directory), "tiny", _EARS[name])
            some = list(_ears_rows(ears, options.type, transformers_side, forced=not options.stages))
            _print_rows(some if options.all_rows else worst_of_kind(some))
            rows += some
        for name in (name for name in options.geometry if name in _EYES):
            some = list(_eyes_rows(Eyes(Path(directory), "tiny", _EYES[name]), options.type, transformers_side))
            _print_rows(some if options.all_rows else worst_of_kind(some))
            rows += some
    return _print_summary(rows, n_different)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geometry", nargs="+", choices=_NAMES, default=_NAMES, metavar="NAME", help=", ".join(_NAMES))
    parser.add_argument(
        "--type", nargs="+", choices=list(GATES), default=list(GATES), metavar="TYPE", help=", ".join(GATES)
    )
    parser.add_argument("--all-rows", action="store_true", help="every module, not the worst layer of each kind")
    parser.add_argument(
        "--stages",
        action="store_true",
        help="teacher-force whole stages only, so that errors add up through the layers",
    )
    return parser


def _rows(
    files: ModelFiles, name: str, types: list[str], transformers_side: Any, reference: Any, *, forced: bool
) -> Iterator[list[Row]]:
    """The rows of one geometry, type by type."""
    case = make_case(GEOMETRIES[name])
    recording = transformers_side.record(reference, case)
    for type_ in types:
        engine = engine_side.Engine(*files.gguf(name, type_))
        rows = compare(name, type_, engine.capture(case, recording, forced=forced), recording.outputs)
        whole = agreement(engine.waveform(case), recording.outputs["code2wav"])
        yield [*rows, Row("code2wav without a probe, from the codes to the waveform", name, type_, whole)]


def _ears_rows(ears: Ears, types: list[str], transformers_side: Any, *, forced: bool) -> Iterator[Row]:
    """The front end, and every module of one audio encoder: clips of several lengths, each from its features on, and
    several clips that transformers hears in one call."""
    reference = transformers_side.load_reference(ears.checkpoint)
    geometry = f"ears-{ears.name}"
    if "f32" in types:
        for kind, n in itertools.product(("noise", "voice", "silence"), SAMPLES):
            ours, theirs = omniggml.log_mel(clip(kind, n), n_mels=ears.n_mels), of_whisper(clip(kind, n), ears.n_mels)
            yield Row(f"log_mel of {kind}, {n} samples", geometry, "f32", agreement(ours, theirs))
    for frames in FRAMES:
        features = ears.features(frames)
        outputs = recorded(reference, features)
        given = boundaries(outputs) if forced else {}
        for type_ in types:
            yield from compare(geometry, type_, ears.captured(features, type_, given), outputs)
    if "f32" in types:  # errors add up
        clips = [ears.features(frames) for frames in CLIPS]
        rows = np.concatenate([ears.encoded(features) for features in clips])
        heard = recorded(reference, *clips)["thinker.audio_tower.proj2"]
        yield Row(
            f"thinker.audio_tower.proj2 of {len(clips)} clips in one call", geometry, "f32", agreement(rows, heard)
        )


def _eyes_rows(eyes: Eyes, types: list[str], transformers_side: Any) -> Iterator[Row]:
    """Every module of one vision encoder, for images and videos of several sizes, each from its patches on."""
    reference = transformers_side.load_reference(eyes.checkpoint)
    for grid in GRIDS:
        outputs = recorded_eyes(reference, eyes.patches(grid), grid)
        for type_ in (type_ for type_ in types if held_to(type_, grid)):
            yield from compare(f"eyes-{eyes.name}", type_, eyes.captured(grid, type_), outputs)


def _compare_greedy(files: ModelFiles, name: str, transformers_side: Any, reference: Any) -> int:
    """How many requests were spoken differently, in F32."""
    speech, thinker = files.gguf(name, "f32")
    model = omniggml.load(speech, thinker=thinker, device="cpu", n_threads=1)
    n_different = 0
    for title, request in greedy.standard_requests(model).items():
        spoken = greedy.speak(model, request)
        differences = spoken.differences(transformers_side.speak(reference, request))
        n_different += bool(differences)
        what = f"{len(spoken.answer)} text ids, {spoken.codes.size} codes, {spoken.audio.size} samples"
        print(f"{name:<13} f32   greedy: {title}: {what}: {'; '.join(differences) or 'equal'}", flush=True)
    return n_different


def _print_rows(rows: list[Row]) -> None:
    for row in rows:
        seen = row.agreement
        numbers = (f"{seen.cosine:.10f}", f"{seen.nmse:.2e}", f"{seen.gain:.7f}")
        print(
            _COLUMNS.format(row.geometry, row.type, row.module, *numbers, "ok" if row.passes else "OUTSIDE"), flush=True
        )


def _print_summary(rows: list[Row], n_different: int) -> int:
    print("\nThe worst of all geometries and modules, each number by itself; the gates:")
    line = "{:<15} {:<5} {:>5} {:>15} {:>13} {:>13}  {}"
    print(line.format("stage", "type", "rows", "lowest cosine", "highest nmse", "|gain - 1|", ""))
    for type_, gate in GATES.items():
        of_type = [row for row in rows if row.type == type_]
        if not of_type:
            continue
        for stage in sorted({row.stage for row in of_type}):
            some = [row.agreement for row in of_type if row.stage == stage]
            cosine, nmse = min(seen.cosine for seen in some), max(seen.nmse for seen in some)
            gain = max(abs(seen.gain - 1) for seen in some)
            print(line.format(stage, type_, len(some), f"{cosine:.10f}", f"{nmse:.1e}", f"{gain:.1e}", ""))
        bounds = (f">= {gate.cosine}", f"<= {gate.nmse:.0e}", f"<= {gate.gain:.0e}")
        n_outside = sum(not row.passes for row in of_type)
        print(line.format("gate", type_, len(of_type), *bounds, f"{n_outside} outside"))
    n_outside = sum(not row.passes for row in rows)
    print(f"\n{len(rows)} rows, {n_outside} outside of their gates; {n_different} greedy speeches differ")
    return 1 if n_outside or n_different else 0


if __name__ == "__main__":
    sys.exit(main())
