"""Train Code2Wav on the codec's codes: transformers' own class, at the voice's shape."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.qwen3_omni_moe import modeling_qwen3_omni_moe as reference
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeCode2WavConfig

from .codec import CODES, GROUPS, Codec
from .data import Utterance
from .features import PROSODY
from .geometry import CODE2WAV
from .progress import Schedule, load_state, save_state
from .teacher import FRAME_SAMPLES

log = logging.getLogger(__name__)

CONTEXT, CROP, WARM = 40, 11, 2
"""Frames that the transformer sees, frames that are decoded, and frames at their beginning that are not judged."""
BATCH = 8
_STFT = ((256, 64), (512, 128), (1024, 256), (2048, 512))
_MEL_BANDS = 80


class Snake(torch.autograd.Function):
    """x + sin(exp(a) x)^2 / exp(b), with the backward pass written out: half the time of the composed one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        frequency, size = a.exp()[:, None], (-b).exp()[:, None]
        wave = torch.cos((2 * frequency) * x).sub_(1).mul_(-0.5 * size)
        ctx.save_for_backward(x, wave, frequency, size)
        return x + wave

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        x, wave, frequency, size = ctx.saved_tensors
        slope = torch.sin((2 * frequency) * x).mul_(frequency * size).mul_(grad)
        grad_a = (slope * x).sum((0, 2))
        grad_b = -(grad * wave).sum((0, 2))
        return slope.add_(grad), grad_a, grad_b


def _snake_forward(self: Any, x: Tensor) -> Tensor:
    return Snake.apply(x, self.alpha, self.beta)


def build_code2wav(seed: int) -> Any:
    """An untrained Code2Wav, its weights scaled for training from nothing."""
    torch.manual_seed(seed)
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in vars(CODE2WAV).items()
        if name not in ("rope_theta",)
    }
    config = Qwen3OmniMoeCode2WavConfig(
        **values, rope_parameters={"rope_type": "default", "rope_theta": CODE2WAV.rope_theta}
    )
    config._attn_implementation = "eager"
    reference.Qwen3OmniMoeSnakeBeta.forward = _snake_forward
    model = reference.Qwen3OmniMoeCode2Wav(config)
    for module in model.modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d, nn.Linear)):
            module.reset_parameters()
    for name, parameter in model.named_parameters():
        if name.endswith(("layer_scale.scale", ".gamma")):
            nn.init.constant_(parameter, 0.3)
    return model


