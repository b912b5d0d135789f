"""Faults in files: tensors and metadata, edited with the gguf package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType
from planted import Planted
from subjects import VOICE, Subjects, put, values

from foreign_files import write_all_in_one
from gguf_edit import GgufEdit, Tensor

Edit = Callable[[GgufEdit], Any]
P = "qwen3omni-speech."
CODES = "code2wav.code_embedding.weight"


def cases(subjects: Subjects) -> Iterator[Planted]:
    for fault, cause, edit, places in _faults(subjects):
        for place in places:
            yield Planted(f"file/{fault}/{place}", cause, partial(_edited, subjects, place, edit))
    for name in ("tiny", "mini"):
        yield Planted(f"file/everything in Q8_0/{name}", ("file.low-precision",), partial(_all_q8_0, subjects, name))
        yield Planted(f"file/truncated/{name}", ("file.unreadable",), partial(_truncated, subjects, name))
    for fault, edit in _against_reference().items():
        for place in subjects.some("mini", "odd"):
            given = partial(_edited, subjects, place, edit, reference=True)
            cause = "file.reference-metadata" if fault.startswith("another") else "file.reference-differs"
            yield Planted(f"reference/{fault}/{place}", (cause,), given)


def _faults(subjects: Subjects) -> list[tuple[str, tuple[str, ...], Edit, list[str]]]:
    two, three = subjects.some("tiny"), subjects.some("mini", "odd")
    norm = "talker.model.norm.weight"
    return [
        ("a tensor missing", ("file.missing-tensors",), lambda e: e.drop("code2wav.decoder.0.conv.bias"), three),
        (
            "a layer's tensor missing",
            ("file.missing-tensors",),
            lambda e: e.drop("code2wav.pre_transformer.layers.0.input_layernorm.weight"),
            two,
        ),
        (
            "a tensor too many",
            ("file.extra-tensors",),
            lambda e: e.tensors.append(Tensor("strange", [32], 0, bytes(128))),
            two,
        ),
        ("NaN in a norm", ("file.not-finite",), partial(_changed, norm, _one_nan), three),
        (
            "infinity in a table",
            ("file.not-finite",),
            partial(_changed, CODES, lambda v: np.where(v == v.max(), np.inf, v)),
            two,
        ),
        (
            "zeros for a matrix",
            ("file.zeros",),
            partial(_changed, "talker.model.layers.0.self_attn.q_proj.weight", lambda v: 0 * v),
            three,
        ),
        (
            "zeros for a convolution",
            ("file.zeros",),
            partial(_changed, "code2wav.decoder.0.conv.weight", lambda v: 0 * v),
            two,
        ),
        ("zeros for the code table", ("file.zeros",), partial(_changed, CODES, lambda v: 0 * v), two),
        ("half of the code table", ("file.zero-rows",), partial(_changed, CODES, partial(_rows_kept, 0.5)), three),
        (
            "three quarters of the text table",
            ("file.zero-rows",),
            partial(_changed, "thinker.model.embed_tokens.weight", partial(_rows_kept, 0.75)),
            two,
        ),
        (
            "one row for all",
            ("file.constant",),
            partial(_changed, "talker.codec_head.weight", lambda v: 0 * v + v[:1]),
            two,
        ),
        ("the code table a millionth", ("file.scale",), partial(_changed, CODES, lambda v: v * 1e-6), three),
        ("the code table a millionfold", ("file.scale",), partial(_changed, CODES, lambda v: v * 1e4), two),
        ("one head copied", ("file.copies",), _one_head_copied, three),
        ("Snake exponentiated", ("file.snake-exponentiated",), _exponentiated, subjects.some("mini", "odd", "grouped")),
        ("half as many codebooks", ("file.codebook-split",), _halved_split, three),
        ("epsilon 0.1", ("file.eps",), lambda e: e.set(P + "code2wav.rms_norm_eps", 0.1), two),
        ("epsilon 0.01", ("file.eps",), lambda e: e.set(P + "talker.rms_norm_eps", 0.01), two),
        ("theta 1", ("file.theta",), lambda e: e.set(P + "code2wav.rope_theta", 1.0), two),
        ("window 1", ("file.window",), lambda e: e.set(P + "code2wav.sliding_window", 1), two),
        ("16000 Hz", ("file.sample-rate",), lambda e: e.set(P + "code2wav.sample_rate", 16000), two),
        ("48000 Hz", ("file.sample-rate",), lambda e: e.set(P + "code2wav.sample_rate", 48000), two),
        ("eos among the codes", ("file.special-ids",), lambda e: e.set(P + "talker.codec_eos_token_id", 5), two),
        ("eos is bos", ("file.special-ids",), _eos_is_bos, three),
        (
            "tts_eos is tts_bos",
            ("file.special-ids",),
            lambda e: e.set(P + "token.tts_eos", e.entry(P + "token.tts_bos").value),
            two,
        ),
        (
            "4 bits, then 8",
            ("file.quantized-twice",),
            partial(_requantized, GGMLQuantizationType.Q4_0),
            ["mini", "big-codebook"],
        ),
        (
            "8 bits, then F32",
            ("file.quantized-twice",),
            partial(_requantized, GGMLQuantizationType.Q8_0),
            ["mini", "tiny"],
        ),
        *([("one matrix never loaded", ("file.looks-random",), _never_loaded, [VOICE])] if subjects.has_voice else []),
    ]


def _against_reference() -> dict[str, Edit]:
    q = "code2wav.pre_transformer.layers.0.mlp.gate_proj.weight"
    return {
        "sign turned": partial(_changed, q, lambda v: -v),
        "transposed kernel": partial(
            _changed, "code2wav.decoder.1.block.2.conv1.conv.weight", lambda v: v.transpose(1, 0, 2)
        ),
        "kernel reversed": partial(_changed, "code2wav.decoder.0.conv.weight", lambda v: v[:, :, ::-1]),
        "rows exchanged": partial(_changed, "talker.codec_head.weight", lambda v: v[::-1]),
        "ten per cent noise": partial(_changed, q, _noisy),
        "one half": partial(_changed, "talker.model.norm.weight", lambda v: v / 2),
        "another theta": lambda e: e.set(P + "talker.rope_theta", 12345.0),
        "another window": lambda e: e.set(P + "code2wav.sliding_window", 25),
    }


def _edited(subjects: Subjects, name: str, edit: Edit, reference: bool = False) -> dict[str, Any]:
    file = subjects.edit(name)
    edit(file)
    given: dict[str, Any] = {"model": subjects.written(file)}
    return given | ({"reference": subjects.file(name)} if reference else {})


def _changed(name: str, change: Callable[[Any], Any], edit: GgufEdit) -> None:
    put(edit, name, change(values(edit, name)))


def _one_nan(v: Any) -> Any:
    v = v.copy()
    v.flat[3] = np.nan
    return v


def _noisy(v: Any) -> Any:
    return v + 0.1 * v.std() * np.random.default_rng(0).standard_normal(v.shape)


def _rows_kept(share: float, v: Any) -> Any:
    v = v.copy()
    v[int(share * len(v)) :] = 0
    return v


def _one_head_copied(edit: GgufEdit) -> None:
    head = "talker.code_predictor.lm_head.{}.weight"
    put(edit, head.format(1), values(edit, head.format(0)))


def _exponentiated(edit: GgufEdit) -> None:
    for tensor in edit.tensors:
        name = str(tensor.name)
        if name.endswith((".alpha", ".beta")):
            put(edit, name, np.exp(values(edit, name)))


def _halved_split(edit: GgufEdit) -> None:
    groups, size = (edit.entry(f"{P}code2wav.{name}") for name in ("num_quantizers", "codebook_size"))
    groups.value, size.value = groups.value // 2, size.value * 2


def _eos_is_bos(edit: GgufEdit) -> None:
    edit.set(P + "talker.codec_eos_token_id", edit.entry(P + "talker.codec_bos_id").value)


def _requantized(kind: GGMLQuantizationType, edit: GgufEdit) -> None:
    """Every matrix through a small type; after 4 bits stored in 8."""
    for tensor in edit.tensors:
        name = str(tensor.name)
        if len(tensor.ne) < 2 or tensor.ne[0] % 32 or "code2wav" in name or "lm_head" in name:
            continue
        rough = gguf.quants.dequantize(gguf.quants.quantize(values(edit, name), kind), kind)
        if kind == GGMLQuantizationType.Q4_0 and ".mlp.gate." not in name and "shared_expert_gate" not in name:
            tensor.type = int(GGMLQuantizationType.Q8_0)
        put(edit, name, rough)


def _never_loaded(edit: GgufEdit) -> None:
    name = "talker.model.layers.1.self_attn.q_proj.weight"
    old = values(edit, name)
    put(edit, name, np.random.default_rng(0).standard_normal(old.shape) * old.std())


def _all_q8_0(subjects: Subjects, name: str) -> dict[str, Any]:
    path = write_all_in_one(subjects.new_path(".gguf"), subjects.file(name), None, tokenizer=True, q8=True)
    return {"model": path, "overrides": all_in_one_settings(subjects, name)}


def all_in_one_settings(subjects: Subjects, name: str) -> dict[str, Any]:
    """What a file with hardly any metadata does not tell, as its owner would."""
    metadata = subjects.model(name).metadata
    fields = (
        "talker.num_experts_per_tok",
        "code2wav.head_dim",
        "code2wav.sliding_window",
        "talker.accept_hidden_layer",
    )
    return {field: metadata[P + field] for field in fields}


def _truncated(subjects: Subjects, name: str) -> dict[str, Any]:
    path: Path = subjects.new_path(".gguf")
    path.write_bytes(subjects.file(name).read_bytes()[:-4096])
    return {"model": path}
