"""Which change of what a stage makes changes the samples, and how: the vocoder's convolutions run backwards.

To first order a mistake changes the samples by the Jacobian of all stages behind it, times what it changes in its own.
Weighing samples first and running the weights back through these stages once tells that sum of the samples for every
change of every stage, without computing any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor.products import computed
from omniggml.doctor.vocoder_cone import Cone
from omniggml.doctor.vocoder_mirror import (
    ACTIVATIONS,
    AnyChoices,
    FloatArray,
    VocoderMirror,
    limited,
    merged,
    padded,
    snaked,
    trimmed,
)

_STEP = np.float32(1e-3)


class VocoderAdjoint(VocoderMirror):
    """The same vocoder, run backwards from the samples to the transformer."""

    @classmethod
    def of(cls, mirror: VocoderMirror) -> VocoderAdjoint:
        return cls(**vars(mirror))

    def pulled_back(
        self, cone: Cone, given: Sequence[npt.NDArray[Any]], choices: AnyChoices, weights: FloatArray
    ) -> list[FloatArray]:
        """weights: [n, samples], of sums of the samples that the cone looks at. `given`: what each stage behind the
        transformer is given. Returned: by stage, from the transformer's last on, [n, channels, time]: how much each of
        what it makes adds to each sum."""
        gradient = weights[:, None, :]
        found = [gradient]
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(len(cone.stages) - 1, cone.convolutions - 1, -1):
                x = given[number - cone.convolutions]
                gradient = self._back(cone.stages[number], x, choices, cone.unlooked(number, gradient))
                found.append(gradient)
        return found[::-1]

    def _back(self, stage: str, x: FloatArray, choices: AnyChoices, made: Callable[[int], FloatArray]) -> FloatArray:
        """By how much each of `x` adds; `made` gives the same of what the stage makes, which is so many long."""
        part = stage.removeprefix("code2wav.").split(".")
        if part[0] == "upsample":
            if part[2] == "1":
                return self._back_convnext(stage, x, choices, made(x.shape[1]))
            return self._back_transposed(stage, x, self.geometry["upsampling_ratios"][int(part[1])], choices, made)
        if part[0] == "decoder":
            return self._back_decoder(stage, part, x, choices, made)
        kind = choices.at("code2wav").limit
        return made(x.shape[1]) * _slope(lambda y: limited(kind, y), x)

    def _back_decoder(
        self, stage: str, part: list[str], x: FloatArray, choices: AnyChoices, made: Callable[[int], FloatArray]
    ) -> FloatArray:
        time = x.shape[1]
        if part[1] == "0":
            return self._back_convolved(stage, x, 1, choices, made(time))
        number = int(part[1])
        if len(part) == 2:
            gradient = self._back_convolved(stage, x, 1, choices, made(time))
            return gradient * self._slope_of_snake(f"code2wav.decoder.{number - 1}", x, choices)
        block, unit = f"code2wav.decoder.{number}", int(part[3])
        own = choices.at(block)
        if unit > 1 and own.units == "chain":
            return self._back_unit(stage, x, own.dilations[unit - 2], choices, made(time))
        if unit > 1:
            return self._back_units(block, x, choices, made(time)) if unit == 2 else made(time)
        rates = choices.at("code2wav.decoder").rates or self.geometry["upsample_rates"]
        gradient = self._back_transposed(stage, x, rates[number - 1], choices, made)
        # Behind the convolution it has fewer channels; its slope is near one there as well.
        after = choices.at(block).snake_after
        return gradient if after else gradient * self._slope_of_snake(f"{block}.block.0", x, choices)

    def _back_units(self, block: str, x: FloatArray, choices: AnyChoices, gradient: FloatArray) -> FloatArray:
        own = choices.at(block)
        back = [
            self._back_unit(f"{block}.block.{unit}", x, dilation, choices, gradient)
            for unit, dilation in enumerate(own.dilations, 2)
        ]
        # A sum of branches runs back as it runs on.
        return merged(own.units, back, gradient)

    def _back_unit(
        self, path: str, x: FloatArray, dilation: int, choices: AnyChoices, gradient: FloatArray
    ) -> FloatArray:
        own = choices.at(path)
        if not own.used:
            return gradient
        dilation = dilation if choices.at(f"{path}.conv1").dilated else 1
        bent = self._snake(f"{path}.act1", x, choices)
        within = computed(self._convolved(f"{path}.conv1", bent, dilation, choices))
        inner = self._back_convolved(f"{path}.conv2", within, 1, choices, gradient)
        inner = inner * self._slope_of_snake(f"{path}.act2", within, choices)
        inner = self._back_convolved(f"{path}.conv1", x, dilation, choices, inner)
        return _branched(own.residual, gradient, inner * self._slope_of_snake(f"{path}.act1", x, choices))

    def _slope_of_snake(self, path: str, x: FloatArray, choices: AnyChoices) -> FloatArray:
        alpha, beta = self._weight(f"{path}.alpha")[:, None], self._weight(f"{path}.beta")[:, None]
        return _slope(lambda y: snaked(choices.at(path).snake, y, alpha, beta), x)

    def _back_convnext(self, path: str, x: FloatArray, choices: AnyChoices, gradient: FloatArray) -> FloatArray:
        own = choices.at(path)
        across = self._depthwise(f"{path}.dwconv", x, choices).T
        wide = self._layer_norm(f"{path}.norm", across, choices) @ self._weight(f"{path}.pwconv1.weight").T
        wide = wide + self._bias(f"{path}.pwconv1", choices)
        inner = gradient.swapaxes(1, 2) * (self._weight(f"{path}.gamma") if own.gamma else np.float32(1))
        inner = inner @ self._weight(f"{path}.pwconv2.weight") * _slope(ACTIVATIONS[own.gelu], wide)
        inner = self._back_norm(
            f"{path}.norm", across, choices, np.asarray(inner @ self._weight(f"{path}.pwconv1.weight"), np.float32)
        )
        inner = self._back_depthwise(f"{path}.dwconv", x, choices, inner.swapaxes(1, 2))
        return _branched(own.residual, gradient, inner)

    def _back_norm(self, path: str, x: FloatArray, choices: AnyChoices, gradient: FloatArray) -> FloatArray:
        """x: [time, channels]."""
        kind, eps = choices.at(path).layer_norm, np.float32(choices.at(path).layer_eps)
        gradient = gradient * self._weight(f"{path}.weight")
        if kind == "off":
            return gradient
        centred = kind in ("layer", "eps outside", "over time")
        axis = -2 if kind == "over time" else -1
        x = np.asarray(x - x.mean(axis=axis, keepdims=True) if centred else x, np.float32)
        size = np.sqrt(np.mean(np.square(x), axis=axis, keepdims=True) + eps)
        unit = x / size
        gradient = (gradient - unit * np.mean(gradient * unit, axis=axis, keepdims=True)) / size
        if kind == "l2":
            gradient = gradient / np.sqrt(np.float32(x.shape[-1]))
        return gradient - gradient.mean(axis=axis, keepdims=True) if centred else gradient

    def _back_depthwise(self, path: str, x: FloatArray, choices: AnyChoices, gradient: FloatArray) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")[:, 0]
        taps, time = weight.shape[1], x.shape[1]
        whole = np.zeros((*gradient.shape[:2], time + taps - 1), np.float32)
        for tap in range(taps):
            whole[..., tap : tap + time] += weight[:, tap, None] * gradient
        return _unpadded(whole, time, choices.at(path).padding)

    def _back_convolved(
        self, path: str, x: FloatArray, dilation: int, choices: AnyChoices, gradient: FloatArray
    ) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")
        out, channels, taps = weight.shape
        time = x.shape[1]
        columns = (weight.reshape(out, -1).T @ gradient).reshape(len(gradient), channels, taps, time)
        whole = np.zeros((len(gradient), channels, time + (taps - 1) * dilation), np.float32)
        for tap in range(taps):
            whole[..., tap * dilation : tap * dilation + time] += columns[:, :, tap]
        return _unpadded(whole, time, choices.at(path).padding, dilation)

    def _back_transposed(
        self, path: str, x: FloatArray, rate: int, choices: AnyChoices, made: Callable[[int], FloatArray]
    ) -> FloatArray:
        weight = self._weight(f"{path}.conv.weight")
        channels, out, kernel = weight.shape
        time = x.shape[1]
        long = (time - 1) * rate + kernel
        left, right = trimmed(max(kernel - rate, 0), choices.at(path).trim)
        whole = np.pad(made(long - left - right), ((0, 0), (0, 0), (left, right)))
        windows = np.lib.stride_tricks.sliding_window_view(whole, kernel, axis=-1)[:, :, ::rate]
        columns = windows.transpose(0, 1, 3, 2).reshape(len(whole), out * kernel, time)
        if choices.at(path).upsampled == "overwritten":
            weight = np.where(np.arange(kernel) < rate, weight, np.float32(0))
        return np.asarray(weight.reshape(channels, -1) @ columns, np.float32)


def _slope(activation: Callable[[FloatArray], npt.NDArray[Any]], x: FloatArray) -> FloatArray:
    return np.asarray((activation(x + _STEP) - activation(x - _STEP)) / (2 * _STEP), np.float32)


def _branched(residual: str, gradient: FloatArray, inner: FloatArray) -> FloatArray:
    """Back to where a branch began."""
    if residual == "none":
        return inner
    return (gradient + inner) / np.float32(2) if residual == "mean" else gradient + inner


def _unpadded(gradient: FloatArray, time: int, kind: str, dilation: int = 1) -> FloatArray:
    """What is padded with a sample adds to what that adds."""
    amount = gradient.shape[-1] - time
    # Numbered from one: what is padded with nothing is number zero.
    source = padded(np.arange(1, time + 1, dtype=np.float32)[None], amount, kind, dilation)[0].astype(np.int64)
    if np.count_nonzero(source) == time:
        first = int(np.argmax(source > 0))
        return gradient[..., first : first + time]
    whole = np.zeros((*gradient.shape[:-1], time + 1), np.float32)
    np.add.at(np.moveaxis(whole, -1, 0), source, np.moveaxis(gradient, -1, 0))
    return whole[..., 1:]
