"""What a port of code2wav does otherwise, in words: where a choice's own name says it badly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ACTIVATIONS = {
    "erf": "GELU",
    "tanh": "GELU's tanh approximation",
    "silu": "SiLU",
    "quick": "quick GELU",
    "relu": "ReLU",
    "squared": "squared ReLU",
    "elu": "ELU",
    "sigmoid": "a sigmoid",
    "tanh itself": "tanh",
    "none": "nothing",
    **{f"leaky {slope}": f"leaky ReLU of slope {slope}" for slope in (0.01, 0.1, 0.2)},
}
_NORMS = {
    "layer": "a layer norm",
    "rms": "an RMS norm",
    "l2": "an L2 norm",
    "bare": "one without weight",
    "eps outside": "one with epsilon outside the root",
    "over time": "one over time",
    "off": "nothing",
}
_SNAKES = {
    "plain": "Snake takes alpha and beta as stored, without exp",
    "alpha": "Snake takes alpha in beta's place",
    "beta": "Snake takes beta in alpha's place",
    "alpha plain": "Snake takes alpha as stored, without exp",
    "beta plain": "Snake takes beta as stored, without exp",
    "times beta": "Snake multiplies by beta, not divides",
    "doubled": "Snake adds twice its wave",
    "undivided": "Snake doesn't divide by beta",
    "unsquared": "Snake's sine isn't squared",
    "of squares": "Snake takes the sine of the square, not the square of the sine",
    "cosine": "Snake has a cosine for its sine",
    "wave alone": "Snake leaves out what it adds its wave to",
    "minus": "Snake subtracts its wave",
    "off": "Snake is left out",
    **{name: f"Snake is replaced by {words}" for name, words in _ACTIVATIONS.items()},
}
_LIMITS = {
    "tanh": "samples go through tanh, and are not clipped at full scale",
    "none": "samples are not clipped at full scale",
    "peak": "samples are divided by their peak, not clipped at full scale",
    "wrap": "samples beyond full scale wrap around, and are not clipped",
    **{f"clip at {bound:g}": f"samples are clipped at {bound:g}" for bound in (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)},
}
_SAID: Mapping[str, Mapping[Any, str]] = {
    "silu": {name: f"SiLU is replaced by {words}" for name, words in _ACTIVATIONS.items()},
    "gelu": {name: f"GELU is replaced by {words}" for name, words in _ACTIVATIONS.items()},
    "norm": {name: f"the RMS norm is replaced by {words}" for name, words in _NORMS.items()},
    "layer_norm": {name: f"the layer norm is replaced by {words}" for name, words in _NORMS.items()},
    "snake": _SNAKES,
    "limit": _LIMITS,
    "pool": {
        "sum": "the groups' embeddings are summed, not averaged",
        "sqrt": "the sum of the groups' embeddings is divided by the root of their number",
        "first apart": "the first group's embedding is added to the mean of the others",
        "fewer": "the sum of the groups' embeddings is divided by one less than their number",
    },
    "scale": {
        "width": "scores are divided by the head's width, not its root",
        "one": "scores are not divided by the root of the head's width",
        "hidden": "scores are divided by the root of all channels, not of a head's",
    },
    "rope": {
        "off": "there are no rotary positions",
        "pairs": "rotary positions turn neighbouring channels, not halves",
        "backwards": "rotary positions turn backwards",
        "narrow": "rotary positions turn half of a head's channels",
        "angles in halves": "rotary positions turn neighbours by the angles of halves",
        "angles in pairs": "rotary positions turn halves by the angles of neighbours",
    },
    "positions": {
        "same": "positions are all the same",
        "reversed": "positions are counted backwards",
        "doubled": "positions are doubled",
        "halved": "positions are halved",
    },
    "sees": {
        "all": "attention sees all frames, even later ones",
        "around": "attention sees the window on both sides, even later frames",
        "later": "attention sees the window and all later frames",
        "its block": "attention sees the block of the window that a frame is in alone, up to itself",
    },
    "padding": {
        "centred": "padding is on both sides, not before alone",
        "right": "padding is behind, not before",
        "edge": "padding repeats the first sample instead of zeros",
        "mirror": "padding mirrors the samples instead of zeros",
        "circle": "padding takes the other end's samples instead of zeros",
    },
    "trim": {
        "right": "the margin is trimmed at the end alone",
        "left": "the margin is trimmed at the beginning alone",
        "none": "the margin is not trimmed",
        "halves": "only half of the margin is trimmed at each end",
    },
}


def said(choice: str, value: Any) -> str | None:
    """The clause for another value of one of `Choices`; None where its name and the value say it."""
    if choice == "positions" and str(value).startswith("anew"):
        return f"positions are counted {value} frames"
    return _SAID.get(choice, {}).get(value)
