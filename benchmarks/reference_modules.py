"""transformers' talker, code predictor and code2wav of the published geometry, with random weights, to be timed.

Weights are small random numbers rather than trained ones, which changes no speed. So that float32 fits beside the rest,
layers of the talker share the memory of their experts by fours: what is read for a frame is as much, and too much for
any cache, but a fifth as much is held.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoConfig, DynamicCache
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeCode2Wav,
    Qwen3OmniMoeTalkerForConditionalGeneration,
)

from omniggml.synthetic.geometries import PUBLISHED_GEOMETRY
from omniggml.synthetic.random_checkpoint import config_json

DISTINCT_EXPERTS = 4
EXPERT_PATHS = ("eager", "batched_mm", "grouped_mm")
_BLOCK = 1 << 20


def read_config() -> Any:
    """The configuration of the published geometry, with the attention that needs no further package."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "config.json").write_text(json.dumps(config_json(PUBLISHED_GEOMETRY)), encoding="utf-8")
        return AutoConfig.from_pretrained(directory)


def vocoder(config: Any, dtype: torch.dtype, attention: str = "eager") -> torch.nn.Module:
    """The module itself: codes [1, groups, frames] -> samples."""
    part = config.code2wav_config
    part._attn_implementation = attention
    return _filled(Qwen3OmniMoeCode2Wav(part).to(dtype).eval())


def code2wav(config: Any, dtype: torch.dtype, attention: str) -> Callable[[npt.NDArray[np.int64]], None]:
    """A function that decodes codes [groups, frames]."""
    module = vocoder(config, dtype, attention)

    def decode(codes: npt.NDArray[np.int64]) -> None:
        with torch.inference_mode():
            module(torch.from_numpy(codes[np.newaxis]))

    return decode


class Frames:
    """Frames of talker and code predictor, each from the one before; the most probable codes, as a plain loop: faster
    than `generate`, which does the same."""

    def __init__(self, config: Any, dtype: torch.dtype, attention: str) -> None:
        self.dtype = dtype
        part = config.talker_config
        part._attn_implementation = attention
        self.talker = _talker(part, dtype)
        self.predictor = self.talker.code_predictor
        self.groups = part.num_code_groups
        self.hidden = part.text_config.hidden_size
        self.start(1)

    def use_experts(self, path: str) -> None:
        """One of EXPERT_PATHS."""
        for layer in self.talker.model.layers:
            layer.mlp.experts.config._experts_implementation = path

    def start(self, positions: int) -> None:
        """A new speech after a prompt of so many positions."""
        self.cache = DynamicCache(config=self.talker.model.config)
        with torch.inference_mode():
            self._talk(torch.full((1, positions, self.hidden), 0.1, dtype=self.dtype))

    def run(self, frames: int) -> None:
        with torch.inference_mode():
            for _ in range(frames):
                self._talk(self._frame())

    def _talk(self, inputs: torch.Tensor) -> None:
        model = self.talker.model(inputs_embeds=inputs, past_key_values=self.cache, use_cache=True)
        self.state = model.last_hidden_state[:, -1:]
        self.code = self.talker.codec_head(self.state)[..., :2048].argmax(-1)

    def _frame(self) -> torch.Tensor:
        """The other codes; returns the sum of all codes' embeddings."""
        cache = DynamicCache(config=self.predictor.model.config)
        total = newest = self.talker.model.codec_embedding(self.code)
        inputs = torch.cat([self.state, newest], dim=1)
        for step in range(self.groups - 1):
            out = self.predictor.model(inputs_embeds=inputs, past_key_values=cache, use_cache=True).last_hidden_state
            code = self.predictor.lm_head[step](out[:, -1:]).argmax(-1)
            inputs = self.predictor.model.codec_embedding[step](code)
            total = total + inputs
        return total


def _talker(config: Any, dtype: torch.dtype) -> Any:
    """Built with a single expert, since building fills all of them; then they take its place."""
    experts = config.text_config.num_experts
    chosen = config.text_config.num_experts_per_tok
    config.text_config.num_experts = config.text_config.num_experts_per_tok = 1
    talker = Qwen3OmniMoeTalkerForConditionalGeneration(config).to(dtype).eval()
    config.text_config.num_experts, config.text_config.num_experts_per_tok = experts, chosen
    _filled(talker)
    first = talker.model.layers[0].mlp.experts
    shapes = [(experts, *first.gate_up_proj.shape[1:]), (experts, *first.down_proj.shape[1:])]
    sets = [[torch.nn.Parameter(_random(shape, dtype)) for shape in shapes] for _ in range(DISTINCT_EXPERTS)]
    for i, layer in enumerate(talker.model.layers):
        mlp = layer.mlp
        mlp.experts.gate_up_proj, mlp.experts.down_proj = sets[i % DISTINCT_EXPERTS]
        mlp.experts.num_experts = mlp.gate.num_experts = experts
        mlp.gate.top_k = chosen
        mlp.gate.weight = torch.nn.Parameter(_random((experts, mlp.gate.hidden_dim), dtype))
    return talker


def _filled(module: Any) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                parameter.copy_(_random(tuple(parameter.shape), parameter.dtype))
    return module


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A block of random numbers, over and over: its values are never looked at."""
    block = (torch.rand(_BLOCK, generator=torch.Generator().manual_seed(len(shape))) - 0.5).mul(0.05).to(dtype)
    out = torch.empty(shape, dtype=dtype).view(-1)
    for start in range(0, out.numel(), _BLOCK):
        piece = out[start : start + _BLOCK]
        piece.copy_(block[: piece.numel()])
    return out.view(shape)
