"""Every number by which the doctor decides, in one table: its unit, and what it was measured to keep apart.

A bound is asked with `above` or `below`; while `recording` is on, what it was asked is kept, and `benchmarks/doctor`
writes from it how far sound cases stay away from the bound and how far it is to the nearest fault that it finds.
`margins.json` holds that; a bound that is not in it was never measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from omniggml.gguf.type_names import LARGEST_F16


@dataclass(frozen=True)
class Threshold:
    """A bound. `what`: the quantity that is compared with `value`. `finds`: ids of what is found beyond it, as patterns
    of `fnmatch`."""

    name: str
    value: float
    unit: str
    what: str
    finds: tuple[str, ...]

    def above(self, measured: float) -> bool:
        """Whether what was measured is above the bound; NaN is not."""
        _record(self, measured, upwards=True)
        return measured > self.value

    def below(self, measured: float) -> bool:
        """Whether what was measured is below the bound; NaN is not."""
        _record(self, measured, upwards=False)
        return measured < self.value


@dataclass(frozen=True)
class Asked:
    """One question to a bound, and whether the finding lies `upwards` of it."""

    name: str
    measured: float
    upwards: bool


_recorders: list[list[Asked]] = []


def _record(threshold: Threshold, measured: float, *, upwards: bool) -> None:
    for recorder in _recorders:
        recorder.append(Asked(threshold.name, float(measured), upwards))


@contextmanager
def recording() -> Iterator[list[Asked]]:
    """Every question that bounds are asked meanwhile, in this process."""
    seen: list[Asked] = []
    _recorders.append(seen)
    try:
        yield seen
    finally:
        _recorders.remove(seen)


@dataclass(frozen=True)
class Margin:
    """`sound`: the value nearest to the bound in a sound case; `fault`: that in a fault which it finds. None: there was
    no such case."""

    sound: float | None
    fault: float | None


@cache
def margins() -> dict[str, Margin]:
    """What `python benchmarks/doctor --margins` measured, by name of the bound."""
    table = json.loads((files("omniggml.doctor") / "margins.json").read_text(encoding="utf-8"))
    return {name: Margin(entry["sound"], entry["fault"]) for name, entry in table.items()}


# --- the file's values ------------------------------------------------------------------------------------------------

ZERO_ROWS = Threshold("file.zero-rows", 0.2, "share", "rows of a table that are all zeros", ("file.zero-rows",))
LEARNT_SIZE = Threshold(
    "file.learnt-size",
    1000.0,
    "times",
    "a norm's, scale's or bias's size over its siblings', or under",
    ("file.scale",),
)
MATRIX_SIZE = Threshold(
    "file.matrix-size", 30.0, "times", "a matrix' size over its siblings', or under", ("file.scale",)
)
PEER_SIZE = Threshold(
    "file.peer-size",
    6.0,
    "times",
    "a matrix' size over its siblings', or under, where these are alike (PEERS_ALIKE)",
    ("file.scale",),
)
PEERS_ALIKE = 2.5
"""Times that the largest sibling may be the smallest."""
CODE_SUMS = Threshold(
    "file.code-sums",
    0.9,
    "deviation of logarithms",
    "of the lengths of a group's codes, the median of all groups",
    ("file.code-sums",),
)
TABLE_SIZE = Threshold("file.table-size", 1e-3, "rms", "a table without siblings", ("file.scale",))
SIZE_ALONE = Threshold("file.size-alone", 1e3, "rms", "a tensor without siblings", ("file.scale",))
LEVELS = Threshold(
    "file.levels",
    21.0,
    "values",
    "different ones among 32: 30 on a grid of 8 bits, 10 to 18 on 4 or 5",
    ("file.quantized-twice",),
)
OFF_GRID = Threshold(
    "file.off-grid", 0.06, "steps", "distance of values from a grid of 8 bits", ("file.quantized-twice",)
)
TRAINED = Threshold(
    "file.trained", 1.25, "times", "a trained matrix' largest singular value over a random one's", ("file.untrained",)
)
TRAINED_SHARE = Threshold("file.trained-share", 0.1, "share", "matrices with a trained spectrum", ("file.untrained",))
RANDOM = Threshold(
    "file.random", 1.06, "times", "largest singular value of one matrix over a random one's", ("file.looks-random",)
)
SIBLINGS_TRAINED = Threshold(
    "file.siblings-trained", 1.5, "times", "the same, the median of its siblings", ("file.looks-random",)
)
SIBLINGS_SURELY = Threshold(
    "file.siblings-surely", 1.15, "times", "the same, the least of its siblings", ("file.looks-random",)
)
SNAKE_LEAN = Threshold(
    "file.snake-lean", 0.2, "skewness", "Snake's values, where none is negative", ("file.snake-exponentiated",)
)
SNAKE_LEAN_LUCK = Threshold(
    "file.snake-lean-luck",
    4.0,
    "deviations",
    "the same, over what so few values have by luck",
    ("file.snake-exponentiated",),
)
SNAKE_LOG_LEAN = Threshold(
    "file.snake-log-lean",
    0.5,
    "share",
    "of the values' skewness that their logarithms have",
    ("file.snake-exponentiated",),
)
SNAKE_CENTRE = Threshold(
    "file.snake-centre", 0.3, "nats", "distance of the median from 1", ("file.snake-exponentiated",)
)
SNAKE_ABOVE = Threshold(
    "file.snake-above",
    3.3,
    "deviations",
    "of the siblings' medians, that one of Snake's tensors lies above them",
    ("file.snake-exponentiated",),
)
SNAKE_AMONG = Threshold(
    "file.snake-among", 2.5, "deviations", "the same, of its logarithms", ("file.snake-exponentiated",)
)
LEAST_EPS = Threshold("file.least-eps", 1e-9, "", "a norm's epsilon", ("file.eps",))
MOST_EPS = Threshold("file.most-eps", 1e-3, "", "a norm's epsilon", ("file.eps",))
LEAST_THETA = Threshold("file.least-theta", 1e3, "", "a rotary base", ("file.theta",))
MOST_THETA = Threshold("file.most-theta", 1e9, "", "a rotary base", ("file.theta",))
LEAST_WINDOW = Threshold("file.least-window", 2, "frames", "the vocoder's window", ("file.window",))
MOST_WINDOW = Threshold("file.most-window", 8192, "frames", "the vocoder's window", ("file.window",))
SETTING = Threshold(
    "file.setting", 1e-5, "share", "by which two numbers may differ that are stored as float32", ("file.*",)
)

PLAUSIBLE = {
    "rms_norm_eps": ("file.eps", LEAST_EPS, MOST_EPS),
    "rope_theta": ("file.theta", LEAST_THETA, MOST_THETA),
    "sliding_window": ("file.window", LEAST_WINDOW, MOST_WINDOW),
}
"""Setting -> what is found where it is implausible, and its bounds."""

# --- against a reference ----------------------------------------------------------------------------------------------

ROUNDING = {
    "F32": 1e-5,
    "F16": 2e-3,
    "BF16": 1e-2,
    "Q8_0": 0.03,
    "Q6_K": 0.08,
    "Q5_K": 0.15,
    "Q5_0": 0.2,
    "Q5_1": 0.2,
}
"""Relative error that a type may bring: a quarter more than what bell-shaped values lose, twice for outliers."""
ROUNDING_ELSE = 0.2
ROUNDING_BELOW_5_BITS = 0.4
FEW_BITS = 5
ROUNDING_OF_VECTORS = 4
"""Times more: a grid of 8 bits serves vectors with one large value badly."""

REFERENCE_ERROR = Threshold(
    "reference.error", 1.0, "times", "a tensor's error over what its type explains", ("file.reference-differs",)
)
CHANGED_BACK = Threshold(
    "reference.changed-back",
    0.05,
    "share",
    "of a tensor that is left over when a change is undone",
    ("file.reference-differs",),
)

# --- codes ------------------------------------------------------------------------------------------------------------

SAME_FRAMES = Threshold("codes.same-frames", 0.9, "share", "frames like the one before", ("codes.constant",))
CYCLE = Threshold("codes.cycle", 0.8, "share", "frames like the one a period before", ("codes.repeating",))
STUCK = Threshold(
    "codes.stuck", 0.1, "share", "of the others' different codes that a group has", ("codes.collapsed-group",)
)
EQUAL_GROUPS = Threshold(
    "codes.equal-groups", 0.95, "share", "codes that two groups have in common", ("codes.equal-groups",)
)
CONTROL_FRAMES = Threshold("codes.control-frames", 0.5, "share", "frames with ids for control", ("codes.control-ids",))
REARRANGED = Threshold(
    "codes.rearranged",
    0.3,
    "nats a code",
    "by which the codes are likelier put right than as given",
    ("codes.group-order", "codes.frame-order", "codes.transposed", "codes.off-by-one"),
)
REARRANGED_SHARE = Threshold(
    "codes.rearranged-share",
    0.5,
    "times",
    "the same, over what the codes as given are likelier than chance: a talker with a mistake says codes that are half "
    "explained already, in their right order",
    ("codes.group-order", "codes.frame-order", "codes.transposed", "codes.off-by-one"),
)
LEFT_UNLIKELY = Threshold(
    "codes.left-unlikely",
    0.5,
    "share",
    "of how much less likely than expected codes are, text known, that is left in another order: a talker's mistake",
    ("talker.*",),
)
FIRST_GROUP = Threshold(
    "codes.first-group",
    0.3,
    "nats a code",
    "between the readings of groups that are too few",
    ("codes.first-group-missing",),
)

EACH_TWICE = Threshold(
    "codes.each-twice", 0.9, "share", "of pairs of frames that are one frame twice", ("codes.doubled",)
)
HELD_FRAMES = Threshold(
    "codes.held", 7.5, "frames", "at the end that are the one before (of a pause: 2)", ("codes.doubled",)
)
COPIED_FRAMES = Threshold(
    "codes.copied",
    2.5,
    "frames",
    "different ones of a piece that is said again at once, code by code (of a word said twice: 1)",
    ("codes.doubled",),
)
LEFT_OVER = Threshold(
    "codes.left-over",
    2.5,
    "frames",
    "that are left where pieces are put in order (of a pause, one is as good as another)",
    ("codes.doubled", "codes.other-frames"),
)
LOST_BESIDE = Threshold(
    "codes.lost-beside",
    1.5,
    "frames",
    "more that are lost than frames beside them that don't fit (of one word for another: 1)",
    ("codes.lost",),
)

# --- likelihood -------------------------------------------------------------------------------------------------------

EXPLAINED = Threshold("likelihood.explained", 0.3, "nats a code", "above chance", ("talker.*",))
SURE_OF_OTHERS = Threshold(
    "likelihood.sure-of-others", -1.0, "nats a code", "above chance, at temperature 1", ("codes.unlikely",)
)
NOT_EXPLAINED = Threshold(
    "likelihood.not-explained", 0.1, "nats a code", "above chance, at the best temperature", ("codes.unlikely",)
)
RANK = Threshold(
    "likelihood.rank", 0.35, "share", "of the codebook that is likelier than the codes", ("codes.unlikely",)
)
ASTRAY = Threshold(
    "likelihood.astray",
    0.13,
    "share",
    "of the codebook that is likelier than the predictor's codes behind the frames that fit (of another text: 0.1)",
    ("codes.unexpected",),
)
MISFIT = Threshold(
    "likelihood.misfit",
    1.0,
    "nats a code",
    "by which a group is less likely than the model expects of its own",
    ("codes.*", "talker.*"),
)
UNLUCKY = Threshold(
    "likelihood.unlucky",
    4.0,
    "deviations",
    "by which all codes together are less likely than the model expects of its own, over what luck gives",
    ("codes.*", "talker.*"),
)
UNLUCKY_NATS = Threshold(
    "likelihood.unlucky-nats",
    0.2,
    "nats a code",
    "the same, on average (of 4-bit weights: 0.1)",
    ("codes.*", "talker.*"),
)
LATE_SHARE = Threshold(
    "likelihood.late-share",
    0.5,
    "share",
    "of what makes codes unlikely that comes behind the frames that fit, where these end",
    ("codes.other-text",),
)
MISFIT_FRAME = Threshold("likelihood.misfit-frame", 2.5, "nats a code", "the same, of one frame", ("codes.*",))
SLIP_FRAMES = Threshold(
    "likelihood.slip-frames", 1.5, "frames", "that fit before a text differs that was told", ("codes.other-text",)
)
FIT_AT_FIRST = Threshold(
    "likelihood.fit-at-first", 7.5, "frames", "that fit, from which on no two mistakes are looked for", ("talker.*",)
)
FIT_LONG = Threshold(
    "likelihood.fit-long", 6.5, "frames", "that fit, from which on mistakes must begin late to be tried", ("talker.*",)
)
LATE_MISFIT = Threshold(
    "likelihood.late-misfit",
    4.0,
    "nats a code",
    "by which codes behind these are less likely, where only what may begin late is tried (nine of ten texts with a "
    "slip: 4.0 and more; the most that other mistakes make: 3.7)",
    ("talker.*",),
)
OTHER_ORDER = Threshold(
    "likelihood.other-order",
    2.3,
    "deviations",
    "by which frames of codes whose text isn't known are likelier in another order (right ones: -6.2 to 0.2; frames "
    "that run backwards: 2.4 to 6.2)",
    ("codes.*",),
)
OTHER_LENGTH = Threshold(
    "likelihood.other-length",
    1.4,
    "times",
    "as many frames as the model says of the text, of codes that don't fit it (of one told with a slip: 1.16)",
    ("codes.unexpected",),
)
GAIN = Threshold("likelihood.gain", 6.0, "nats", "by which a mistake makes all codes likelier", ("talker.*",))
GAIN_LUCK = Threshold("likelihood.gain-luck", 2.5, "deviations", "the same, over what luck gives", ("talker.*",))

# --- how codes were drawn ---------------------------------------------------------------------------------------------

NEVER_DRAWN = Threshold(
    "drawn.never",
    0.042,
    "share",
    "of codes that the model's sampling never lets through (an engine of 4 bits: 0.037)",
    ("codes.never-drawn",),
)
BEYOND = Threshold(
    "drawn.beyond",
    0.2,
    "nats a code",
    "by which these are behind the least that it lets through",
    ("codes.never-drawn",),
)
DRAWN_EXACTLY = Threshold(
    "drawn.exactly", 0.01, "share", "of codes of that kind, more than an engine of 8 bits says", ("talker.*",)
)
DRAWN_FEW = Threshold(
    "drawn.few", 2.5, "codes", "the same, of which an engine of 8 bits says one or two", ("talker.*",)
)
DRAWN_LUCK = Threshold(
    "drawn.luck", 5.0, "deviations", "by which other codes are likelier or less likely than expected", ("talker.*",)
)
DRAWN_ALIKE = Threshold(
    "drawn.alike", 2.5, "of luck", "distance of how codes lie among what is drawn from how they should", ("talker.*",)
)
DRAWN_GAIN = Threshold(
    "drawn.gain", 16.0, "nats", "by which a mistake makes all codes likelier than any way of drawing", ("talker.*",)
)
DRAWN_GAIN_FEW_BITS = Threshold(
    "drawn.gain-few-bits",
    40.0,
    "nats",
    "the same, of codes that an engine of 4 bits may have said (the most that a mistake made of these: 31)",
    ("talker.*",),
)
DRAWN_STANDS_OUT = Threshold(
    "drawn.stands-out",
    20.0,
    "nats",
    "over what any mistake elsewhere does, where drawn.gain is enough of an engine of 4 bits (the most of these: 3.3)",
    ("talker.*",),
)
DRAWN_OTHERWISE = Threshold(
    "drawn.otherwise", 4.0, "nats", "for each setting by which drawing is unusual", ("talker.*",)
)

ONE_RANK = Threshold(
    "drawn.one-rank", 0.9, "share", "of codes that have one place among the likeliest", ("talker.sampling",)
)
HOT = Threshold("drawn.hot", 1.2, "temperature", "at which codes are drawn", ("talker.sampling",))
MOST_HEAT = 5.0
"""Drawn hotter than that, any codes fit."""
HOT_LATE = Threshold(
    "drawn.hot-late", 4.0, "frames", "that fit before codes begin to look hot: another text", ("talker.sampling",)
)
PENALISED = Threshold(
    "drawn.penalised", 1.25, "times", "that codes are penalised which came before", ("talker.sampling",)
)
GOES_ON = Threshold(
    "drawn.goes-on", 20.0, "nats", "by which it is unlikely that no frame ended the speech", ("talker.goes-on",)
)
ENDS_EARLY = Threshold(
    "drawn.ends-early",
    0.9,
    "times",
    "as many frames as the model says of the text, of codes that it would not end there",
    ("codes.ends-early",),
)
CUT_SHORT = Threshold("drawn.cut-short", 0.6, "times", "the same, of codes that end long before", ("codes.cut-short",))
NOT_THE_END = Threshold(
    "drawn.not-the-end", 7.0, "nats", "by which the end is unlikely behind the last frame", ("codes.ends-early",)
)
LATE_FRAMES = Threshold(
    "drawn.late-frames",
    5.0,
    "frames",
    "with codes that are never drawn, expected before the first of them by how often they come after it",
    ("codes.other-text",),
)

# --- talker -----------------------------------------------------------------------------------------------------------

TALKER_MISFIT = Threshold(
    "talker.misfit", 0.25, "nats a code", "by which the talker's own codes are less likely than expected", ("talker.*",)
)
AS_LIKELY = Threshold(
    "talker.as-likely", 0.02, "nats a code", "that another mistake is behind the best, named beside it", ("talker.*",)
)
SPOKEN_FOR = Threshold(
    "talker.spoken-for",
    0.9,
    "share",
    "of what the right model is surer than chance by, that codes are likelier in the worst group with a mistake",
    ("talker.*",),
)
LEAST_SURE = 0.1
"""Nats a code: a model that is less sure of what it says can't be told from chance."""
SPEAKER_GAIN = Threshold(
    "talker.gain",
    0.05,
    "nats a code",
    "by which a mistake makes few frames likelier, where more are looked at",
    ("talker.*",),
)
DEAD_TEXT = Threshold(
    "talker.dead-text", 1e-6, "share", "by which two texts' first inputs differ", ("talker.dead-text",)
)
FLAT_LOGITS = Threshold("talker.flat-logits", 1e-3, "nats", "deviation of the logits", ("talker.flat-logits",))
ENDS_AT_ONCE = Threshold(
    "talker.ends-at-once", 0.9, "probability", "of codec eos before the first frame", ("talker.ends-at-once",)
)

