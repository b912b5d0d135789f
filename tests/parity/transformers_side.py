"""The reference: transformers on a checkpoint in float32, every module's output recorded by forward hooks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from omniggml.comparison.transformers_side import load_reference, module_path, recording
from parity.cases import Case, FloatArray, IntArray, Recording
from parity.greedy import Request, Spoken

__all__ = ["decode", "load_reference", "module_path", "record", "speak", "talker_prompt"]

Outputs = dict[str, FloatArray]


@torch.no_grad()
def record(model: Any, case: Case) -> Recording:
    """Run every stage on the case."""
    outputs: Outputs = {}
    with recording(model.thinker, "thinker", outputs):
        answer = model.thinker(input_ids=_row(case.tokens), output_hidden_states=True)
    hidden = answer.hidden_states[model.config.talker_config.accept_hidden_layer]
    with recording(model.talker, "talker", outputs, only="_projection"):
        prompt, text = _talker_inputs(model, case, hidden)
    with recording(model.talker.model, "talker.model", outputs):
        states = _run_talker(model, case, prompt, text)
    # Logits of the prompt's last position and of every frame: the engine computes no others.
    frame_hidden = states[:, prompt.shape[1] - 1 :]
    with recording(model.talker.codec_head, "talker.codec_head", outputs):
        model.talker.codec_head(frame_hidden)
    with recording(model.talker.code_predictor, "talker.code_predictor", outputs):
        _run_predictor(model, case, frame_hidden[0, :-1])
    with recording(model.code2wav, "code2wav", outputs):
        model.code2wav(_tensor(case.wave_codes)[None])
    outputs = {name: _in_axes_of_one_sequence(name, array) for name, array in outputs.items()}
    return Recording(outputs, _rows(prompt), _rows(text), _rows(frame_hidden)[:-1], _rows(hidden))


@torch.no_grad()
def speak(model: Any, request: Request) -> Spoken:
    """The reference's greedy speech, the audio decoded in one forward instead of the chunks of `generate`."""
    codes: list[torch.Tensor] = []

    def decode_whole(given: torch.Tensor, **_: Any) -> Any:
        codes.append(given)
        return model.code2wav(given)

    model.code2wav.chunked_decode = decode_whole
    try:
        with warnings.catch_warnings():
            # That the repetition penalty sees spoken codes only, not the prompt: so does ours.
            warnings.filterwarnings("ignore", message="Passing `repetition_penalty` with `inputs_embeds`")
            ids, audio = model.generate(
                _row(np.array(request.conversation)),
                speaker=request.speaker,
                thinker_max_new_tokens=request.max_text,
                thinker_do_sample=False,
                thinker_eos_token_id=model.config.im_end_token_id,
                talker_do_sample=False,
                talker_repetition_penalty=request.penalty,
                # The last code drawn never becomes a frame.
                talker_max_new_tokens=request.max_frames + 1,
            )
    finally:
        del model.code2wav.chunked_decode
    answer = tuple(ids[0, len(request.conversation) : -1].tolist())
    return Spoken(answer, codes[0][0].numpy().astype(np.int32), audio.numpy().ravel())


@torch.no_grad()
def decode(model: Any, codes: IntArray) -> FloatArray:
    """One full forward of code2wav: codes [groups, frames] to samples."""
    return np.asarray(model.code2wav(_tensor(codes)[None]).numpy(), dtype=np.float32).ravel()


@torch.no_grad()
def talker_prompt(
    model: Any, conversation: list[int], answer: list[int], speaker: str, hidden: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What `generate` hands to the talker for a conversation of one user's turn: inputs, trailing text, padding."""
    config = model.config
    ids = _row(np.array(conversation + answer))
    embedded = model.thinker.get_input_embeddings()
    thinker = config.thinker_config
    other = torch.isin(ids, torch.tensor([thinker.audio_token_id, thinker.image_token_id, thinker.video_token_id]))
    start = len(conversation) - 3  # the answer's header
    user = model._get_talker_user_parts(0, start, other, torch.from_numpy(hidden)[None], embedded(ids))
    special = torch.tensor([[config.tts_bos_token_id, config.tts_eos_token_id, config.tts_pad_token_id]])
    bos, eos, pad = model.talker.text_projection(embedded(special)).chunk(3, dim=1)
    speaker_id = config.talker_config.speaker_id[speaker]
    spoken, _, trailing = model._get_talker_assistant_parts(
        start, ids.shape[1], speaker_id, embedded(ids), pad, bos, eos
    )
    return _rows(torch.cat([user, spoken], dim=1)), _rows(trailing), _rows(pad)


def _talker_inputs(model: Any, case: Case, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompt [1, positions, hidden] and the text of each frame [1, frames, hidden], projected in one call."""
    tokens = np.concatenate([case.prompt_tokens, case.text_tokens])
    projected = model.talker.text_projection(model.thinker.get_input_embeddings()(_row(tokens)))
    model.talker.hidden_projection(hidden)
    return projected[:, : len(case.prompt_tokens)], projected[:, len(case.prompt_tokens) :]


def _run_talker(model: Any, case: Case, prompt: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Prompt and frames in one forward. Returns the states after the final norm, [1, positions + frames, hidden]."""
    tables = [model.talker.get_input_embeddings(), *model.talker.code_predictor.get_input_embeddings()]
    embedded = [table(_row(codes)) for table, codes in zip(tables, case.codes, strict=True)]
    frames = torch.stack([*embedded, text]).sum(dim=0)
    states: torch.Tensor = model.talker.model(inputs_embeds=torch.cat([prompt, frames], dim=1)).last_hidden_state
    return states


def _run_predictor(model: Any, case: Case, hidden: torch.Tensor) -> None:
    """A frame is a batch entry of one forward; position k + 1 gives the logits of code k + 1."""
    predictor = model.talker.code_predictor
    steps = [hidden, model.talker.get_input_embeddings()(_tensor(case.codes[0]))]
    steps += [
        table(_tensor(codes)) for table, codes in zip(predictor.get_input_embeddings(), case.codes[1:-1], strict=False)
    ]
    states = predictor.model(inputs_embeds=torch.stack(steps, dim=1)).last_hidden_state
    for step, head in enumerate(predictor.lm_head):
        head(states[:, step + 1])


def _in_axes_of_one_sequence(name: str, array: FloatArray) -> FloatArray:
    if name.startswith("talker.code_predictor.model.codec_embedding") or ".lm_head" in name:
        return array.reshape(1, -1, array.shape[-1])
    if name.startswith("talker.code_predictor."):
        return array.reshape(1, -1, *array.shape[2:])
    return array


def _tensor(values: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64))


def _row(values: npt.NDArray[Any]) -> torch.Tensor:
    return _tensor(values)[None]


def _rows(tensor: torch.Tensor) -> FloatArray:
    return np.ascontiguousarray(tensor[0].numpy(), dtype=np.float32)
