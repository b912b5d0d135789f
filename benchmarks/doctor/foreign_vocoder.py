"""Audio and tensor dumps of a foreign vocoder with a mistake: transformers' code2wav, patched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
import torch
import transformers
from planted import Planted
from subjects import TEXTS, VOICE, Subjects, values
from torch import nn
from torch.nn import functional as F
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference

from omniggml.files.stored_weights import StoredWeights

Vocoder = Any
Change = Callable[[Vocoder], Any]

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()


def cases(subjects: Subjects) -> Iterator[Planted]:
    for number, (fault, (change, cause)) in enumerate(FAULTS.items()):
        for place in subjects.some(["tiny", "odd", "grouped"][number % 3]):
            yield Planted(f"vocoder/{fault}/{place}", (cause,), partial(_audio, subjects, place, fault, change))
    for fault in (
        "sum of the embeddings",
        "Snake without exp",
        "tanh GELU",
        "no rotary positions",
        "right trim alone",
        "no layer scale",
    ):
        change, cause = FAULTS[fault]
        for place in subjects.some("grouped"):
            yield Planted(f"dump/{fault}/{place}", (cause,), partial(_dump, subjects, place, change))
    for given in ("codes with the end", "codes without it"):
        for place in subjects.some("odd"):
            causes = ("vocoder.end-frame", "codes.control-ids") if "with the" in given else ("vocoder.end-frame",)
            yield Planted(f"vocoder/eos vocoded, {given}/{place}", causes, partial(_ended, subjects, place, given))
    for path in (
        "upsample.0.1.pwconv1",
        "decoder.1.block.1.conv",
        "decoder.1.block.3.conv1.conv",
        "pre_transformer.layers.0.mlp.up_proj",
    ):
        for place in subjects.some("tiny"):
            name = f"dump/{path} corrupted/{place}"
            yield Planted(name, ("dump.deviates",), partial(_dump, subjects, place, partial(_corrupt, path)))


# --- the foreign program ----------------------------------------------------------------------------------------------


def vocoder_of(subjects: Subjects, name: str) -> Vocoder:
    """transformers' code2wav with the file's weights."""
    derived = StoredWeights(subjects.file(name)).derived
    assert derived is not None
    settings = dict(vars(derived.config.code2wav))
    theta = settings.pop("rope_theta")
    config = reference.Qwen3OmniMoeCode2WavConfig(
        **settings, rope_parameters={"rope_type": "default", "rope_theta": theta}
    )
    config._attn_implementation = "eager"
    vocoder = reference.Qwen3OmniMoeCode2Wav(config).eval()
    edit = subjects.edit(name)
    state = {}
    for tensor in edit.tensors:
        stored = str(tensor.name)
        if stored.startswith("code2wav."):
            full = stored if "layernorm" not in stored or stored.endswith(".weight") else f"{stored}.weight"
            state[full.removeprefix("code2wav.")] = torch.from_numpy(values(edit, stored))
    vocoder.load_state_dict(state, strict=True)
    vocoder.pool = lambda rows: rows.mean(1)
    vocoder.before = lambda codes: codes
    vocoder.forward = MethodType(_forward, vocoder)
    return vocoder


def _forward(self: Vocoder, codes: Any) -> Any:
    """As the reference's, with hooks where its code has none."""
    codes = self.before(codes)
    rows = (codes + self.code_offset[:, : codes.shape[1]]) % self.code_embedding.num_embeddings
    hidden = self.pool(self.code_embedding(rows))
    hidden = self.pre_transformer(inputs_embeds=hidden).last_hidden_state.permute(0, 2, 1)
    for blocks in self.upsample:
        for block in blocks:
            hidden = block(hidden)
    for block in self.decoder:
        hidden = block(hidden)
    return hidden.clamp(-1, 1)


@torch.no_grad()
def _decoded(vocoder: Vocoder, codes: Any) -> Any:
    decode = getattr(vocoder, "decode", vocoder)
    return decode(torch.from_numpy(codes.astype(np.int64))[None]).numpy().ravel()


def _codes(subjects: Subjects, name: str) -> Any:
    # Longer than the windows.
    return subjects.spoken(name).codes if name == VOICE else subjects.model(name).speak(TEXTS[0], max_frames=80).codes


def _audio(subjects: Subjects, name: str, fault: str, change: Change) -> dict[str, Any]:
    vocoder = vocoder_of(subjects, name)
    with _Patched(vocoder, change):
        samples = _decoded(vocoder, _codes(subjects, name))
    path = subjects.wav(samples, "FLOAT" if fault in SUBTLE else "PCM_16")
    return {"model": subjects.file(name), "codes": _codes(subjects, name), "audio": path}


def _ended(subjects: Subjects, name: str, given: str) -> dict[str, Any]:
    """The frame that ends the speech is decoded like the others: eos first, then what the predictor says of it."""
    vocoder, codes = vocoder_of(subjects, name), _codes(subjects, name)
    last = np.random.default_rng(3).integers(0, vocoder.config.codebook_size, (len(codes), 1))
    last[0] = subjects.model(name).geometry["talker"]["codec_eos_token_id"]
    whole = np.concatenate([codes, last], axis=1)
    path = subjects.wav(_decoded(vocoder, whole), "PCM_16")
    return {"model": subjects.file(name), "codes": whole if "with the" in given else codes, "audio": path}


