"""What every training loop needs: a learning rate that ends at zero, and a state that a stopped run goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Schedule:
    """`rate` from `warmup` steps on, falling in a straight line to zero over the last `decay` of `steps`."""

    rate: float
    steps: int
    warmup: int = 100
    decay: float = 0.35

    def rate_at(self, step: int) -> float:
        """The learning rate of a step; 0 when there is none."""
        rising = min(1.0, (step + 1) / self.warmup)
        falling = min(1.0, (self.steps - step) / (self.steps * self.decay))
        return max(0.0, self.rate * rising * falling)


def save_state(path: Path, model: Any, optimizer: Any, step: int) -> None:
    """Write weights, optimizer and position, complete or not at all."""
    partial = path.with_suffix(".part")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, partial)
    partial.rename(path)


def load_state(path: Path, model: Any, optimizer: Any) -> int:
    """Read them back into place. Returns the steps done, 0 where there is no file."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def load_weights(path: Path, model: Any) -> None:
    """Read the weights alone back into place."""
    model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu")["model"])
