"""Train the talker."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .batches import Item, batches
from .progress import Schedule, load_state, save_state
from .talker import Losses, Talker

log = logging.getLogger(__name__)

PREDICTOR_SHARE = 0.4
"""Share of the frames that the predictor is trained on in a step: it works eight times a frame."""
MUON_RATE, ADAM_RATE = 3e-3, 1.5e-3


def train_talker(items: Sequence[Item], out: Path, schedule: Schedule, seed: int) -> Talker:
    """Train until the schedule ends; goes on from `out` where that exists."""
    torch.manual_seed(seed)
    model = Talker(items[0].latent.shape[1])
    optimizer = Optimizers(model)
    step = load_state(out, model, optimizer)
    # A run that goes on draws other batches than the one that stopped had seen.
    supply, saved = batches(items, seed + step), time.monotonic()
    model.train()
    while (rate := schedule.rate_at(step)) > 0:
        optimizer.scale(rate)
        with torch.autocast("cpu", torch.bfloat16):
            losses = model(next(supply), PREDICTOR_SHARE)
        optimizer.zero_grad()
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


class Optimizers:
    """Muon for the matrices of the layers, AdamW for the rest: as good after three quarters of the steps as AdamW for
    all, for a sixth more time a step."""

    def __init__(self, model: nn.Module, layers: str = "stack.") -> None:
        """`layers`: what names of their parameters hold."""
        turned, plain, vectors = [], [], []
        for name, parameter in model.named_parameters():
            if parameter.ndim != 2:
                vectors.append(parameter)
            elif layers in name and not name.endswith(("router.weight", "shared_gate.weight")):
                turned.append(parameter)
            else:
                plain.append(parameter)
        self.each: list[torch.optim.Optimizer] = [
            torch.optim.Muon(turned, lr=MUON_RATE, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                [{"params": plain, "weight_decay": 0.02}, {"params": vectors, "weight_decay": 0.0}],
                lr=ADAM_RATE,
                betas=(0.9, 0.98),
            ),
        ]

    def scale(self, share: float) -> None:
        """Learning rates of the next step, as a share of the full ones."""
        for optimizer, full in zip(self.each, (MUON_RATE, ADAM_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * share

    def zero_grad(self) -> None:
        for optimizer in self.each:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        for optimizer in self.each:
            optimizer.step()

    def state_dict(self) -> list[dict[str, Any]]:
        return [optimizer.state_dict() for optimizer in self.each]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for optimizer, state in zip(self.each, states, strict=True):
            optimizer.load_state_dict(state)


def _report(step: int, losses: Losses, rate: float) -> None:
    values = " ".join(f"{name} {float(value.detach()):.3f}" for name, value in vars(losses).items())
    log.info("talker step %d %s rate %.1e", step, values, rate)
