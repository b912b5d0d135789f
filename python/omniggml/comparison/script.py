"""What both sides of a comparison are made to do, and what their modules computed."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from omniggml.model import Model, TalkerPrompt

Outputs = dict[str, npt.NDArray[np.float32]]
"""Module path -> output."""

_FRAMES = 16
# Where B's outputs take the place of A's: what a residual stream holds, the input of feed-forward blocks, each piece of
# the vocoder. The last convolution is left: replaced, the waveform would be B's own.
_BOUNDARY = re.compile(
    r"thinker\.model\.embed_tokens|.*\.model\.norm|.*\.layers\.\d+(\.post_attention_layernorm)?"
    r"|code2wav\.(code_embedding|pre_transformer|upsample\.\d+\.\d+|decoder\.\d+(\.block\.\d+)?)"
)


class Script:
    """What both are made to do: read this text, say these codes, voice them."""

    def __init__(self, reference: Model, text: str) -> None:
        self.conversation = reference.tokenizer.encode_chat([{"role": "user", "content": ""}])
        self.answer = reference.tokenizer.encode(text)
        self.prompt: TalkerPrompt = reference.talker_prompt(self.conversation, self.answer)
        self.codes = reference.talker(self.prompt, greedy=True, max_frames=_FRAMES)
        if self.codes.shape[1] < 2:
            groups, size = (
                reference.geometry["code2wav"]["num_quantizers"],
                reference.geometry["code2wav"]["codebook_size"],
            )
            self.codes = np.random.default_rng(0).integers(0, size, (groups, _FRAMES)).astype(np.int32)
        self.hidden = reference.talker_states(self.prompt, self.codes).hidden

    def run(self, model: Model, given: Mapping[str, npt.NDArray[np.float32]]) -> Outputs:
        """Module path -> output; with `given`, local errors: each stage's boundaries take these."""
        local = bool(given)
        seen: Outputs = {}
        last = f"code2wav.decoder.{len(model.geometry['code2wav']['upsample_rates']) + 2}"
        chosen = {name: values for name, values in given.items() if _BOUNDARY.fullmatch(name) and name != last}
        if model.has_thinker:
            self._thinker(model, seen, _of(chosen, "thinker."))
        with model.probe("talker.*_projection", "talker.*_projection.*") as reading:
            prompt = model.talker_prompt(self.conversation, self.answer)
            seen |= dict(reading)
        with model.probe("talker.model.**", "talker.codec_head", replace=_of(chosen, "talker.model.")) as reading:
            states = model.talker_states(self.prompt if local else prompt, self.codes)
            seen |= dict(reading)
        with model.probe("talker.code_predictor.**", replace=_of(chosen, "talker.code_predictor.")) as reading:
            model.predictor_logits(self.hidden if local else states.hidden, self.codes)
            seen |= dict(reading)
        with model.probe("code2wav", "code2wav.**", replace=_of(chosen, "code2wav.")) as reading:
            model.code2wav(self.codes)
            seen |= dict(reading)
        return seen

    def _thinker(self, model: Model, seen: Outputs, given: Outputs) -> None:
        with model.probe("thinker.**", replace=given) as reading:
            model.thinker([*self.conversation, *self.answer])
            seen |= dict(reading)


def _of(outputs: Mapping[str, npt.NDArray[np.float32]], prefix: str) -> Outputs:
    return {name: values for name, values in outputs.items() if name.startswith(prefix)}
