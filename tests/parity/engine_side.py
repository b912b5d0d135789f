"""The engine on a case, every module captured by a probe, the reference's outputs fed in where asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from omniggml import _native
from omniggml.probe import Reading, new_probe
from parity.cases import Case, FloatArray, Recording

_THREADS = 1
_SINGLE_STEPS = 20

# Where the reference's output takes the place of ours, so that an error doesn't reach the next block: embeddings, what
# a residual stream holds between blocks, the input of each feed-forward block (an expert chosen differently is an
# error of attention, not of the experts), and each piece of the vocoder.
_BOUNDARY = re.compile(
    r"thinker\.model\.embed_tokens|.*\.model\.norm"
    r"|.*\.layers\.\d+(\.post_attention_layernorm)?"
    r"|code2wav\.(code_embedding|pre_transformer|upsample\.\d+\.\d+|decoder\.\d+(\.block\.\d+)?)"
)


def boundaries(outputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Those of the reference's outputs that a teacher-forced run puts in the place of ours."""
    # The last convolution makes the waveform; replaced, the waveform would be the reference's own.
    n_pieces = sum(re.fullmatch(r"code2wav\.decoder\.\d+", name) is not None for name in outputs)
    last = f"code2wav.decoder.{n_pieces - 1}"
    return {name: array for name, array in outputs.items() if _BOUNDARY.fullmatch(name) and name != last}


class Engine:
    """The two files of one geometry and type, loaded; `vocoder`: its precision, see `omniggml.load`."""

    def __init__(self, speech: Path, thinker: Path, vocoder: str = "auto") -> None:
        self.speech = _native.SpeechModel(
            str(speech), "cpu", vocoder_precision=_native.VocoderPrecision.__members__[vocoder]
        )
        self.thinker = _native.Thinker(str(thinker), "cpu")

    def capture(self, case: Case, recording: Recording, *, forced: bool = True) -> dict[str, FloatArray]:
        """Module path -> what it computed on the inputs of the recording.

        With `forced`, every block is given what the reference computed before it, so that each array shows the error
        of its own block; without, only each stage is.
        """
        given = boundaries(recording.outputs) if forced else {}
        captured: dict[str, FloatArray] = {}
        for prefix, run in (
            ("thinker.", self._run_thinker),
            ("talker.text_projection", self._run_text_projection),
            ("talker.hidden_projection", self._run_hidden_projection),
            ("talker.model.", self._run_talker),
            ("talker.code_predictor.", self._run_predictor),
            ("code2wav.", self._run_code2wav),
        ):
            probe = new_probe(("**",), {name: array for name, array in given.items() if name.startswith(prefix)})
            run(case, recording, probe)
            captured |= dict(Reading(probe))
        return captured

    def waveform(self, case: Case) -> FloatArray:
        """The samples [1, 1, n] of code2wav without a probe, which may fuse what a probe has to tell apart."""
        return _native.Code2WavSession(self.speech, _THREADS, None).decode(case.wave_codes)[np.newaxis, np.newaxis]

    def _run_thinker(self, case: Case, recording: Recording, probe: _native.Probe) -> None:
        session = _native.ThinkerSession(self.thinker, _THREADS, probe)
        session.forward(case.tokens[:-_SINGLE_STEPS])
        for token in case.tokens[-_SINGLE_STEPS:]:
            session.forward(np.array([token], np.int32))

    def _run_text_projection(self, case: Case, recording: Recording, probe: _native.Probe) -> None:
        session = _native.TalkerSession(self.speech, 1, _THREADS, probe)
        session.project_text(np.concatenate([case.prompt_tokens, case.text_tokens]).tolist())

    def _run_hidden_projection(self, case: Case, recording: Recording, probe: _native.Probe) -> None:
        _native.TalkerSession(self.speech, 1, _THREADS, probe).project_hidden(recording.thinker_hidden)

    def _run_talker(self, case: Case, recording: Recording, probe: _native.Probe) -> None:
        session = _native.TalkerSession(self.speech, 1, _THREADS, probe)
        session.prompt(0, recording.talker_prompt)
        for frame, text in zip(case.codes.T, recording.frame_text, strict=True):
            session.frame(np.ascontiguousarray(frame[np.newaxis]), text[np.newaxis])

    def _run_predictor(self, case: Case, recording: Recording, probe: _native.Probe) -> None:
        session = _native.CodePredictorSession(self.speech, 1, _THREADS, probe)
        for frame, hidden in zip(case.codes.T.tolist(), recording.frame_hidden, strict=True):
            session.start(hidden[np.newaxis], frame[:1])
            for code in frame[1:-1]:
                session.next([code])

    def _run_code2wav(self, case: Case, recording: Recording, probe: _native.Probe) -> None:
        _native.Code2WavSession(self.speech, _THREADS, probe).decode(case.wave_codes)
