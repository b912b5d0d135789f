"""The ear: Qwen3-Omni's audio encoder in a small size, shaped for training, on a CPU, too.

It computes what transformers' class computes (a test holds it to that), in batches. Parameters have the names of the
class.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from omniggml.conversion.mmproj_file import sinusoids
from omniggml.spec.encoder_tensors import AUDIO_PREFIX, mels_after_convolutions

from .geometry import EAR
from .layers import Named

CHUNK = 2 * EAR.n_window
CHUNK_ROWS = 13
WINDOW_ROWS = CHUNK_ROWS * EAR.n_window_infer // CHUNK
_COUNTED = 128


class EarAttention(nn.Module):
    """Self-attention among the rows that are `seen`, [batch, 1, rows or 1, rows]. x: [batch, rows, hidden]."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = EAR.encoder_attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(EAR.d_model, EAR.d_model) for _ in range(4))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        chances = torch.softmax(scores.float().masked_fill(~seen, -1e9), dim=-1).to(v.dtype)
        return self.out_proj((chances @ v).transpose(1, 2).flatten(2))


class EarLayer(nn.Module):
    """Attention and an MLP, each behind a norm and added on."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn_layer_norm, self.final_layer_norm = (nn.LayerNorm(EAR.d_model) for _ in range(2))
        self.self_attn = EarAttention()
        self.fc1 = nn.Linear(EAR.d_model, EAR.encoder_ffn_dim)
        self.fc2 = nn.Linear(EAR.encoder_ffn_dim, EAR.d_model)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x), seen)
        return x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))


class Ear(nn.Module):
    """Features [batch, mels, frames] of clips, zeros where one is shorter -> rows [batch, rows, width of the thinker].
    `middle`: what half of the layers make of them."""

    def __init__(self) -> None:
        super().__init__()
        channels, hidden = EAR.downsample_hidden_size, EAR.d_model
        self.conv2d1 = nn.Conv2d(1, channels, 3, 2, padding=1)
        self.conv2d2, self.conv2d3 = (nn.Conv2d(channels, channels, 3, 2, padding=1) for _ in range(2))
        self.conv_out = nn.Linear(channels * mels_after_convolutions(EAR.num_mel_bins), hidden, bias=False)
        self.layers = nn.ModuleList(EarLayer() for _ in range(EAR.encoder_layers))
        self.ln_post = nn.LayerNorm(hidden)
        self.proj1, self.proj2 = nn.Linear(hidden, hidden), nn.Linear(hidden, EAR.output_dim)
        self.register_buffer("positions", torch.from_numpy(sinusoids(CHUNK_ROWS, hidden)), persistent=False)
        self.middle = torch.zeros(())
        # Convolutions of few channels are more than twice as fast on a CPU with the channels last.
        self.to(memory_format=torch.channels_last)
        with torch.no_grad():
            for layer in self.layers:
                for last in (layer.self_attn.out_proj, layer.fc2):
                    last.weight.mul_((2 * len(self.layers)) ** -0.5)

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """`rows` [batch]: how many each clip has."""
        batch, mels, frames = features.shape
        chunks = math.ceil(frames / CHUNK)
        x = functional.pad(features, (0, chunks * CHUNK - frames))
        x = x.view(batch, mels, chunks, CHUNK).transpose(1, 2).flatten(0, 1)[:, None]
        if x.is_cuda:  # cuDNN plans anew for every count that it meets
            x = functional.pad(x, (0, 0, 0, 0, 0, 0, 0, -len(x) % _COUNTED))
        x = x.contiguous(memory_format=torch.channels_last)
        for convolution in (self.conv2d1, self.conv2d2, self.conv2d3):
            x = functional.gelu(convolution(x))
        x = x[: batch * chunks]
        x = self.conv_out(x.permute(0, 3, 1, 2).flatten(2)) + self.positions
        x = x.unflatten(0, (batch, chunks)).flatten(1, 2)
        seen = _seen(x.shape[1], rows)
        for index, layer in enumerate(self.layers):
            x = layer(x, seen)
            if index == (len(self.layers) - 1) // 2:
                self.middle = x
        return self.proj2(functional.gelu(self.proj1(self.ln_post(x))))

    def tensors(self, prefix: str = AUDIO_PREFIX) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        for name, parameter in self.named_parameters():
            yield f"{prefix}{name}", parameter


def _seen(length: int, rows: Tensor) -> Tensor:
    """Those that there are, in the window of the row that looks."""
    row = torch.arange(length, device=rows.device)
    there = (row < rows[:, None])[:, None, None]
    if length <= WINDOW_ROWS:
        return there
    window = row // WINDOW_ROWS
    return there & (window[:, None] == window)
