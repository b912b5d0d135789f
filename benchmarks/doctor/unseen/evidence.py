"""From a case to what the doctor is given."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

import omniggml

from . import audio_edits, code_arrangements, file_faults
from .frozen import Case
from .mistake import Mistake
from .voices import FRAMES, TEXTS, Unseen

Given = dict[str, Any]


def given(case: Case, subjects: Unseen) -> Given:
    """Arguments of the doctor, with the files written that they name."""
    return MAKERS[case.part](case, subjects)


def _ported(case: Case, subjects: Unseen) -> Given:
    """A vocoder with mistakes: right codes and the audio that it made of them. Half of them with the text."""
    return _decoded(case, subjects, reduce(add, case.mistakes))


def _decoded(case: Case, subjects: Unseen, mistake: Mistake) -> Given:
    codes = subjects.said(case.subject, case.text).codes
    samples = subjects.vocoder(case.subject).decode(codes, mistake)
    subtype = "PCM_16" if case.seed % 4 else "FLOAT"
    made = {"model": subjects.file(case.subject), "codes": codes, "audio": subjects.wav(samples, subtype)}
    return made | ({"text": TEXTS[case.text]} if case.seed % 2 else {})


def _edited(case: Case, subjects: Unseen) -> Given:
    """Right samples, edited on their way into the file, beside their codes or with the text alone."""
    table = audio_edits.FAULTS | audio_edits.HEALTHY
    said = subjects.said(case.subject, case.text)
    rng = np.random.default_rng(case.seed)
    path = table[case.detail["edit"]].make(said.samples.astype(np.float64), rng, subjects.new_path(""))
    made = {"model": subjects.file(case.subject), "audio": path}
    return made | ({"codes": said.codes} if case.detail["codes"] else {"text": TEXTS[case.text]})


def others(case: Case, subjects: Unseen) -> code_arrangements.Others:
    """What an arrangement may mix in."""
    model, next_text = subjects.model(case.subject), (case.text + 1) % len(TEXTS)
    return code_arrangements.Others(
        speech=subjects.said(case.subject, next_text).codes,
        speaker=subjects.said(case.subject, case.text, 1, _speaker(model, 1)).codes,
        seed=subjects.said(case.subject, case.text, 2).codes,
        codebook=model.geometry["code2wav"]["codebook_size"],
        text=TEXTS[case.text],
        other_text=TEXTS[next_text],
    )


def _speaker(model: omniggml.Model, number: int) -> str:
    """The default one first."""
    return sorted(model.speakers, key=lambda name: name != model.default_speaker)[number]


def _arranged(case: Case, subjects: Unseen) -> Given:
    codes = subjects.said(case.subject, case.text).codes
    arrangement = code_arrangements.FAULTS[case.detail["arrangement"]]
    changed, told = arrangement.make(codes, np.random.default_rng(case.seed), others(case, subjects))
    text = told or (TEXTS[case.text] if case.detail["text"] else None)
    return {"model": subjects.file(case.subject), "codes": np.ascontiguousarray(changed), "text": text}


def _talked(case: Case, subjects: Unseen) -> Given:
    """A talker with a mistake: what it said, and the text."""
    return _from_port(case, subjects, case.mistakes[0])


def _from_port(case: Case, subjects: Unseen, mistake: Mistake | None) -> Given:
    request = subjects.request(case.subject, case.text)
    codes = subjects.talker(case.subject).speak(request, case.seed, FRAMES[case.subject], mistake)
    text = TEXTS[case.text]
    return {"model": subjects.file(case.subject), "codes": codes, "text": text, "speaker": request.speaker}


def _file(case: Case, subjects: Unseen) -> Given:
    target = subjects.new_path("-speech.gguf")
    return {"model": file_faults.write(subjects.file(case.subject), target, case.mistakes[0], case.seed)}


def _reported(case: Case, subjects: Unseen) -> Given:
    how = {"vocoder": _ported, "talker": _talked, "codes": _arranged, "audio": _edited}
    return how[case.detail["how"]](case, subjects)


# --- nothing wrong ----------------------------------------------------------------------------------------------------


def _misheard(case: Case, subjects: Unseen) -> Given:
    """A text with a slip beside what was spoken of the right one."""
    said = subjects.model(case.subject).speak(case.detail["spoken"], seed=case.seed % 1000)
    made = {"model": subjects.file(case.subject), "codes": said.codes, "text": case.detail["told"]}
    return made | ({"audio": said.save(subjects.new_path(".wav"))} if case.detail["audio"] else {})


def _engine(case: Case, subjects: Unseen) -> Given:
    choices = {"code2wav:precision": case.detail["precision"]}
    return _decoded(case, subjects, Mistake("", "code2wav", "", (), (), choices))


def _talk(case: Case, subjects: Unseen) -> Given:
    if case.detail.get("port"):
        return _from_port(case, subjects, None)
    model, detail = subjects.model(case.subject), case.detail
    speaker = _speaker(model, detail["speaker"])
    options = {"seed": detail["seed"], "max_frames": FRAMES[case.subject], "speaker": speaker, **detail["options"]}
    said = model.speak(TEXTS[case.text], **options)
    path = said.save(subjects.new_path(".wav"))
    made = {"model": subjects.file(case.subject), "codes": said.codes, "audio": path, "speaker": speaker}
    return made | ({"text": TEXTS[case.text]} if detail["text"] else {})


def _quantized(case: Case, subjects: Unseen) -> Given:
    source = target = subjects.file(case.subject)
    if case.detail["policy"]:
        target = subjects.new_path("-speech.gguf")
        omniggml.quantize(source, target, policy=case.detail["policy"])
    if case.detail["as"] == "file":
        return {"model": target}
    said = omniggml.load(target, device="cpu", n_threads=1).speak(TEXTS[case.text], seed=5)
    audio = said.save(subjects.new_path(".wav"))
    return {"model": source, "codes": said.codes, "audio": audio, "text": TEXTS[case.text]}


MAKERS: dict[str, Callable[[Case, Unseen], Given]] = {
    "vocoder": _ported,
    "pairs": _ported,
    "audio": _edited,
    "codes": _arranged,
    "talker": _talked,
    "file": _file,
    "reported": _reported,
    "healthy audio": _edited,
    "healthy texts": _misheard,
    "healthy engines": _engine,
    "healthy talk": _talk,
    "healthy files": _quantized,
}