def _dump(subjects: Subjects, name: str, change: Change) -> dict[str, Any]:
    vocoder = vocoder_of(subjects, name)
    seen: dict[str, Any] = {}
    codes = _codes(subjects, name)[:, :24]
    with _Patched(vocoder, change):
        for path, module in vocoder.named_modules():
            if path and "rotary" not in path:
                module.register_forward_hook(partial(_keep, seen, f"code2wav.{path}"))
        _decoded(vocoder, codes)
    return {"model": subjects.file(name), "codes": codes, "theirs": seen}


def _keep(seen: dict[str, Any], name: str, _module: Any, _inputs: Any, output: Any) -> None:
    output = output[0] if isinstance(output, tuple) else getattr(output, "last_hidden_state", output)
    seen[name] = output.detach().numpy()


class _Patched:
    """The change, undone in what modules share."""

    def __init__(self, vocoder: Vocoder, change: Change) -> None:
        self.vocoder, self.change = vocoder, change
        self.rotate = reference.apply_rotary_pos_emb

    def __enter__(self) -> None:
        self.change(self.vocoder)

    def __exit__(self, *_: object) -> None:
        reference.apply_rotary_pos_emb = self.rotate


# --- mistakes ---------------------------------------------------------------------------------------------------------


def _each(vocoder: Vocoder, kind: Any, change: Callable[[Any], Any]) -> None:
    for module in vocoder.modules():
        if isinstance(module, kind):
            change(module)


def _patch(kind: Any, forward: Callable[..., Any]) -> Change:
    return lambda vocoder: _each(vocoder, kind, lambda module: setattr(module, "forward", MethodType(forward, module)))


def _set(kind: Any, **attributes: Any) -> Change:
    return lambda vocoder: _each(vocoder, kind, lambda module: [setattr(module, *pair) for pair in attributes.items()])


def _act(make: Callable[[], nn.Module]) -> Change:
    # Each its own: of a shared one only the last output would be seen.
    return lambda vocoder: _each(vocoder, _BLOCK, lambda block: setattr(block, "act", make()))


def _hooks(**attributes: Any) -> Change:
    return lambda vocoder: [setattr(vocoder, *pair) for pair in attributes.items()]


def _offset(factor: float) -> Change:
    return lambda vocoder: vocoder.code_offset.copy_((vocoder.code_offset * factor).long())


def _plain_snake(self: Any, x: Any) -> Any:
    alpha, beta = self.alpha[None, :, None], self.beta[None, :, None]
    return x + torch.sin(x * alpha) ** 2 / (beta + 1e-9)


def _alpha_snake(self: Any, x: Any) -> Any:
    alpha = self.alpha.exp()[None, :, None]
    return x + torch.sin(x * alpha) ** 2 / (alpha + 1e-9)


def _layer_norm(self: Any, x: Any) -> Any:
    return F.layer_norm(x, x.shape[-1:], self.weight, None, self.variance_epsilon)