# --- audio ------------------------------------------------------------------------------------------------------------

ABOVE_BAND = Threshold(
    "audio.above-band",
    1e-3,
    "share",
    "of the energy above what the model reaches, at a higher rate",
    ("audio.resampled",),
)
SAME_VOICE = Threshold(
    "audio.same-voice",
    0.65,
    "correlation",
    "of their spectrum, read at a rate, with that of the model's voice",
    ("audio.rate", "audio.resampled"),
)
VOICE_ALONE = Threshold(
    "audio.voice-alone", 0.08, "correlation", "the same, over that at any other rate", ("audio.rate", "audio.resampled")
)
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Of sound files, in Hz."""
SILENT = Threshold("audio.silent", 1e-4, "rms", "all samples", ("audio.silent",))
FULL = 0.999
"""Samples from here on are at the limits."""
CLIPPED = Threshold("audio.clipped", 0.005, "share", "samples at the limits", ("audio.clipped",))
SHIFTED = Threshold("audio.shifted", 0.02, "of full scale", "the mean, or what of it is not ours", ("audio.dc",))
SHIFTED_ALONE = Threshold("audio.shifted-alone", 0.25, "deviations", "the mean, without codes", ("audio.dc",))
SHIFTED_BESIDE = Threshold("audio.shifted-beside", 0.1, "deviations", "what of the mean is not ours", ("audio.dc",))
ROUGH = Threshold("audio.rough", 0.8, "deviations", "steps from sample to sample (white noise: 1.4)", ("audio.bytes",))
SMOOTH = Threshold("audio.smooth", 0.35, "deviations", "the same with bytes swapped", ("audio.bytes",))
JUMP = Threshold("audio.jump", 25.0, "times", "a step over those around it", ("audio.clicks",))
JUMP_SIZE = Threshold("audio.jump-size", 0.2, "deviations", "a step", ("audio.clicks",))
JUMP_EQUAL = Threshold("audio.jump-equal", 0.5, "share", "of the largest step that the others have", ("audio.clicks",))
JUMP_BEAT = Threshold("audio.jump-beat", 0.02, "periods", "by which a jump is off the beat", ("audio.clicks",))
JUMPS_REGULAR = Threshold("audio.jumps-regular", 0.8, "share", "jumps on the beat", ("audio.clicks",))
REPEATS = Threshold("audio.repeats", 0.9, "correlation", "of the audio with itself one beat later", ("audio.clicks",))
VOICED = Threshold("audio.voiced", 0.05, "share", "of the time that is harmonic", ("audio.noise",))
FLAT_SPECTRUM = Threshold(
    "audio.flat-spectrum", 0.15, "flatness", "of the spectrum (speech: below 0.1)", ("audio.noise",)
)
HARMONIC = 0.45
"""Correlation of a frame with itself a pitch period later from which it counts as harmonic."""
LOWEST_PITCH, HIGHEST_PITCH = 70, 400
"""Hz."""
SHORTEST = Threshold("audio.shortest", 0.015, "s a character", "duration (English: 0.07)", ("audio.too-short",))
LONGEST = Threshold(
    "audio.longest", 0.6, "s a character", "duration beyond LONGEST_FREE (Chinese: 0.22)", ("audio.too-long",)
)
LONGEST_FREE = 4
"""Seconds that are never too long."""

# --- the vocoder, and their audio beside ours -------------------------------------------------------------------------

DEAD = Threshold("vocoder.dead", 1e-6, "of full scale", "the largest sample of random codes", ("vocoder.silent",))
DEAF = Threshold("vocoder.deaf", 0.9999, "correlation", "of two sets of random codes' audio", ("vocoder.deaf",))
LOUD = Threshold("vocoder.loud", 0.5, "share", "of random codes' samples at the limits", ("vocoder.clips",))
OVERFLOW = Threshold(
    "vocoder.overflow", LARGEST_F16, "", "the largest activation (float16 ends there)", ("vocoder.f16-overflow",)
)
SAME = Threshold(
    "vocoder.same",
    0.02,
    "share",
    "of their energy that ours leaves over: other types are below, other computations above",
    ("vocoder.differs",),
)
CLOSE = Threshold(
    "vocoder.close",
    3e-3,
    "share",
    "the same, of an engine in few bits: code2wav in 8 bits, kernels included, leaves up to 1.7e-3, in 5 1e-2 and more",
    ("vocoder.close", "vocoder.few-bits"),
)
NOTHING_LEFT = Threshold(
    "vocoder.nothing-left", 1e-10, "share", "the same, where nothing needs explaining", ("vocoder.*",)
)
ROUNDED_AWAY = Threshold(
    "vocoder.rounded-away", 5.0, "times", "the same, over what their file rounds away", ("vocoder.*",)
)
MISTAKE_BEATS = Threshold(
    "vocoder.mistake-beats", 0.1, "times", "what a mistake leaves over, against the right vocoder", ("vocoder.*",)
)
MISTAKE_LEAVES = Threshold("vocoder.mistake-leaves", 0.5, "share", "what a mistake leaves over", ("vocoder.*",))
NOTHING_ALIKE = Threshold(
    "vocoder.nothing-alike", 0.9, "share", "left over of what may be another speech", ("vocoder.differs",)
)
STANDS_OUT = Threshold(
    "vocoder.stands-out",
    0.2,
    "share",
    "that a mistake explains where nothing else explains a tenth of that",
    ("vocoder.*",),
)
STANDS_ALONE = Threshold(
    "vocoder.stands-alone", 0.1, "times", "what anything else explains, against that mistake", ("vocoder.*",)
)
EXPLAINED_RESIDUAL = Threshold(
    "vocoder.explained",
    1e-6,
    "share",
    "what the right mistake leaves over, where their file rounds less",
    ("vocoder.*",),
)
FLOOR_TIMES = Threshold("vocoder.floor-times", 6.0, "times", "the same, over what their file rounds", ("vocoder.*",))
EXPLAINS = Threshold(
    "vocoder.explains",
    5e-4,
    "share",
    "what a mistake leaves over that is named: an engine in bf16 leaves 2.5e-4, one in f16 4e-6",
    ("vocoder.*",),
)
SECOND_TELLS = Threshold(
    "vocoder.second-tells", 0.3, "times", "what two mistakes leave over, against the better of one", ("vocoder.*",)
)
AS_GOOD = Threshold(
    "vocoder.as-good", 1.5, "times", "what another mistake leaves over that is named beside the best", ("vocoder.*",)
)
NEARER = Threshold(
    "vocoder.nearer",
    0.95,
    "times",
    "what one mistake leaves over against none, where a second is looked for",
    ("vocoder.*",),
)
WORTH_A_LOOK = Threshold(
    "vocoder.worth-a-look", 0.97, "times", "the same, on few frames, where more are looked at", ("vocoder.*",)
)
ALIGNED = Threshold(
    "vocoder.aligned", 0.5, "correlation", "of theirs with ours at a delay that is believed", ("vocoder.*",)
)
TELLING = Threshold(
    "vocoder.telling", 0.5, "times", "by which a place differs, over that which differs most", ("vocoder.*",)
)
CODED = Threshold(
    "audio.coded",
    2.0,
    "times",
    "what is left over of theirs, over what their codec leaves over of ours",
    ("audio.lossy",),
)
RESAMPLED_LEAVES = Threshold(
    "audio.resampled-leaves",
    0.01,
    "share",
    "of audio at another rate that ours leaves over: ffmpeg and SoX up to 6e-3, samples that come twice 8e-3",
    ("vocoder.*",),
)
LASTS_ALIKE = Threshold(
    "audio.lasts-alike",
    0.1,
    "times",
    "by which theirs is longer or shorter than ours at its header's rate",
    ("audio.rate",),
)
LIKE_CODED = Threshold(
    "audio.like-coded",
    0.68,
    "correlation",
    "of what is left over with what a codec leaves over: MP3, AAC, Opus and Vorbis 0.69 to 0.95, mistakes to 0.66",
    ("audio.lossy",),
)
SURELY_CODED = Threshold(
    "audio.surely-coded",
    0.78,
    "correlation",
    "the same, where no mistake is looked for: one reaches 0.71",
    ("audio.lossy",),
)
CODED_LEAVES = Threshold("audio.coded-leaves", 0.25, "share", "what a codec leaves over", ("audio.lossy",))
COPIED = Threshold(
    "audio.copied", 0.05, "share", "of theirs that ours leaves over where theirs is an edited copy", ("audio.*",)
)
REWRITTEN = Threshold(
    "audio.rewritten", 0.02, "share", "of theirs, read as something else, that ours leaves over", ("audio.rewritten",)
)
STEADY = Threshold(
    "audio.steady", 3.0, "times", "the power of what ours leaves over where it is loud over where not", ("audio.added",)
)
VARIED = Threshold("audio.varied", 30.0, "times", "the power of ours where it is loud over where not", ("audio.added",))
WHITE = Threshold("audio.white", 0.7, "flatness", "of the spectrum of what ours leaves over", ("audio.added",))
ONE_LINE = Threshold("audio.one-line", 0.9, "share", "of what ours leaves over that is one tone", ("audio.added",))
READ_SMOOTH = Threshold(
    "audio.read-smooth", 0.6, "deviations", "steps from sample to sample, read as something else", ("audio.rewritten",)
)
ALL_HELD = Threshold("audio.all-held", 0.999, "share", "samples that come so many times in a row", ("audio.rewritten",))
BREAKS_OFF = Threshold("audio.breaks-off", 0.1, "deviations", "the samples at both sides of nothing", ("audio.pieces",))
COARSE = Threshold("audio.coarse", 2e-4, "of full scale", "the least step from level to level", ("audio.few-levels",))
HUMS = Threshold("audio.hums", 0.5, "share", "of the energy in pauses that is one low tone", ("audio.added",))
HUM_HEARD = Threshold("audio.hum-heard", 1e-3, "share", "of the loudest energy that is in pauses", ("audio.added",))
ON_LEVELS = Threshold("audio.on-levels", 0.99, "share", "samples that are ours, rounded", ("audio.few-levels",))
ENVELOPE_LEAVES = Threshold(
    "audio.envelope-leaves", 0.02, "share", "that gains in pieces leave over", ("audio.envelope",)
)
CHANGE_BEATS = Threshold(
    "audio.change-beats", 0.2, "times", "what gains in pieces leave over, against one gain", ("audio.envelope",)
)
ENVELOPE_TYPICAL = Threshold(
    "audio.envelope-typical", 0.01, "share", "the same, of half of all pieces", ("audio.envelope",)
)
GAINS_APART = Threshold(
    "audio.gains-apart", 1.1, "times", "the loudest part's gain over the softest's", ("audio.gain",)
)
ENVELOPE_VARIES = Threshold("audio.envelope-varies", 0.1, "deviations", "of gains in pieces", ("audio.envelope",))
GAINS_COME_BACK = Threshold(
    "audio.gains-come-back", 0.8, "correlation", "of gains with those at a distance, lower nearer", ("audio.envelope",)
)
TILTED = Threshold(
    "audio.tilted", 0.5, "dB", "by which a filter's highs stand out beside its lows", ("audio.filtered",)
)
COMES_AGAIN = Threshold("audio.comes-again", 200.0, "samples", "that come twice (speech: none)", ("audio.pieces",))
SPIKE = Threshold("audio.spike", 20.0, "times", "one sample's step over those around it (speech: 4)", ("audio.clicks",))
WINDOWED = Threshold(
    "audio.windowed",
    0.1,
    "times",
    "the sound where it is softest at regular distances, over what is around (speech: 0.16)",
    ("audio.envelope",),
)
ENDS_LOUD = Threshold(
    "audio.ends-loud", 0.2, "deviations", "how loud the last 5 ms are beside all", ("audio.breaks-off",)
)
DIES_AWAY = Threshold(
    "audio.dies-away",
    0.05,
    "deviations",
    "the same of the model's voice, where it is no measure",
    ("audio.breaks-off",),
)
FLOOR_FLAT = Threshold("audio.floor-flat", 0.95, "flatness", "of what is heard all the time", ("audio.added",))
FLOOR_SHARE = Threshold(
    "audio.floor-share",
    3e-3,
    "share",
    "of all energy that is heard all the time (noise 10 dB below: 0.01)",
    ("audio.added",),
)
OTHER_COLOUR = Threshold(
    "audio.other-colour",
    12.0,
    "dB",
    "by which highs beside lows are not the voices' (another text of one: up to 11)",
    ("audio.filtered",),
)
BACKWARDS = Threshold(
    "audio.backwards", -0.25, "skewness", "of how loudness changes (speech: -0.1 to 0.9)", ("audio.pieces",)
)
SLIPPED_BY = Threshold(
    "audio.slipped-by", 0.5, "nats", "by which steps are smaller there with the bytes put back", ("audio.rewritten",)
)
COMES_LATER = Threshold(
    "audio.comes-later", 0.2, "cepstrum", "at one lag (an echo of 0.7: 0.7), over lags beside it", ("audio.filtered",)
)
WRAPS = Threshold("audio.wraps", 2.5, "steps", "from one limit to the other (speech: none)", ("audio.wrapped",))
HALF_STEPS = Threshold(
    "audio.half-steps", 1.15, "times", "the step between two channels, over that in each", ("audio.rewritten",)
)
QUIET_AROUND = Threshold(
    "audio.quiet-around", 0.02, "times", "the loudest sample before and after ours", ("audio.silence-around",)
)
SOFTER = Threshold("audio.softer", 0.9, "times", "a sample's size in a fade, over ours", ("audio.faded",))
CUT_LOUD = Threshold(
    "audio.cut-loud",
    0.25,
    "deviations",
    "of what is beside a cut between two parts of a speech, over the whole's",
    ("audio.seams", "audio.parts"),
)
LOST_LOUD = Threshold(
    "audio.lost-loud",
    0.12,
    "deviations",
    "of what is cut from the ends, over the whole's: lead-in and the silence at the end up to 0.09",
    ("audio.length",),
)
LOST_ENDS = Threshold("audio.lost-ends", 1500.0, "samples", "cut from both ends", ("audio.length",))
PIECE_ALIKE = Threshold("audio.piece-alike", 0.985, "correlation", "of a piece of theirs with ours", ("audio.pieces",))
PIECE_LEFT = Threshold(
    "audio.piece-left", 2e-3, "share", "of a piece that ours leaves over, the median of all", ("audio.pieces",)
)
LOUDER = Threshold("audio.louder", 1.03, "times", "their loudness over ours", ("audio.gain",))
QUIETER = Threshold("audio.quieter", 0.97, "times", "their loudness over ours", ("audio.gain",))
INSIDE = Threshold("audio.inside", 0.995, "share", "of their samples inside the limits", ("audio.clipped",))
LOUD_END = Threshold(
    "vocoder.loud-end", 0.01, "times", "the loudest sample after the codes' end, over before", ("vocoder.end-frame",)
)
PIECES_LEAVE = Threshold("audio.pieces-leave", 0.05, "share", "what decoding in pieces leaves over", ("audio.seams",))

# --- dumps ------------------------------------------------------------------------------------------------------------

MODULE_DIFFERS = Threshold(
    "dump.module",
    1e-2,
    "share",
    "of a module's energy that differs: other types are below, other computations above",
    ("dump.deviates",),
)
MODULE_DIFFERS_IN_F32 = Threshold(
    "dump.module-f32", 1e-5, "share", "the same, where dump and weights are float32", ("dump.deviates",)
)
MODULE_ROUNDED = Threshold(
    "dump.rounded", 1e-9, "share", "the same, that another order of sums explains", ("vocoder.*",)
)
DUMP_MISTAKE_BEATS = Threshold(
    "dump.mistake-beats", 0.1, "times", "what a mistake leaves over of a module, against the right one", ("vocoder.*",)
)

MEL_HOP = 160  # samples from a frame of features to the next
WHISPER_FRAMES = 3000  # of Whisper's own 30 s
EARS_CANCELLED = Threshold(
    "ears.cancelled", 0.05, "share", "of the loudest channel that the mean of all has left", ("ears.channels",)
)
EARS_ONE_CHANNEL = Threshold(
    "ears.one-channel", 0.01, "share", "of the loudest channel that the quietest has", ("ears.one-channel",)
)
EARS_MISTAKE_BEATS = Threshold(
    "ears.mistake-beats",
    0.3,
    "times",
    "what a mistake leaves over of the rows, against none: of two tables of float16 some values are rounded apart",
    ("ears.*",),
)
EARS_MEL = Threshold(
    "ears.mel",
    1e-4,
    "share",
    "of the features' energy that differs: one path of the reference leaves 1e-9",
    ("ears.mel-*",),
)

TOLD_APART = Threshold(
    "question.told-apart", 1e-2, "share", "of a module's energy by which two causes' predictions differ", ("vocoder.*",)
)

TABLE = {bound.name: bound for bound in tuple(globals().values()) if isinstance(bound, Threshold)}
"""Every bound by its name."""

# --- how much is looked at: no bounds, so they have no margin ---------------------------------------------------------

ASKED_FRAMES = 4
"""Frames of a dump that is asked for."""
ASKED_CAUSES = 6
MOST_ASKED_FRAMES = 500
HALF = 0.5
LEAST_VALUES = 64
"""Values below which a tensor says nothing by its grid, rows or spectrum."""
LEAST_ROWS = 4
LEAST_LEARNT = 8
"""Values of a norm or scale, below which all may be equal by luck."""
LEAST_POWER = 1e-20
"""Below which a sum of squares is computed again, more exactly."""
COMPARED_BYTES = 65536
"""Of each tensor, where copies are looked for."""
LEAST_ZERO_BIASES = 3
"""So many biases at once may be zeros by right."""
LEAST_SIBLINGS = 3
LEAST_MATRICES = 8
LARGEST_KERNEL = 16
"""A third axis no longer than this is a kernel's."""
NAMED_ERRORS = 20
"""Tensors whose errors a finding lists."""

