"""Faults that people reported in public, each made with the machinery of this package.

From each thread only the fact is taken: what was wrong, and so what to do here. Where a thread is about another codec
or another model, the mistake is made at the place that corresponds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import audio_edits, code_arrangements
from .frozen import Case, seed_of
from .mistake import Mistake
from .port_talker import C, T
from .port_vocoder import P

ATTENTION = f"{P}.pre_transformer.layers.*.self_attn"


@dataclass(frozen=True)
class Report:
    """`thread`: project and number; `fact`: what was wrong; `mistake`: of a port, or `edit` or `arrangement`: a name in
    the tables of audio and codes."""

    thread: str
    fact: str
    mistake: Mistake | None = None
    edit: str = ""
    arrangement: str = ""
    subject: str = "voice"


def _choice(kind: str, path: str, choice: str, value: Any, *where: str) -> Mistake:
    stage = "code_predictor" if path.startswith(C) else path.split(".")[0]
    return Mistake(f"{path}: {choice} {value}", stage, kind, (path, *where), choices={f"{path}:{choice}": value})


REPORTS = (
    # --- vocoders
    Report(
        "0xShug0/audio.cpp#67",
        "one wrong constant in the codec's decoder: codes equal, similarity of spectra high, speech robotic",
        _choice("constant", f"{P}.decoder.*", "dilations", [1, 3, 5], f"{P}.decoder.*.block.*.conv1"),
    ),
    Report(
        "0xShug0/audio.cpp#429",
        "pieces decoded with fewer frames before them than the decoder can see: a click at each seam",
        _choice("state", P, "chunk", [10, 2]),
    ),
    Report(
        "vllm-project/vllm-omni#1944",
        "only the first piece is decoded with its context",
        _choice("state", P, "chunk", [16, 0]),
    ),
    Report(
        "huggingface/transformers#47328",
        "angles laid out in halves, channels turned in pairs",
        _choice("positions", ATTENTION, "rope", "halves turned as pairs", f"{P}.pre_transformer.layers.*"),
    ),
    Report(
        "Acelogic/LTX-2-MLX#17",
        "the norm before the last convolutions missing",
        _choice("missing", f"{P}.pre_transformer.norm", "form", "left out"),
    ),
    Report(
        "Acelogic/LTX-2-MLX#17 (2)",
        "an activation of another slope before the last convolution",
        _choice("formula", f"{P}.decoder.5", "form", "leaky relu"),
    ),
    Report(
        "azraelkuan/repgan#5",
        "weights folded wrongly for inference: training forward good, inference noise",
        Mistake(
            f"{P}.decoder.*.block.*.conv1: directions without lengths",
            P,
            "scaled",
            (f"{P}.decoder.*.block.*.conv1", f"{P}.decoder.*.block.*.conv1.conv.weight"),
            (("unit rows", f"{P}.decoder.*.block.*.conv1.conv.weight"),),
        ),
    ),
    # --- talkers
    Report(
        "QwenLM/Qwen3-TTS#337",
        "the state of one step joined with the code of another",
        _choice("hidden", C, "state", "a frame old", T, f"{T}.model", f"{T}.model.norm"),
    ),
    Report(
        "ggml-org/llama.cpp#26700",
        "all text in the prompt and again a row a frame: everything is said twice",
        _choice("text", T, "text before", True),
    ),
    Report(
        "sgl-project/sglang-omni#1750",
        "the repetition penalty applied twice",
        _choice("sampling", T, "repetition penalty", 1.1025),
        subject="mini",
    ),
    Report(
        "Blaizzy/mlx-audio#914",
        "every past code penalised: the pace grows",
        _choice("sampling", T, "repetition penalty", 1.5),
    ),
    Report(
        "kyutai-labs/delayed-streams-modeling#106",
        "a rotating cache that loses positions: garbled from a moment on",
        _choice("state", f"{T}.model", "cache", "last 8", T),
    ),
    Report(
        "vllm-project/vllm-omni#769",
        "the prompt read in pieces, and only the last kept",
        _choice("text", T, "user segment", False),
    ),
    Report(
        "vllm-project/vllm-omni#1048",
        "another voice each time",
        _choice("speaker", T, "special codes", "speaker missing", f"{T}.model.codec_embedding"),
    ),
    Report(
        "QwenLM/Qwen3-TTS#118",
        "codec eos never drawn: it goes on to the limit",
        _choice("end", T, "end", "suppressed", f"{T}.codec_head", "codes"),
    ),
    Report(
        "jamiepine/voicebox#1077",
        "codec eos missed: speech, then murmur",
        _choice("end", T, "end", "ignored", f"{T}.codec_head", "codes"),
    ),
    Report(
        "Blaizzy/mlx-audio#611",
        "one position too many shifts what belongs to each frame",
        _choice("text", T, "text", "late"),
    ),
    Report(
        "Integral2u/SharpMind#4",
        "neighbouring channels rotated together where halves are",
        _choice("positions", f"{T}.model.layers.*.self_attn", "rope", "pairs", f"{T}.model.layers.*"),
    ),
    # --- codes
    Report(
        "sgl-project/sglang-omni#415",
        "a stale first code: the predicted groups belong to the frame before",
        arrangement="predicted groups a frame later",
    ),
    Report(
        "stepfun-ai/Step-Audio-EditX#66",
        "spurious codes at the beginning of a flat stream",
        arrangement="the stream shifted",
    ),
    Report(
        "descriptinc/descript-audio-codec#104",
        "padding beyond the end of a batch's shorter speech is decoded",
        arrangement="the last frame held",
    ),
    Report("Blaizzy/mlx-audio#882", "codec eos too early: the tail is missing", arrangement="the end lost"),
    Report("Blaizzy/mlx-audio#838", "the end drawn at the fourth step", arrangement="ended after four frames"),
    # --- samples and files
    Report(
        "vllm-project/vllm-omni#1663",
        "NaN in Snake's exponential in bfloat16: each sample is -32768",
        edit="the lowest sample throughout",
    ),
    Report("jundot/omlx#2934", "NaN in Snake in float16, written as zeros", edit="silence"),
    Report("CrispStrobe/CrispASR#260", "a watermark heard as a tinny noise", edit="hum"),
    Report("vllm-project/vllm-omni#2439", "white noise mixed in", edit="loud noise"),
    Report("kyutai-labs/delayed-streams-modeling#109", "loud static at the end", edit="static at the end"),
    Report("Blaizzy/mlx-audio#465", "the last, partly filled buffer dropped", edit="the end lost"),
    Report("SWivid/F5-TTS#473", "the last piece handled twice", edit="the end twice"),
    Report("travisvn/chatterbox-tts-api#14", "each piece begins with a header", edit="a header before each piece"),
    Report("inworld-ai/inworld-api-examples#21", "each piece holds a header", edit="a header before each piece"),
    Report("uezo/aiavatarkit#339", "the header converted as audio", edit="a header read as samples"),
    Report("roryeckel/wyoming_openai#73", "chunks after the data read as samples", edit="metadata read as samples"),
    Report("AreevAI/flowcat#10", "24 kHz samples said to be 48 kHz", edit="the header says 48000"),
    Report("dograh-hq/pipecat#59", "24 kHz samples said to be 16 kHz", edit="the header says 16000"),
    Report("rhasspy/wyoming-satellite#184", "played at another rate than made", edit="the header says 22050"),
    Report("AreevAI/flowcat#18", "32-bit floats framed as 16-bit integers", edit="float32 read as int16"),
    Report("RunanywhereAI/runanywhere-sdks#832", "16-bit integers read as floats", edit="int16 read as float32"),
    Report(
        "NousResearch/hermes-agent#70851",
        "pieces of an odd number of bytes thrown away",
        edit="pieces of an odd number of bytes dropped",
    ),
    Report("openai/openai-agents-python#4817", "little-endian bytes read as big-endian", edit="bytes swapped"),
    Report(
        "Mentra-Community/MentraOS#1383",
        "bytes swapped by a guess at each piece",
        edit="bytes swapped from somewhere on",
    ),
    Report("cloudflare/agents#1736", "5 ms of silence at each seam", edit="gaps between pieces"),
)


def cases() -> Iterator[Case]:
    """Each once; audio beside its codes."""
    for report in REPORTS:
        name = f"reported/{report.thread}: {report.fact}"
        mistake, detail = report.mistake, {"thread": report.thread}
        if report.edit:
            mistake = Mistake(report.edit, "audio", audio_edits.FAULTS[report.edit].kind, ("audio",))
            detail |= {"how": "audio", "edit": report.edit, "codes": True}
        elif report.arrangement:
            kind = code_arrangements.FAULTS[report.arrangement].kind
            mistake = Mistake(report.arrangement, "codes", kind, ("codes",))
            detail |= {"how": "codes", "arrangement": report.arrangement, "text": True}
        else:
            assert mistake is not None
            detail |= {"how": "vocoder" if mistake.stage == P else "talker"}
        assert mistake is not None
        yield Case(name, "reported", report.subject, 1, seed_of(report.thread), (mistake,), detail)
