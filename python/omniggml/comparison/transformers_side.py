"""transformers on a checkpoint, every module's output recorded: the reference itself as one side of a comparison.

Reference: Qwen3OmniMoeForConditionalGeneration (transformers 5), in float32 on the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.comparison.script import Outputs, Script
from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.model import TalkerPrompt

PathLike = str | os.PathLike[str]
FloatArray = npt.NDArray[np.float32]

_ROLE_TOKENS = 3  # the header of the answer
_PADS = 4
# The checkpoint's names, which transformers had as module paths before 5.0 and still saves.
_MOVED = ("thinker.model.language_model.", "thinker.model.")


def load_reference(checkpoint: PathLike) -> Any:
    """The model in float32, without transformers' progress bars and advice.

    Raises InputError where torch or transformers is not installed, or the checkpoint can't be loaded.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise InputError(f"{error}; install what it needs: {install_command('reference')}") from error
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.Qwen3OmniMoeForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"transformers can't load {checkpoint}: {' '.join(str(error).split())}") from error
    return model.eval()


def module_path(name: str) -> str:
    """Our name of a module of transformers: its path, without `language_model`."""
    return name.replace(*_MOVED)


@contextmanager
def recording(module: Any, path: str, outputs: Outputs, *, only: str = "") -> Iterator[None]:
    """Keep what `module` and the modules in it compute in this block; those whose path holds `only`."""

    def keep(name: str) -> Any:
        return lambda _module, _inputs, output: outputs.__setitem__(name, _known_for(output))

    hooks = []
    for name, child in module.named_modules():
        full = module_path(f"{path}.{name}" if name else path)
        if only in full:
            hooks.append(child.register_forward_hook(keep(full)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _known_for(output: Any) -> FloatArray:
    """The tensor that a module is known for, of what it returns."""
    if isinstance(output, dict):
        output = output.get("last_hidden_state", output.get("logits"))
    elif isinstance(output, tuple):
        output = output[0]
    return np.asarray(output.detach().numpy(), dtype=np.float32)


class TransformersSide:
    """transformers' model of a checkpoint, made to do what a comparison's script says."""

    def __init__(self, checkpoint: PathLike) -> None:
        self.model = load_reference(checkpoint)

    def run(self, script: Script, speaker: str) -> tuple[Outputs, TalkerPrompt, FloatArray]:
        """Module path -> output, in one forward of each stage; the talker's prompt, and the states after its final
        norm that the predictor gets, [frames, hidden]."""
        import torch

        outputs: Outputs = {}
        with torch.no_grad():
            with recording(self.model.thinker, "thinker", outputs):
                self.model.thinker(input_ids=_row([*script.conversation, *script.answer]))
            prompt = self._prompt(script, speaker, outputs)
            hidden = self._talker(script, prompt, outputs)
            with recording(self.model.talker.code_predictor, "talker.code_predictor", outputs):
                self._predictor(script, hidden)
            with recording(self.model.code2wav, "code2wav", outputs):
                self.model.code2wav(_row(script.codes))
        return outputs, prompt, np.asarray(hidden.numpy(), np.float32)

    def _prompt(self, script: Script, speaker: str, outputs: Outputs) -> TalkerPrompt:
        """The verbatim prompt: the empty question, then the header of the answer and the codec's beginning."""
        config, talker = self.model.config, self.model.talker
        tts = [config.tts_pad_token_id, config.tts_bos_token_id, config.tts_eos_token_id]
        user, header = script.conversation[:-_ROLE_TOKENS], script.conversation[-_ROLE_TOKENS:]
        # In the engine's order, in which a probe sees them: the marks, the prompt, the rest of the answer.
        tokens = [*tts, *user, *header, *[tts[0]] * _PADS, tts[1], *script.answer]
        with recording(talker, "talker", outputs, only="text_projection"):
            rows = talker.text_projection(self.model.thinker.get_input_embeddings()(_row(tokens)))[0].numpy()
        ends = np.cumsum([len(tts), len(user), len(header), _PADS + 1])
        (pad, bos, eos), question, role, _, spoken = np.split(rows, ends)
        codec = config.talker_config
        ids = [codec.codec_nothink_id, codec.codec_think_bos_id, codec.codec_think_eos_id, codec.speaker_id[speaker]]
        codes = talker.get_input_embeddings()(_row([*ids, codec.codec_pad_id, codec.codec_bos_id]))[0].numpy()
        head = np.stack([*[pad] * _PADS, bos, spoken[0]]) + codes
        inputs = np.concatenate([question, role, head])
        return TalkerPrompt(inputs, np.concatenate([spoken[1:], eos[None]]), pad[None])

    def _talker(self, script: Script, prompt: TalkerPrompt, outputs: Outputs) -> Any:
        import torch

        talker, frames = self.model.talker, script.codes.shape[1]
        text = [prompt.trailing[k] if k < len(prompt.trailing) else prompt.pad[0] for k in range(frames - 1)]
        inner = talker.code_predictor.get_input_embeddings()
        with recording(talker.model.codec_embedding, "talker.model.codec_embedding", outputs):
            rows = [talker.get_input_embeddings()(_row(script.codes[0, :-1]))[0]]
        rows += [table(_row(codes[:-1]))[0] for table, codes in zip(inner, script.codes[1:], strict=True)]
        spoken = torch.stack(rows).sum(dim=0) + torch.from_numpy(np.stack(text))
        given = torch.cat([torch.from_numpy(prompt.inputs), spoken])[None]
        with recording(talker.model, "talker.model", outputs):
            states = talker.model(inputs_embeds=given).last_hidden_state[:, len(prompt.inputs) - 1 :]
        with recording(talker.codec_head, "talker.codec_head", outputs):
            talker.codec_head(states)
        return states[0]

    def _predictor(self, script: Script, hidden: Any) -> None:
        """A frame is an entry of one batch; position k + 1 gives the logits of code k + 1."""
        import torch

        predictor, codes = self.model.talker.code_predictor, script.codes
        steps = [hidden, self.model.talker.get_input_embeddings()(_row(codes[0]))[0]]
        tables = predictor.get_input_embeddings()
        steps += [table(_row(group))[0] for table, group in zip(tables, codes[1:-1], strict=False)]
        states = predictor.model(inputs_embeds=torch.stack(steps, dim=1)).last_hidden_state
        for step, head in enumerate(predictor.lm_head):
            head(states[:, step + 1])


def _row(values: Sequence[int] | npt.NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(np.asarray(values, np.int64))[None]