LEAST_FRAMES = 8
"""Of codes, below which their variety says nothing."""
LEAST_DIFFERENT = 8
LEAST_DIFFERENT_EQUAL = 4
LONGEST_CYCLE = 16
CYCLES = 4
"""So many of a cycle must fit."""
JUDGED_FRAMES = 24
"""That the model judges: hundreds of codes, of which each says much."""
FIRST_ARRANGEMENTS, GLANCED_FRAMES = 16, 8
"""Of all arrangements those whose first frame is likeliest, so many, are looked at on a few frames; the likeliest of
these are judged."""
MOVED_FRAMES = 128
"""That are put in another order."""
TENSORS_AT_ONCE = 4
"""That are read and looked at, which bounds memory."""
ARRANGED_AGAIN = 6
LEAST_LATE = 16
"""Codes behind the frames that fit."""
PROFILE_FRAMES = 160
"""Over which frames and groups are told apart that fit."""
MOST_FRAMES_MORE = 120
"""That a speech is said on which may have ended early."""
OWN_LENGTHS = 3
"""Times as many frames as codes have, after which a model that still speaks doesn't end."""
NAMED_PIECES = 4
LONGEST_LOST, RESUMED, MOST_JOINTS, SPLICES_TRIED = 16, 4, 64, 6
"""Frames that the model puts between pieces at most, frames that must fit behind these, and pieces and beginnings of
each that are tried."""
TALKER_FRAMES = 48
SPEAKER_FRAMES, FIRST_FRAMES, FEWEST_FRAMES = 24, 4, 8
"""Of a trial of a talker, taken for what it costs; of its first look; and of its second, at the least."""
FIRST_NATS, TELLING_NATS = 10.0, 30.0
"""By which codes are less likely than expected up to the last frame of a trial's first look, and of its second."""
TELLING_FRAMES = 6
"""Of these, in which the predictor is run."""
CLEAR_NATS = 100.0
"""By which a mistake makes codes likelier, so that none is looked for in another place."""
SPEAKERS_AGAIN, BASES, FAINT_AGAIN = 8, 2, 40
"""Of the trials that came nearest: how many are looked at once more, how many of those that don't explain, and of those
that hardly came nearer."""
WORDS_SECONDS, SILENT_SECONDS = 1.0, 1.2
"""Between two words about trials; and how long none may come at all."""
SLIP_PRODUCTS, MOST_SLIPS, MOST_MARKS, LEAST_FITTING, FRAMES_A_TOKEN = 3e7, 6, 60, 2, 6
"""Of a reading of the codes, roughly, up to which marks of the text are tried; of these at most that are put right, and
that are tried for each; of texts of which so many frames fit at first, and so many frames a token at most."""
SPEAKER_BUDGET = 1.2e11
"""Products of a search for mistakes there, roughly."""
STRIDES = (1024, 2048, 4096)
"""Of published codebooks, tried beside the model's own."""
STRIDE_FACTORS = (1.0, 2.0, 0.5, 4.0)

