"""Train the talker."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from .batches import Item, batches
from .progress import Schedule, load_state, save_state
from .talker import Losses, Talker

log = logging.getLogger(__name__)

PREDICTOR_SHARE = 0.4
"""Share of the frames that the predictor is trained on in a step: it works eight times a frame."""


def train_talker(items: Sequence[Item], out: Path, schedule: Schedule, seed: int) -> Talker:
    """Train until the schedule ends; goes on from `out` where that exists."""
    torch.manual_seed(seed)
    model = Talker(items[0].latent.shape[1])
    optimizer = torch.optim.AdamW(_groups(model), lr=schedule.rate, betas=(0.9, 0.98))
    step = load_state(out, model, optimizer)
    # A run that goes on draws other batches than the one that stopped had seen.
    supply, saved = batches(items, seed + step), time.monotonic()
    model.train()
    while (rate := schedule.rate_at(step)) > 0:
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            losses = model(next(supply), PREDICTOR_SHARE)
        optimizer.zero_grad(set_to_none=True)
        losses.total().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 25 == 0:
            _report(step, losses, rate)
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            save_state(out, model, optimizer, step)
    save_state(out, model, optimizer, step)
    return model


def _groups(model: nn.Module) -> list[dict[str, object]]:
    """Weight decay for matrices only."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim != 2]
    return [{"params": matrices, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]


def _report(step: int, losses: Losses, rate: float) -> None:
    values = " ".join(f"{name} {float(value.detach()):.3f}" for name, value in vars(losses).items())
    log.info("talker step %d %s rate %.1e", step, values, rate)
