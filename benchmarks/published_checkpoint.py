"""A copy of the published checkpoint, empty but for its names, shapes and sizes, and what conversion makes of it.

    python benchmarks/published_checkpoint.py published --variant instruct
    python benchmarks/published_checkpoint.py published --convert

Shards are files with holes, so that 70 GB take no room on the disk. `--convert` says what conversion makes of each, up
to where it would write the first byte. Variants: instruct; thinking and captioner, which have no talker; resaved by
transformers 5.7 and later; fused, with experts as in memory; fp8 and awq, with quantized thinkers; adapter, with a LoRA
adapter of the thinker's and the talker's attention beside it.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

from omniggml.conversion.checkpoint_check import check_tensors
from omniggml.conversion.config_json import read_checkpoint_config
from omniggml.conversion.lora_adapter import CONFIG_NAME, WEIGHTS_NAME, LoraAdapter, MergedCheckpoint
from omniggml.conversion.safetensors_reader import Checkpoint
from omniggml.errors import ConversionError
from omniggml.spec.encoder_tensors import audio_encoder_tensors, vision_encoder_tensors
from omniggml.spec.expected_tensors import Named, speech_tensors, thinker_tensors
from omniggml.spec.model_config import AudioEncoderConfig, ModelConfig, VisionEncoderConfig
from omniggml.synthetic.ears import PUBLISHED_EARS, ears_for
from omniggml.synthetic.eyes import PUBLISHED_EYES, eyes_for
from omniggml.synthetic.geometries import PUBLISHED_GEOMETRY, Geometry
from omniggml.synthetic.random_checkpoint import config_json, generation_json, preprocessor_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Typed = tuple[str, tuple[int, ...], str]
"""Name, shape, and safetensors' type."""

TABLE = Path(__file__).parent / "published_tensors.toml"
VARIANTS = ("instruct", "thinking", "captioner", "resaved", "fused", "fp8", "awq", "adapter")
ADAPTER = "adapter"
"""The directory of the adapter, in that of the checkpoint."""

_BYTES = {"BF16": 2, "F32": 4, "F16": 2, "I32": 4, "F8_E4M3": 1}
_BLOCK = 128
_RANK = 16


def published_tensors(geometry: Geometry = PUBLISHED_GEOMETRY) -> Iterator[Named]:
    """Name and shape of every tensor."""
    yield from audio_encoder_tensors(_ears(geometry))
    yield from vision_encoder_tensors(_eyes(geometry))
    yield from thinker_tensors(geometry.thinker)
    yield from speech_tensors(geometry.model_config())


def _ears(geometry: Geometry) -> AudioEncoderConfig:
    return PUBLISHED_EARS if geometry is PUBLISHED_GEOMETRY else ears_for(geometry)


def _eyes(geometry: Geometry) -> VisionEncoderConfig:
    return PUBLISHED_EYES if geometry is PUBLISHED_GEOMETRY else eyes_for(geometry)


def write_checkpoint(directory: Path, variant: str, geometry: Geometry = PUBLISHED_GEOMETRY) -> Path:
    """Configuration, tokenizer, index and shards with holes in the place of values."""
    directory.mkdir(parents=True, exist_ok=True)
    geometry.tokenizer.write(directory)
    config = config_json(geometry, _ears(geometry), _eyes(geometry))
    tensors = ((name, shape, "BF16") for name, shape in published_tensors(geometry))
    config, changed = _CHANGES[variant](config, tensors)
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (directory / "generation_config.json").write_text(json.dumps(generation_json(geometry)), encoding="utf-8")
    (directory / "preprocessor_config.json").write_text(json.dumps(preprocessor_json()), encoding="utf-8")
    _write_shards(directory, list(changed))
    if variant == "adapter":
        _write_adapter(directory / ADAPTER, published_tensors(geometry))
    return directory