VOICE_FRAMES = 60
"""That the model speaks, to know its voice."""
NOISE_WINDOW = 1024
SAME_WINDOW, AUDIBLE_MEAN, GOES_ROUND = 48, 5e-3, 0.99
"""Samples that are compared with all others, how loud these are on average, and the share at which all comes again."""
SPIKE_WINDOW, SPIKE_SIZE = 48, 0.05
FLOOR_RATE, FLOOR_BAND = 50, 8
"""Windows a second, and bins of a band, in which what is heard all the time is looked for."""
ENVELOPE_RATE, AROUND = 1000, 31
"""Blocks a second in which loudness is taken, and blocks around one that it is compared with."""
HEARD, DIP, SHORTEST_PERIOD, LONGEST_PERIOD, FEWEST_PERIODS, PERIODS_TRIED, HEARD_PERIODS = (
    0.1,
    0.3,
    20,
    420,
    6,
    12,
    0.3,
)
ONSET_RATE, ONSET_BLOCKS, ENOUGH_ONSETS, ONSET_FLOOR = 2000, 40, 600, 3e-3
ALIKE_STEPS = 1.2
STATIC, LEAST_STATIC = 1.25, 0.2
"""Deviations of steps from sample to sample (white noise: 1.4), and seconds of it."""
SMALL_STEP = 0.4
EARLIEST_ECHO, LATEST_ECHO, BESIDE_ECHO, OWN_ECHO = 500, 5, 6, 0.12
"""Parts of a second after which an echo may come, lags that are compared with it, and what the voice has itself."""
CLICK_WINDOW = 256
LEAST_CLICK_WINDOWS = 8
LEAST_CLICKS = 3
LEAST_CLICK_GAP = 4
"""Windows."""