def _centred(self: Any, x: Any) -> Any:
    return self.conv(F.pad(x, (self.padding // 2, self.padding - self.padding // 2)))


def _undilate(module: Any) -> None:
    if module.dilation > 1:
        module.conv.dilation, module.dilation = (1,), 1
        module.kernel_size = module.conv.kernel_size[0]
        module.padding = module.kernel_size - module.stride


def _window(window: int) -> Change:
    def change(vocoder: Vocoder) -> None:
        vocoder.config = copy.deepcopy(vocoder.config)
        vocoder.config.sliding_window = window
        vocoder.pre_transformer.config.sliding_window = window
        for layer in vocoder.pre_transformer.layers:
            layer.self_attn.sliding_window = window
            layer.self_attn.config.sliding_window = window

    return change


def _no_rope(vocoder: Vocoder) -> None:
    reference.apply_rotary_pos_emb = lambda q, k, cos, sin, **_: (q, k)


def _pairs(vocoder: Vocoder) -> None:
    def rotated(x: Any, cos: Any, sin: Any) -> Any:
        half = x.shape[-1] // 2
        cos, sin = cos[:, None, :, :half], sin[:, None, :, :half]
        one, two = x[..., ::2], x[..., 1::2]
        return torch.stack([one * cos - two * sin, two * cos + one * sin], -1).flatten(-2)

    reference.apply_rotary_pos_emb = lambda q, k, cos, sin, **_: (rotated(q, cos, sin), rotated(k, cos, sin))


def _theta(vocoder: Vocoder) -> None:
    width = vocoder.pre_transformer.rotary_emb.inv_freq.shape[0]
    vocoder.pre_transformer.rotary_emb.inv_freq = 1e6 ** (-torch.arange(width) / width)


def _no_biases(vocoder: Vocoder) -> None:
    for name, parameter in vocoder.named_parameters():
        if name.endswith(".bias"):
            parameter.data.zero_()


def _ones(ending: str) -> Change:
    def change(vocoder: Vocoder) -> None:
        for name, parameter in vocoder.named_parameters():
            if name.endswith(ending):
                parameter.data.fill_(1)

    return change


def _chunked(size: int, context: int) -> Change:
    return lambda vocoder: setattr(
        vocoder, "decode", partial(vocoder.chunked_decode, chunk_size=size, left_context_size=context)
    )


def _corrupt(path: str, vocoder: Vocoder) -> None:
    weight = vocoder.get_submodule(path).weight.data
    weight.copy_(weight.flip(0))


def _upside_down(vocoder: Vocoder) -> None:
    weight = vocoder.decoder[1].block[2].conv1.conv.weight.data
    weight.copy_(weight.flip(0))


_NORM = (reference.Qwen3OmniMoeCode2WavRMSNorm, reference.Qwen3OmniMoeRMSNorm)
_TRANSPOSED = reference.Qwen3OmniMoeCausalTransConvNet
_BLOCK = reference.Qwen3OmniMoeConvNeXtBlock

# So small in a random vocoder that 16 bits drown them.
SUBTLE = ("tanh GELU", "epsilon 0.01", "theta of the talker", "layer norm")

FAULTS: dict[str, tuple[Change, str]] = {
    "sum of the embeddings": (_hooks(pool=lambda rows: rows.sum(1)), "vocoder.sum-for-mean"),
    "half the codebooks, twice the size": (
        lambda v: (_offset(2)(v), setattr(v, "before", lambda c: c[:, : c.shape[1] // 2])),
        "vocoder.wrong-split",
    ),
    "half of the predictor's codes": (
        lambda v: (_offset(2)(v), setattr(v, "before", lambda c: c[:, 1 : c.shape[1] // 2 + 1])),
        "vocoder.wrong-split",
    ),
    "no offset": (_offset(0), "vocoder.no-offset"),
    "offset twice": (_offset(2), "vocoder.double-offset"),
    "groups reversed": (_hooks(before=lambda c: c.flip(1)), "vocoder.reversed-groups"),
    "groups shifted": (_hooks(before=lambda c: c.roll(1, 1)), "vocoder.shifted-groups"),
    "first group dropped": (_hooks(before=lambda c: c[:, 1:]), "vocoder.first-group-dropped"),
    "last group dropped": (_hooks(before=lambda c: c[:, :-1]), "vocoder.last-groups-dropped"),
    "layout mixed up": (_hooks(before=lambda c: c.transpose(1, 2).reshape(c.shape)), "vocoder.transposed-layout"),
    "codes from one": (_hooks(before=lambda c: c + 1), "vocoder.codes-off-by-one"),
    "Snake without exp": (_patch(reference.Qwen3OmniMoeSnakeBeta, _plain_snake), "vocoder.snake-without-exp"),
    "alpha for beta": (_patch(reference.Qwen3OmniMoeSnakeBeta, _alpha_snake), "vocoder.snake-alpha-for-beta"),
    "no window": (_window(100000), "vocoder.no-window"),
    "a window of 2": (_window(2), "vocoder.short-window"),
    "no rotary positions": (_no_rope, "vocoder.no-rope"),
    "pairs rotated": (_pairs, "vocoder.rope-pairs"),
    "theta of the talker": (_theta, "vocoder.wrong-theta"),
    "epsilon 0.01": (_set(_NORM, variance_epsilon=0.01), "vocoder.wrong-eps"),
    "layer norm": (_patch(_NORM, _layer_norm), "vocoder.layer-norm"),
    "no final norm": (lambda v: setattr(v.pre_transformer, "norm", nn.Identity()), "vocoder.no-final-norm"),
    "tanh GELU": (_act(partial(nn.GELU, "tanh")), "vocoder.tanh-gelu"),
    "SiLU": (_act(nn.SiLU), "vocoder.silu-for-gelu"),
    "right trim alone": (_set(_TRANSPOSED, left_pad=0), "vocoder.right-trim"),
    "left trim alone": (_set(_TRANSPOSED, right_pad=0), "vocoder.left-trim"),
    "centred padding": (_patch(reference.Qwen3OmniMoeCausalConvNet, _centred), "vocoder.centred-padding"),
    "no dilation": (lambda v: _each(v, reference.Qwen3OmniMoeCausalConvNet, _undilate), "vocoder.no-dilation"),
    "no biases": (_no_biases, "vocoder.no-biases"),
    "no layer scale": (_ones("_layer_scale.scale"), "vocoder.no-layer-scale"),
    "no gamma": (_ones(".gamma"), "vocoder.no-gamma"),
    "pieces of 10 with 4 before": (_chunked(10, 4), "audio.seams"),
    "pieces of 25 with none before": (_chunked(25, 0), "audio.seams"),
    "one kernel upside down": (_upside_down, "vocoder.permuted"),
}