def _write_adapter(directory: Path, tensors: Iterable[Named]) -> None:
    """As PEFT saves one, its values holes."""
    directory.mkdir(exist_ok=True)
    chosen = [(name.removesuffix(".weight"), shape) for name, shape in tensors if _is_adapted(name)]
    config = {"peft_type": "LORA", "r": _RANK, "lora_alpha": 2 * _RANK, "target_modules": ["q_proj", "v_proj"]}
    (directory / CONFIG_NAME).write_text(json.dumps(config), encoding="utf-8")
    pairs = [
        (f"base_model.model.{module}.lora_{letter}.weight", size, "BF16")
        for module, shape in chosen
        for letter, size in (("A", (_RANK, shape[1])), ("B", (shape[0], _RANK)))
    ]
    _write_shard(directory / WEIGHTS_NAME, pairs)


def _is_adapted(name: str) -> bool:
    in_decoder = name.startswith(("thinker.model.layers.", "talker.model.layers."))
    return in_decoder and name.endswith((".q_proj.weight", ".v_proj.weight"))


def _write_shards(directory: Path, tensors: list[Typed]) -> None:
    most = tomllib.loads(TABLE.read_text(encoding="utf-8"))["shard_bytes"]
    shards: list[list[Typed]] = [[]]
    used = 0
    for tensor in tensors:
        size = _size(tensor)
        if used + size > most:
            shards.append([])
            used = 0
        shards[-1].append(tensor)
        used += size
    index = {}
    for number, shard in enumerate(shards):
        path = directory / f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(path, shard)
        index |= {tensor[0]: path.name for tensor in shard}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}), encoding="utf-8")


def _write_shard(path: Path, tensors: list[Typed]) -> None:
    entries: dict[str, Any] = {}
    end = 0
    for tensor in tensors:
        entries[tensor[0]] = {"dtype": tensor[2], "shape": tensor[1], "data_offsets": [end, end + _size(tensor)]}
        end += _size(tensor)
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)


def _size(tensor: Typed) -> int:
    return prod(tensor[1]) * _BYTES[tensor[2]]


# --- variants ---------------------------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any], Iterable[Typed]], tuple[dict[str, Any], Iterable[Typed]]]


def _instruct(config: dict[str, Any], tensors: Iterable[Typed]) -> tuple[dict[str, Any], Iterable[Typed]]:
    return config, tensors


def _voiceless(config: dict[str, Any], tensors: Iterable[Typed]) -> tuple[dict[str, Any], Iterable[Typed]]:
    kept = {key: value for key, value in config.items() if key not in ("talker_config", "code2wav_config")}
    return {**kept, "enable_audio_output": False}, (one for one in tensors if one[0].startswith("thinker."))


def _resaved(config: dict[str, Any], tensors: Iterable[Typed]) -> tuple[dict[str, Any], Iterable[Typed]]:
    for text in (config["talker_config"]["text_config"], config["thinker_config"]["text_config"]):
        text["rope_parameters"] = {**text.pop("rope_scaling"), "rope_theta": text.pop("rope_theta")}
    talker = config["talker_config"]["text_config"]
    talker["num_local_experts"] = talker.pop("num_experts")
    return config, tensors


def _fused(config: dict[str, Any], tensors: Iterable[Typed]) -> tuple[dict[str, Any], Iterable[Typed]]:
    config, tensors = _resaved(config, tensors)
    experts = {part: config[f"{part}_config"]["text_config"] for part in ("thinker", "talker")}

    def one(name: str, shape: tuple[int, ...], type_: str) -> Iterator[Typed]:
        moved = name.replace("thinker.model.", "thinker.model.language_model.")
        if ".mlp.experts." not in name:
            yield moved, shape, type_
        elif ".experts.0.up_proj." in name:
            text = experts[name.partition(".")[0]]
            n = text.get("num_experts") or text["num_local_experts"]
            prefix = moved.partition(".experts.")[0]
            yield f"{prefix}.experts.gate_up_proj", (n, 2 * shape[0], shape[1]), type_
            yield f"{prefix}.experts.down_proj", (n, shape[1], shape[0]), type_

    return config, chain.from_iterable(one(*tensor) for tensor in tensors)


