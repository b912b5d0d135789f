"""Layers of the thinker, the talker and the code predictor, shaped for training on a CPU; they compute on any device.

They compute what transformers' classes compute (a test holds them to that) with fewer and larger products: queries,
keys and values in one, and all experts in one with the unchosen ones multiplied by zero. `tensors` splits them again
into the tensors of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from omniggml.spec.model_config import CodePredictorConfig, TalkerConfig, ThinkerConfig

Named = tuple[str, Tensor]
Config = ThinkerConfig | TalkerConfig | CodePredictorConfig


class Norm(nn.Module):
    """RMS norm."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), self.weight.shape, self.weight, self.eps)


def rope(length: int, head_dim: int, theta: float, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cosines and sines [length, head_dim] of plain NEOX rotation."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, device=device).float() / head_dim)
    angles = torch.arange(length, device=device).float()[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=1)
    return angles.cos(), angles.sin()


def _rotated(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    half = x.shape[-1] // 2
    return x * turn[0] + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * turn[1]


class Attention(nn.Module):
    """Causal self-attention with normed queries and keys. x: [batch, length, hidden]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.hidden_size, (self.heads + 2 * self.kv_heads) * self.head_dim, bias=False)
        self.out = nn.Linear(self.heads * self.head_dim, config.hidden_size, bias=False)
        self.q_norm, self.k_norm = (Norm(self.head_dim, config.rms_norm_eps) for _ in range(2))

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        batch, length, _ = x.shape
        both = self.qkv(x).view(batch, length, -1, self.head_dim).transpose(1, 2)
        q, k, v = both.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        q, k = _rotated(self.q_norm(q), turn), _rotated(self.k_norm(k), turn)
        shared = self.heads // self.kv_heads
        if shared > 1:
            k, v = (t.repeat_interleave(shared, dim=1) for t in (k, v))
        scores = (q * self.head_dim**-0.5) @ k.transpose(2, 3)
        chances = torch.softmax(scores.float() + mask, dim=-1).to(v.dtype)
        return self.out((chances @ v).transpose(1, 2).reshape(batch, length, -1))

    def tensors(self, prefix: str) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        sizes = [self.heads * self.head_dim, *[self.kv_heads * self.head_dim] * 2]
        for name, part in zip("qkv", self.qkv.weight.split(sizes), strict=True):
            yield f"{prefix}{name}_proj.weight", part
        yield f"{prefix}o_proj.weight", self.out.weight
        yield f"{prefix}q_norm.weight", self.q_norm.weight
        yield f"{prefix}k_norm.weight", self.k_norm.weight


class GatedMlp(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(hidden, 2 * width, bias=False)
        self.down = nn.Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)

    def tensors(self, prefix: str) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        gate, up = self.gate_up.weight.chunk(2)
        yield f"{prefix}gate_proj.weight", gate
        yield f"{prefix}up_proj.weight", up
        yield f"{prefix}down_proj.weight", self.down.weight


class Experts(nn.Module):
    """Mixture of experts, the chosen ones' weights renormalised; with a shared expert where the talker has one."""

    def __init__(self, config: ThinkerConfig | TalkerConfig) -> None:
        super().__init__()
        self.count, self.chosen = config.num_experts, config.num_experts_per_tok
        self.width = config.moe_intermediate_size
        hidden = config.hidden_size
        self.router = nn.Linear(hidden, self.count, bias=False)
        self.gate_up = nn.Linear(hidden, 2 * self.count * self.width, bias=False)
        self.down = nn.Linear(self.count * self.width, hidden, bias=False)
        self.down.weight.data.mul_(self.chosen**0.5)
        self.shared: GatedMlp | None = None
        if isinstance(config, TalkerConfig):
            self.shared = GatedMlp(hidden, config.shared_expert_intermediate_size)
            self.shared_gate = nn.Linear(hidden, 1, bias=False)
        self.imbalance = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            chances = torch.softmax(self.router(x.float()), dim=-1)
        best, index = chances.topk(self.chosen, dim=-1)
        weights = torch.zeros_like(chances).scatter(-1, index, best / best.sum(-1, keepdim=True))
        if self.training:
            used = (weights > 0).float().flatten(0, -2).mean(0)
            self.imbalance = self.count * (used * chances.flatten(0, -2).mean(0)).sum() / self.chosen
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        inner = (functional.silu(gate) * up).unflatten(-1, (self.count, self.width))
        mixed = self.down((inner * weights.to(inner.dtype)[..., None]).flatten(-2))
        if self.shared is not None:
            mixed = mixed + torch.sigmoid(self.shared_gate(x)) * self.shared(x)
        return mixed

    def tensors(self, prefix: str) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        yield f"{prefix}gate.weight", self.router.weight
        gate, up = (part.unflatten(0, (self.count, self.width)) for part in self.gate_up.weight.chunk(2))
        down = self.down.weight.unflatten(1, (self.count, self.width))
        for expert in range(self.count):
            yield f"{prefix}experts.{expert}.gate_proj.weight", gate[expert]
            yield f"{prefix}experts.{expert}.up_proj.weight", up[expert]
            yield f"{prefix}experts.{expert}.down_proj.weight", down[:, expert]
        if self.shared is not None:
            yield from self.shared.tensors(f"{prefix}shared_expert.")
            yield f"{prefix}shared_expert_gate.weight", self.shared_gate.weight


class Layer(nn.Module):
    """Attention and the mixture (or, in the code predictor, the plain MLP), each behind a norm and added on."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.before_attention = Norm(config.hidden_size, config.rms_norm_eps)
        self.before_mlp = Norm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config)
        if isinstance(config, CodePredictorConfig):
            self.mlp: Experts | GatedMlp = GatedMlp(config.hidden_size, config.intermediate_size)
        else:
            self.mlp = Experts(config)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        x = x + self.attention(self.before_attention(x), turn, mask)
        return x + self.mlp(self.before_mlp(x))

    def tensors(self, prefix: str) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        yield f"{prefix}input_layernorm.weight", self.before_attention.weight
        yield f"{prefix}post_attention_layernorm.weight", self.before_mlp.weight
        yield from self.attention.tensors(f"{prefix}self_attn.")
        yield from self.mlp.tensors(f"{prefix}mlp.")


class Stack(nn.Module):
    """Layers and the norm after them. x: [batch, length, hidden] -> the same; `middle` is the state half-way up."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.head_dim, self.theta = config.head_dim, config.rope_theta
        self.middle = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        turn = rope(length, self.head_dim, self.theta, x.device)
        mask = torch.full((length, length), -1e9, device=x.device).triu(1)
        for index, layer in enumerate(self.layers):
            x = layer(x, turn, mask)
            if index == (len(self.layers) - 1) // 2:
                self.middle = x
        return self.norm(x)

    def imbalance(self) -> Tensor:
        """How unevenly the experts are used: 1 is even."""
        values = [layer.mlp.imbalance for layer in self.layers if isinstance(layer.mlp, Experts)]
        return torch.stack(values).mean()

    def tensors(self, prefix: str) -> Iterator[Named]:
        """Its tensors under their names in a checkpoint."""
        for index, layer in enumerate(self.layers):
            yield from layer.tensors(f"{prefix}layers.{index}.")
        yield f"{prefix}norm.weight", self.norm.weight


def scaled_down(stack: Stack) -> None:
    """Shrink what each layer adds at the beginning, so that a deep stack starts near the identity."""
    factor = (2 * len(stack.layers)) ** -0.5
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            if name.endswith(("attention.out.weight", "down.weight")):
                parameter.mul_(factor)
