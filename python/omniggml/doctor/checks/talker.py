"""The talker: does text reach it, does it choose, does it end; and which talker would have said these codes?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from omniggml.doctor.case import Case
from omniggml.doctor.counterfactuals import talker_mistakes
from omniggml.doctor.likelihood import Likelihood, likelihood_of, prompt_for, with_outputs_fed_back
from omniggml.errors import OmniError
from omniggml.model import Model, TalkerPrompt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

_TEXTS = ("one", "another thing altogether")
_FRAMES = 48
_CLEARLY = 0.35  # nats a code by which a mistake has to explain codes better


def check_talker(case: Case) -> None:
    """Needs a model with a tokenizer; with codes and their text, the talker that said them is looked for."""
    model = case.model
    if model is None or not case.can_speak:
        return
    case.checked.append("talker")
    try:
        alive = _check_life(case, model)
    except OmniError as error:
        case.find("talker.not-finite", f"The talker fails: {error}", certainty=0.9)
        return
    stuck = case.has("codes.constant", "codes.repeating", "codes.collapsed-group", "codes.equal-groups")
    if alive and case.text and case.right_codes is not None and not stuck:
        _recognise(case, model, case.right_codes[:, :_FRAMES], case.text)


def _check_life(case: Case, model: Model) -> bool:
    prompts = [prompt_for(model, text) for text in _TEXTS]
    first, last = prompts[0].inputs[-1], prompts[1].inputs[-1]
    if np.abs(first - last).max() <= 1e-6 * max(np.abs(first).max(), 1e-9):
        case.find("talker.dead-text", "Two texts give the talker the same first input.", certainty=0.95)
        return False
    groups = model.geometry["code_predictor"]["num_code_groups"]
    states = model.talker_states(prompts[0], np.zeros((groups, 1), np.int32))
    if not np.isfinite(states.logits).all():
        case.find("talker.not-finite", "The talker computes NaN or infinity.", certainty=0.95)
        return False
    logits = states.logits[0, : model.geometry["code2wav"]["codebook_size"]].astype(np.float64)
    spread = float(logits.std())
    case.measurements["talker"] = {
        "logits_deviation": round(spread, 4),
        "eos_probability": round(_eos(model, states.logits[0]), 6),
    }
    if spread < 1e-3:
        case.find(
            "talker.flat-logits",
            f"All codes are equally likely to the talker: its logits deviate by {spread:.1e}.",
            certainty=0.9,
        )
        return False
    if _eos(model, states.logits[0]) > 0.9:
        share = _eos(model, states.logits[0])
        case.find(
            "talker.ends-at-once",
            f"The talker ends with probability {share:.2f} before the first frame.",
            certainty=0.6,
            probability=share,
        )
    return True


def _eos(model: Model, logits: FloatArray) -> float:
    """Probability of codec eos among what may be drawn."""
    eos = model.geometry["talker"]["codec_eos_token_id"]
    allowed = np.append(logits[: model.geometry["code2wav"]["codebook_size"]], logits[eos]).astype(np.float64)
    weights = np.exp(allowed - allowed.max())
    return float(weights[-1] / weights.sum())


# --- whose codes are they? --------------------------------------------------------------------------------------------


def _recognise(case: Case, model: Model, codes: IntArray, text: str) -> None:
    """The known mistake under which the codes are clearly likelier than without."""
    speaker, prompt, right = _speaker(case, model, codes, text)
    embedded = _embeddings(case, codes)
    bos = _tts_bos(case, model)
    best: tuple[float, str, str, Likelihood] | None = None
    for mistake in talker_mistakes(bos):
        if mistake.needs_embeddings and embedded is None:
            continue
        known = embedded if embedded is not None else np.zeros((1, 1, 1), np.float32)
        changed = mistake.prompt(prompt, known)
        if mistake.feeds_outputs:
            changed = with_outputs_fed_back(model, prompt, codes, known)
        found = likelihood_of(model, changed, codes, before_norm=mistake.before_norm)
        gained = _gain(found, right)
        if best is None or gained > best[0]:
            best = gained, mistake.id, mistake.sentence, found
    assert best is not None
    gained, id, sentence, found = best
    case.measurements["talker_likelihood"] = {
        "right": round(right.mean, 3),
        "best_mistake": id,
        "mistaken": round(found.mean, 3),
    }
    if gained > 0:
        case.find(
            id,
            f"These codes are those of a talker with a mistake: {sentence} (a code gets {found.mean:.2f} nats with it, "
            f"{right.mean:.2f} without).",
            certainty=0.95,
            right=round(right.mean, 3),
            mistaken=round(found.mean, 3),
            frames=codes.shape[1],
        )
        case.findings = [finding for finding in case.findings if finding.id != "codes.unlikely"]
    elif case.speaker is None and speaker != model.default_speaker:
        case.find("talker.other-speaker", f"The speaker of these codes is {speaker}.", speaker=speaker)


def _gain(found: Likelihood, right: Likelihood) -> float:
    """How clearly one likelihood is above another: positive where the mean is, and where luck is ruled out."""
    difference = np.maximum(found.values, -30) - np.maximum(right.values, -30)
    if not np.any(difference) or not found.explained:
        return -1.0
    total, error = float(difference.sum()), float(np.sqrt(np.square(difference).sum())) + 1e-9
    return total / error if total > 6 and total / error > 2.5 else -1.0


def _speaker(case: Case, model: Model, codes: IntArray, text: str) -> tuple[str, TalkerPrompt, Likelihood]:
    names = [case.speaker] if case.speaker else model.speakers
    trials = []
    for name in names:
        prompt = prompt_for(model, text, name)
        trials.append((name, prompt, likelihood_of(model, prompt, codes)))
    return max(trials, key=lambda trial: trial[2].mean)


def _embeddings(case: Case, codes: IntArray) -> FloatArray | None:
    """The codes' input embeddings, [groups, frames, hidden]."""
    weights = case.weights
    names = ["talker.model.codec_embedding.weight"]
    names += [f"talker.code_predictor.model.codec_embedding.{k}.weight" for k in range(len(codes) - 1)]
    if weights is None or any(name not in weights for name in names):
        return None
    return np.stack([weights[name][row] for name, row in zip(names, codes, strict=True)])


def _tts_bos(case: Case, model: Model) -> FloatArray:
    """tts_bos as the talker sees it, [1, hidden]: what stands where a text of that one token goes on."""
    assert case.weights is not None and case.weights.derived is not None
    token = case.weights.derived.config.tokens.tts_bos
    conversation = model.tokenizer.encode_chat([{"role": "user", "content": ""}])
    return model.talker_prompt(conversation, [token, token], speaker=None).trailing[:1]