def _fp8(config: dict[str, Any], tensors: Iterable[Typed]) -> tuple[dict[str, Any], Iterable[Typed]]:
    def one(name: str, shape: tuple[int, ...], type_: str) -> Iterator[Typed]:
        if not _is_quantized(name):
            yield name, shape, type_
            return
        yield name, shape, "F8_E4M3"
        yield f"{name}_scale_inv", (-(-shape[0] // _BLOCK), -(-shape[1] // _BLOCK)), "F32"

    quantization = {"quant_method": "fp8", "weight_block_size": [_BLOCK, _BLOCK]}
    return {**config, "quantization_config": quantization}, chain.from_iterable(one(*tensor) for tensor in tensors)


def _awq(config: dict[str, Any], tensors: Iterable[Typed]) -> tuple[dict[str, Any], Iterable[Typed]]:
    def one(name: str, shape: tuple[int, ...], type_: str) -> Iterator[Typed]:
        if not _is_quantized(name):
            yield name, shape, type_
            return
        base, groups = name.removesuffix("weight"), -(-shape[1] // _BLOCK)
        yield f"{base}qweight", (shape[1], -(-shape[0] // 8)), "I32"
        yield f"{base}qzeros", (groups, -(-shape[0] // 8)), "I32"
        yield f"{base}scales", (groups, shape[0]), "F16"

    return {**config, "quantization_config": {"quant_method": "awq", "bits": 4}}, chain.from_iterable(
        one(*tensor) for tensor in tensors
    )


def _is_quantized(name: str) -> bool:
    return name.startswith("thinker.model.layers.") and name.endswith("_proj.weight")


_CHANGES: dict[str, Change] = {
    "instruct": _instruct,
    "thinking": _voiceless,
    "captioner": _voiceless,
    "resaved": _resaved,
    "fused": _fused,
    "fp8": _fp8,
    "awq": _awq,
    "adapter": _instruct,
}


# --- what becomes of them ---------------------------------------------------------------------------------------------


def judged(directory: Path) -> str:
    """What conversion says before it writes: how many tensors it would read, or its sentence."""
    try:
        config = read_checkpoint_config(directory)
        whole = isinstance(config, ModelConfig)
        speech = speech_tensors(config) if isinstance(config, ModelConfig) else ()
        expected = list(chain(thinker_tensors(config.thinker), speech))
        checkpoint = Checkpoint(directory)
        check_tensors(checkpoint, expected, () if whole else ("talker.", "code2wav."))
        merged = _merged(directory, checkpoint, {name for name, _ in expected})
    except ConversionError as error:
        return f"refused: {error}"
    alone = "" if whole else ", for the thinker alone"
    return f"{len(expected)} of {len(checkpoint.tensors)} tensors would be read{alone}{merged}"


def _merged(directory: Path, checkpoint: Checkpoint, used: set[str]) -> str:
    if not (directory / ADAPTER).exists():
        return ""
    adapter = LoraAdapter(directory / ADAPTER)
    MergedCheckpoint(checkpoint, adapter).check(used, ())
    return f", {len(adapter.changes)} of them changed by the adapter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, help="write this one alone")
    parser.add_argument("--convert", action="store_true", help="say what conversion makes of each")
    args = parser.parse_args()
    for variant in [args.variant] if args.variant else VARIANTS:
        start = time.perf_counter()
        directory = write_checkpoint(args.directory / variant, variant)
        size = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
        held = sum(path.stat().st_blocks * 512 for path in directory.iterdir())
        print(f"{variant}: {size / 1e9:.1f} GB in {len(list(directory.glob('*.safetensors')))} shards", end=", ")
        print(f"{held / 1e6:.1f} MB on the disk, {time.perf_counter() - start:.1f} s")
        if args.convert:
            start = time.perf_counter()
            print(f"  {judged(directory)} ({time.perf_counter() - start:.1f} s)")


if __name__ == "__main__":
    main()