ALIVE_FRAMES = 12
OVERFLOW_FRAMES = 6
TRIAL_FRAMES = 16
MOST_FRAMES = 400
BUDGET = 3e10
"""Products a run of the mirror, about a second."""
MOST_OTHERS = 2
"""Explanations that are named beside the best."""
NEXT_TO_NOTHING = 1e-3
"""Of what was left over before: no two mistakes of a vocoder in different modules make so much the same."""
LOSSY = ("ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "VOX_ADPCM", "GSM610", "VORBIS", "OPUS", "MPEG_LAYER_III")
"""Types of sound files that change what is heard least."""
LOSSY_SHARE = 0.02
CONTAINERS = {"VORBIS": "OGG", "OPUS": "OGG", "MPEG_LAYER_III": "MP3"}
MOST_UNHEARD, UNHEARD_BEATS = 12, 0.95
"""Frames of a last part that a codec's noise may hide, and what it leaves over of these, of what a part that goes on
does."""
FEWEST_OF_A_PART, MOST_PARTS, FRAMES_OF_A_BEGINNING, SEEMS_TO_GO_ON = 4, 200, 6, 16
"""Frames of a part that is decoded alone, and such parts; frames by which its beginning is found, and for which the one
before seems to go on."""
STEP, FEWEST_OF_A_STEP, IN_STEPS = 0.003, 4, 0.8
"""By how much a piece's gain differs from the one's before where another loudness begins; loud pieces that have one
loudness, and the share of all that must."""
FRAMES_OF_A_FILTER = (24, 12, 6)
"""Of the first part, by which the filter is told that all went through."""
WRONG_IN_A_ROW, ENDS_TRIED = 4, 60
"""Loud pieces behind which a part has ended, and frames that are tried for its end."""
GOES_ON_LEAVES = 0.5
"""Times what a part leaves over that goes on, where another begins."""
HELD_PIECES, HELD_GAIN, OTHER_GAIN, CHANGED_WITHIN, HELD_CHANGES = 4, 2e-3, 0.01, 2, 2
"""Pieces in a row whose gains differ by no more than that share, by how much others do, which begin so many pieces
behind the last, and how often."""
IS_ANOTHER, ALL_BUT = 0.3, 0.02
"""Correlation of gains with those a little later, below which they are others; and what gains that hardly vary may
leave over of what one gain leaves."""
FALLS, LIMITER_REACH, PEAK, DIGITS_LEFT = 0.5, (2, 1), 3.0, 4
"""Spearman's r, negative, of gains with how loud ours is, of a limiter; pieces behind and before what is loud that it
makes softer; deviations of speech's peaks; and digits of what is left over that are compared."""
TRIMMED, HEARD_ELSEWHERE = 24000, 8
"""Samples that may be cut from the first part's beginning and the last one's end; loud pieces that may be beside parts,
two frames' whose owner is doubtful."""
LONGEST_SPAN = 600
"""Frames of a span that are judged."""
LONGEST_PAUSE, BESIDE_A_CUT, SOMETHING_ELSE = 72000, 240, 0.5
"""Samples between two parts, and beside a cut that are looked at; the share of its energy by which a piece differs."""
CURVE, AT_THE_LIMIT, MANY_AT_THE_LIMIT = 256, 0.995, 0.002
"""Points of a curve; what of the loudest sample is at a limit, and the share of samples that are where there is one."""
FULL_GAIN, LIKE_FULL, FAINT = 0.8, 0.96, 0.6
"""Of the gains of all pieces the one without a fade; over it what isn't faded has at least, and the softest at most."""
HIGH_PASSES = (4.0, 400.0, 60)
"""In Hz, from and to where filters against a constant begin, and how many are tried."""
LOWEST_OF_VOICE = 150.0
"""In Hz; a filter that takes nothing above it is no fault."""
LEFT_ALONE = (1000.0, 8000.0)
"""Tones in Hz that neither these nor resamplers change."""
RESAMPLED_BAND = 0.8
"""Of what a rate has room for, the lowest tones, which every resampler lets pass."""
CODEC_DELAY, CODEC_JITTER = 2000, 24
"""Samples by which a codec may be late, and by which it may seem to be now and then."""
CODED_LEVELS = (0.2, 0.8, 0.95, 1.0)
"""Of compression, from none to all that libsndfile's codecs can."""
LOW_BARKS = (0, 100, 200, 300, 400, 510, 630, 770, 920, 1080)
HIGH_BARKS = (1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400, 7700, 9500)
"""Where critical bands begin, in Hz (Zwicker, 1961)."""
HEARD_SHARE, FEWEST_CODED, MOST_CODED = 1e-7, 100, 72_000
"""Of the loudest band, pieces in bands that are compared at least, and samples at most."""
SOUND_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
GLIMPSES_A_FRAME, GLIMPSE = 5, 240
"""A search's first trials take so much of a frame, and so many samples at least."""
GLANCES_BACK, GLANCE_TELLS, MIXED, GLANCE_SURE = (9, 18, 36), 0.8, 0.3, 0.1
"""Of what a stage sees before, what a glance looks at, the first of which what is seen has that cosine with what is
changed; how much of a channel is added to the next to tell that; and the share of what is changed that must be more
than loudness and a constant: of 6,569 changes of which it was, 98 in 100 were seen with a cosine of more than 0.57."""
LOOKS, FRAMES_BEFORE = 5, 8
"""Places of that size, all but the first for what no mistake explains there; and frames before it."""
NOISE_TRIED, ALL_CHANGED, LEAST_SHARE = 1e-4, 0.3, 1e-12
"""Shares of energy: of noise that shows what a stage's changes do, from which on all changes are alike, and none."""
NEAR_DECADES, NEAR_SECONDS = 2.0, 2.25
"""Orders of magnitude off which none is tried where little differs; nor as a second."""
SURELY_FIRST_ORDER, HARDLY_NEARER = 0.01, 0.01
"""Shares of energy that a change makes, below which first order tells which way in all cases; and of what theirs
differs by, that a change takes away which isn't tried: of 84 that were not to be, none took more than 0.012."""
TOO_SMALL, TOO_LARGE, LEAST_CHANGE, HARDLY_CUT = 1e-4, 300.0, 1e-7, 0.95
"""Shares of what theirs differs by: below which a change isn't seen, from which on it is none of what made it; of all
the samples' energy, below which it is none to first order; and of theirs that lies within the limits, below which
nothing is too large."""
DOMINATES = 0.05
"""What one mistake leaves over, against none, so that a second is looked for at once."""
SUMS, GOES_WITH_THEIRS = 64, 0.7
"""Of the samples, which stand for these to first order; the cosine from which on a mistake is tried before others."""
MOST_STAGES, WEIGHED_AT_ONCE, MOST_SUM = 6, 16, 1e12
"""Stages of changes whose sums are computed without a trial, of how many together, and what no sum comes to."""
TRIED_TOGETHER, GLANCED_TOGETHER, MISREAD_TOGETHER = 16, 24, 100_000_000
"""Mistakes, so that products of matrices are large, what was tried for nothing takes no longer than is worth it, and
the values of weights that they misread need not much memory."""
AT_FIRST, GLANCED_BEFORE, HEARD_CLOSE, NEAREST = (1, 16, 48), 192, 0.25, 100
"""Mistakes that are taken together at first and later, of which the first are tried without a glance; how loud what a
mistake makes is beside what is right, and that beside it, so that a glance tells; and of how many that come nearest one
must be among at a glance to be tried (of 16 pairs in the voice none that was found comes behind the 60th)."""


@dataclass(frozen=True)
class MistakeOdds:
    """Nats for and against a mistake of the vocoder: of one module among several alike; for each order of magnitude
    that its size is off what theirs differs by, of such and of others, or where that isn't known; where it isn't known
    which way it goes; for the cosine of that with what theirs differs by, which tells less of a `large` change; and for
    the cosine whatever its sign."""

    of_one: float = -2.5
    off_of_one: float = -3.1
    off: float = -2.0
    size_unknown: float = -0.9
    way_unknown: float = 3.0
    goes: float = 3.5
    large: float = 0.3
    alike: float = 9.3

    def nats(self, of_one: bool, off: float, way: tuple[float, float] | None) -> float:
        """But for a constant. `off`: NaN where its size isn't known; `way`: the cosine, and the share of the samples'
        energy that it changes to first order."""
        own = self.off_of_one if of_one else self.off
        nats = (self.of_one if of_one else 0.0) + (self.size_unknown if math.isnan(off) else own * off)
        if way is None:
            return nats + self.way_unknown
        goes, size = way
        return nats + self.goes * goes / (1 + self.large * size) + self.alike * abs(goes)


MISTAKE_ODDS = MistakeOdds()
"""A conditional logit of 91 drawn mistakes, each among the 3,000 to 4,400 that might have been it (with what four
fifths of them tell of the others, 79 come among the first thousand; in the order of sizes alone 60), which had -1.2 of
one module and 2.2 of an unknown way. More against the one and for the other costs one of the 91, and keeps 52 of the 54
of all modules alike among the first thousand, not 49: ports err in all alike more often than draws do."""
TRIED_BEHIND = 50
"""Mistakes that are tried behind one that leaves next to nothing, in the order of what is likeliest."""
LIKELY_PAIRS, PAIRS_AT_ONCE, PAIR_LEAVES = 100, 512, 0.5
"""Of mistakes that are tried, rows looked at together, and the share that they may leave over, to first order."""
SMALL_FILE = 256 << 20
"""Bytes of a model up to which products of its matrices are computed in one thread."""
SEEN_SAMPLES = 100
"""That a residual unit computes for that, roughly."""
MOST_TRIAL_FRAMES = 40
MOST_FRAMES_AHEAD, TOLD_BY_FEW = 200, 0.1
"""Of trials whose first frames hang on all that follow; what few frames leave over beside all, so that they tell."""
FEWEST_TRIALS, MOST_AT_ONCE = 120, 8
SEARCH_BUDGET = 3.5e12
"""Products of a search for mistakes, roughly."""
LIKELY_SECONDS, FEWER_SECONDS, BEST_SINGLES, SAME_RESIDUAL, MUCH_NEARER = 7, 10, 2, 1e-3, 0.8
"""One of so many seconds is tried, or fewer, with so many of the best singles, which make the same where they leave as
much; all with the best, where it leaves no more than that of what none leaves."""
SLIGHTLY, LEAST_NUMBER = 1.02, 1e-3
"""Times the right number, and the least, by which another is begun to be looked for."""
USUAL_FACTORS = 0.3, 3.0
"""Of tensors, which are tried last where they were looked for as numbers."""
SLIGHT_FACTORS, HARDLY_GOES = (0.4, 1.5), 0.05
"""Those that are not tried where less than that share goes with a slight one: it was 0.1 and more in 633 of 633 that
change anything."""
GOES_WITH_MOST, GOES_WITH, NUMBERS_LOOKED_AT, NUMBERS_TRIED = 0.7, 0.25, 12, 3
"""Of what is left over, with another number, so that it is tried before all else, or at last; of how many everywhere;
and how many are tried."""
NUMBER_STEPS, NUMBER_CUTS, MOST_DIGITS, AS_ROUND = (0.1, 0.3, 0.7, 1.2, 2.3, 4.6, 7.0, 9.5), 14, 5, 1.1
"""Of its natural logarithm, to both sides; cuts between them; digits that are said, and what fewer may leave over."""
LOOKED_AT, FEWER, LOOKED_AT_AGAIN, KNOWN_LOOKED_AT_AGAIN = 12, 3, 12, 5
LEAST_COMMON, A_BIT, BITS = 2000, 6000, 4
"""Samples from which on two signals are compared, and up to which theirs is a mere bit of a speech so many times as
long, at least."""
AS_LONG = 2.1
"""Times that one of two signals may be longer which are compared from their beginning on."""
# The shape of what is left over, in frames, and in shares of a usual frame's.
FEWEST_SHAPED, FEWEST_BEFORE, SHORTEST_SEAM, FEWEST_SEAMS = 8, 2, 3, 4
LEFT_BY_ROUNDING = 1e-5
"""The share that sound files of 16 bits and float32 arithmetic leave over at most."""
MANY_UNTOUCHED, MOST_RUNS = 0.3, 6
UNTOUCHED, AT_ONCE, GROWS, COMES_BACK, AS_LOUD = 0.01, 0.1, 4.0, 4.0, 0.25
PAUSE_SHARE, IN_BAND, OURS_IN_BAND = 1e-2, 0.9, 0.5
FEW_LEVELS, HALF_A_STEP, FEWEST_PIECES = 64, 0.51, 8
STEADY_PARTS, MIDDLING = (0.1, 0.9), (0.5, 0.8)
"""Quantiles: of softer and louder pieces, and of samples that neither limits nor rounding touch."""
FITTED_AGAIN, FAR_OFF, MOST_WRONG, MOST_GAPS = 3, 8.0, 0.6, 8
CLICK_LENGTH, CLOSE_TOGETHER, LAST_SAMPLES = 8, 240, 120
LOUD_PIECE, LEAST_GAP, SHORT_GAP, BESIDE, CANCELS = 0.1, 480, 48, 24, 0.1
FINE_TYPES = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
TAPS, TAPS_AHEAD, SAMPLES_A_TAP, LONGEST_ECHO = 480, 32, 8, 4800
STIFFNESS, WHITENED = 1e-9, 1e-3
BANDS, HUM_BAND = ((150.0, 1000.0), (5000.0, 10000.0)), (40.0, 70.0)
"""In Hz: lows and highs, and where mains hum."""
HUM_FRAMES = 10
"""A second, in which a hum is looked for."""
HELD = {4: ("filtered",), 3: ("filtered",), 2: ("channels", "filtered")}
"""Times that each sample may come, and what that may be."""
WIDE_LINE = 4
FADE = 960
"""Samples at either end in which a fade is allowed for."""
AUDIBLE, NOTHING = 1e-3, 1e-4
PIECE = 480
PIECES_ASKED = 12
"""Pieces that are looked for before all are."""
"""Samples that are looked for at once."""
LEAST_INSIDE = 30
MOST_EXTRA_FRAMES = 8
MOST_PIECES, LIKELY_PIECES = 24, 3
CONTEXTS = (0, 25, 10, 4, 2, 5, 8, 20, 16, 12, 1, 50)
USUAL_PIECES = frozenset(
    (
        1,
        2,
        4,
        5,
        8,
        10,
        12,
        15,
        16,
        20,
        24,
        25,
        30,
        32,
        40,
        48,
        50,
        60,
        64,
        75,
        80,
        96,
        100,
        128,
        150,
        200,
        250,
        256,
        300,
    )
)
