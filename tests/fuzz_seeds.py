"""Write the fuzzer's seeds into a directory: small files of every family. Usage: fuzz_seeds.py DIRECTORY"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from foreign_files import merged, write_all_in_one, write_bundled, write_code2wav, write_mtp_talker
from omniggml import convert, quantize
from omniggml.synthetic.ears import ears_for
from omniggml.synthetic.eyes import eyes_for
from omniggml.synthetic.geometries import GEOMETRIES, Geometry
from omniggml.synthetic.random_checkpoint import write_random_checkpoint


def smallest(name: str, rates: tuple[int, ...]) -> Geometry:
    """One layer of everything: the smaller a seed, the more of them a second sees."""
    geometry = GEOMETRIES[name]
    return replace(
        geometry,
        thinker=replace(geometry.thinker, num_hidden_layers=1),
        talker=replace(geometry.talker, num_hidden_layers=1, accept_hidden_layer=1),
        code_predictor=replace(geometry.code_predictor, num_hidden_layers=1),
        code2wav=replace(geometry.code2wav, num_hidden_layers=1, upsample_rates=rates),
    )


def write_encoders(directory: Path) -> list[Path]:
    """Encoders for audio and images, for the thinkers of `smallest("tiny", ...)`: both in a file, and each alone."""
    geometry = smallest("tiny", (2,))
    ears = replace(ears_for(geometry), encoder_layers=1, max_source_positions=13, n_window_infer=100)
    eyes = replace(eyes_for(geometry), depth=2, patch_size=4, num_position_embeddings=4, deepstack_visual_indexes=(0,))
    paths = []
    for name, audio, vision, type_ in (
        ("both", ears, eyes, "f16"),
        ("ears", ears, None, "q8_0"),
        ("eyes", None, eyes, "f32"),
    ):
        with tempfile.TemporaryDirectory() as work:
            write_random_checkpoint(geometry, Path(work) / name, audio=audio, vision=vision)
            (path,) = convert(Path(work) / name, work, type=type_, name=name, only="mmproj")
            paths.append(path.rename(directory / f"mmproj-{name}.gguf"))
    return paths


def write_seeds(directory: Path) -> list[Path]:
    """The seeds' paths. The same bytes every time."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        speech, thinker = _own_files(smallest("tiny", (2, 2, 2, 2)), Path(work), "tiny")
        (mmproj,) = convert(Path(work) / "tiny", work, type="q8_0", name="tiny", layout="mtmd-gen")
        odd, _ = _own_files(smallest("odd", (2,)), Path(work), "odd")
        bundled = write_bundled(Path(work) / "bundled.gguf", speech)
        return [
            quantize(speech, directory / "speech-q8_0.gguf", policy="q8_0-all").path,
            quantize(speech, directory / "speech-q4_k.gguf", policy="q4_k").path,
            quantize(odd, directory / "speech-odd.gguf", policy="f16").path,
            quantize(thinker, directory / "thinker.gguf", policy="q4_k").path,
            write_all_in_one(directory / "all-in-one.gguf", speech, thinker, tokenizer=False, q8=True),
            quantize(bundled, directory / "bundled.gguf", policy="q8_0-all").path,
            write_code2wav(directory / "code2wav.gguf", speech),
            merged(thinker, directory / "merged.gguf"),
            write_mtp_talker(directory / "mtp-talker.gguf", speech, q8=True),
            mmproj.rename(directory / "mtmd-gen.gguf"),
            *write_encoders(directory),
        ]


def _own_files(geometry: Geometry, work: Path, name: str) -> list[Path]:
    return convert(write_random_checkpoint(geometry, work / name), work, type="f32", name=name)


if __name__ == "__main__":
    for path in write_seeds(Path(sys.argv[1])):
        print(path.name, path.stat().st_size)