def place_codes(model: Any, codec: Codec, seed: int) -> None:
    """Start `code_embedding` from what the codes mean: prosody, position on the axes, spectrum, name of code 0."""
    rng = np.random.default_rng(seed)
    hidden, axes = CODE2WAV.hidden_size, codec.axes.shape[1]
    table = np.zeros((GROUPS, CODES, hidden), np.float32)
    table[1, :, :PROSODY] = codec.prosody
    spread = hidden - PROSODY - axes
    centred = codec.means - codec.means.mean(0)
    basis = np.linalg.svd(centred, full_matrices=False)[2][: spread // 2].T
    table[0, :, PROSODY + axes : PROSODY + axes + spread // 2] = centred @ basis * 0.3
    table[0, :, PROSODY + axes + spread // 2 :] = rng.normal(0, 0.5, (CODES, spread - spread // 2))
    start = 0
    for group, points in enumerate(codec.points, 2):
        width = points.shape[1]
        table[group, :, PROSODY + start : PROSODY + start + width] = points
        directions = codec.axes[:, start : start + width].T @ basis
        table[group, :, PROSODY + axes : PROSODY + axes + spread // 2] = points @ directions * 0.3
        start += width
    with torch.no_grad():
        model.code_embedding.weight.copy_(torch.from_numpy(table.reshape(-1, hidden) * GROUPS))


def decode(model: Any, codes: Tensor, start: int = 0, frames: int | None = None) -> Tensor:
    """Codes [batch, GROUPS, context] -> samples [batch, n] of `frames` frames from `start`, not clamped."""
    hidden = model.code_embedding(codes + model.code_offset).mean(1)
    hidden = model.pre_transformer(inputs_embeds=hidden).last_hidden_state.permute(0, 2, 1)
    if frames is not None:
        hidden = hidden[:, :, start : start + frames]
    for blocks in model.upsample:
        for block in blocks:
            hidden = block(hidden)
    for block in model.decoder:
        hidden = block(hidden)
    return hidden[:, 0]


class SpectralLoss(nn.Module):
    """Mean distance of log magnitudes at several window lengths, and of log mel bands."""

    def __init__(self) -> None:
        super().__init__()
        for size, _ in _STFT:
            self.register_buffer(f"window{size}", torch.hann_window(size))
        self.register_buffer("bands", _mel_bands(1024))

    def forward(self, made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the loss and, for the log, the mel part of it."""
        total = made.new_zeros(())
        mel = made.new_zeros(())
        for size, hop in _STFT:
            window = getattr(self, f"window{size}")
            ours, theirs = _magnitude(made, size, hop, window), _magnitude(wanted, size, hop, window)
            total = total + functional.l1_loss(ours.log(), theirs.log())
            total = total + (ours - theirs).norm() / theirs.norm()
            if size == 1024:
                mel = functional.l1_loss(_log_mel(ours, self.bands), _log_mel(theirs, self.bands))
        return total / len(_STFT) + 3 * mel, mel.detach()


def _magnitude(samples: Tensor, size: int, hop: int, window: Tensor) -> Tensor:
    transform = torch.stft(samples, size, hop, size, window, center=False, return_complex=True)
    return torch.view_as_real(transform).pow(2).sum(-1).add(1e-6).sqrt()


def _log_mel(magnitude: Tensor, bands: Tensor) -> Tensor:
    return (bands @ magnitude).clamp_min(1e-4).log()


def _mel_bands(size: int) -> Tensor:
    hertz = torch.linspace(0, 12000, size // 2 + 1)
    mel = 2595 * torch.log10(1 + hertz / 700)
    centres = torch.linspace(0, float(mel[-1]), _MEL_BANDS + 2)
    low, middle, high = centres[:-2, None], centres[1:-1, None], centres[2:, None]
    return torch.minimum((mel - low) / (middle - low), (high - mel) / (high - middle)).clamp_min(0)


class Pieces:
    """Random pieces of utterances: codes [BATCH, GROUPS, CONTEXT] and the samples of their last CROP frames. `weights`:
    how much likelier a frame of an utterance is drawn than others; all alike without."""

    def __init__(
        self,
        codes: Sequence[np.ndarray],
        audio: Sequence[np.ndarray],
        seed: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        long = [index for index, item in enumerate(codes) if item.shape[1] >= CROP]
        self.codes, self.audio = [codes[index] for index in long], [audio[index] for index in long]
        self.rng = np.random.default_rng(seed)
        chances = np.asarray([(weights[index] if weights else 1) * codes[index].shape[1] for index in long], np.float64)
        self.chances = chances / chances.sum()

    def draw(self) -> tuple[Tensor, Tensor]:
        """One batch. Pieces that begin before the utterance are filled with its first frame, which is silence."""
        rows = [self._piece(index) for index in self.rng.choice(len(self.codes), BATCH, p=self.chances)]
        codes, samples = zip(*rows, strict=True)
        return torch.from_numpy(np.stack(codes)), torch.from_numpy(np.stack(samples))

    def _piece(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        codes, audio = self.codes[index], self.audio[index]
        end = int(self.rng.integers(CROP, codes.shape[1] + 1))
        columns = np.maximum(np.arange(end - CONTEXT, end), 0)
        span = slice((end - CROP + WARM) * FRAME_SAMPLES, end * FRAME_SAMPLES - _TRIMMED)
        samples = audio[span].astype(np.float32) / 32767
        return codes[:, columns], np.pad(samples, (0, _PIECE - len(samples)))


_TRIMMED = 555
_PIECE = (CROP - WARM) * FRAME_SAMPLES - _TRIMMED


def train_code2wav(utterances: Sequence[Utterance], codec: Codec, out: Path, schedule: Schedule, seed: int) -> None:
    """Train until the schedule ends; goes on from `out` where that exists."""
    codes = [codec.encode(row) for row in utterances]
    audio = [row.audio for row in utterances if row.audio is not None]
    model = build_code2wav(seed)
    place_codes(model, codec, seed)
    run_vocoder(model, Pieces(codes, audio, seed), out, schedule)


def run_vocoder(model: Any, pieces: Pieces, out: Path, schedule: Schedule) -> None:
    """The training loop."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.rate, betas=(0.8, 0.99), weight_decay=0.0)
    step = load_state(out, model, optimizer)
    loss_of, saved = SpectralLoss(), time.monotonic()
    model.train()
    average: float | None = None
    while (rate := schedule.rate_at(step)) > 0:
        for group in optimizer.param_groups:
            group["lr"] = rate
        codes, wanted = pieces.draw()
        made = decode(model, codes, CONTEXT - CROP, CROP)[:, WARM * FRAME_SAMPLES :]
        loss, mel = loss_of(made, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        step += 1
        average = float(mel) if average is None else average + (float(mel) - average) / 50
        if step % 25 == 0:
            log.info("code2wav step %d loss %.3f mel %.3f rate %.1e", step, float(loss.detach()), average, rate)
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            save_state(out, model, optimizer, step)
    save_state(out, model, optimizer, step)
