"""Whether a finding names a cause.

What a finding says for machines: `Finding.cause`, a mapping, or a sequence of mappings where one finding names several:

    {"kind": "permuted", "where": "code2wav.decoder.1.block.1"}

`kind` is a key of `KINDS`. `where` is a module's path as in the checkpoint, with or without `.conv` and the tensor's
name at its end, `*` for digits where all modules of a class are meant: "code2wav.decoder.*.block.*.conv1". For codes,
audio and files as a whole it is "codes", "audio", "file". A cause counts as named when the kind is the planted one, or
one that `SAME` says can't be told from it, and the place is one of those that the mistake accepts: the module, its
tensor, either of two that were exchanged, or the module that holds both.

A finding without `cause` is graded by its words: a word of the kind, and the place by path or by its name in English.
That is generous where a sentence is long, so that numbers before and after the interface exists don't compare exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .mistake import Mistake

# Kind: what it means, and the words by which a sentence says it.
KINDS: dict[str, tuple[str, str]] = {
    "permuted": (
        "axes, kernel, rows, packing in another order",
        r"permut|revers|transpos|backward|order|pack",
    ),
    "swapped": ("two modules or tensors in each other's place", r"swap|exchang|place of|for each other|stands in"),
    "copied": ("one tensor where another belongs", r"copied|cop(y|ies)|same values|in place of|another's|stands in"),
    "missing": ("a module, tensor, bias or layer left out", r"missing|left out|without|no |zero|ignored|dropped"),
    "scaled": ("a tensor multiplied by a factor", r"scale|factor|times|multipl|gain|loud"),
    "constant": ("epsilon, theta, window, dilation, rate, scale of scores", r"eps|theta|rotary base|window|dilat|rate"),
    "formula": ("another formula: norm, Snake, gate", r"formula|norm|snake|alpha|beta|expon|subtract|gate"),
    "activation": ("another activation", r"gelu|silu|relu|tanh|activation"),
    "padding": ("convolution padded elsewhere or otherwise", r"pad"),
    "trim": ("transposed convolution trimmed on other sides", r"trim"),
    "residual": ("a residual missing or taken elsewhere", r"residual|skip|branch"),
    "mask": ("attention sees what it should not, or not what it should", r"mask|causal|attention sees|window"),
    "positions": ("rotary positions: form, origin, sides", r"position|rotat|rope|pairs"),
    "heads": ("heads grouped or joined otherwise", r"head"),
    "order": ("modules, pieces, frames or groups in another order", r"order|before|after|backward|exchang|place"),
    "state": ("state or context lost between pieces or steps", r"piece|chunk|seam|state|context|cache"),
    "lookup": ("code table addressed otherwise", r"offset|group|codebook|lookup|row|codes are|first|one too"),
    "reduction": ("sum or mean over groups", r"sum|mean"),
    "limit": ("samples limited otherwise", r"clamp|clip|tanh|limit|normalis|gain|loud"),
    "router": ("experts chosen, weighted or counted otherwise", r"expert|rout|normalis"),
    "hidden": ("the predictor's or talker's state taken elsewhere", r"hidden|state|before the norm|norm"),
    "feedback": ("what is fed back to the talker", r"fed back|feedback"),
    "text": ("text early, late, missing, another", r"text"),
    "sampling": ("temperature, penalty, suppression", r"sampl|temperature|penalt|greedy|suppress|stuck|cycle|likely"),
    "end": ("codec eos not heeded, passed on, or drawn too early", r"eos|end|stop|too short|too long|length"),
    "speaker": ("another speaker", r"speaker"),
    "delay": ("groups delayed against each other", r"delay|shift|frame"),
    "mixed": (
        "codes or samples of another speech",
        r"another|other|not made|do not belong|unlikely",
    ),
    "ids": ("ids shifted or out of range", r"id|range|off|one too|negative|offset"),
    "cut": ("something is lost from the middle or an end", r"cut|lost|missing|length|short|seam"),
    "doubled": ("something comes twice", r"doubl|twice|repeat|length|long|overlap"),
    "gap": ("silence where sound belongs", r"gap|silen|pause|zero|length"),
    "clicks": ("clicks at seams", r"click|jump|seam"),
    "header": ("a header read as samples", r"header"),
    "bytes": ("bytes of one type, order or place read as another", r"byte|bits|type|int16|float|read as|mu-law|wrap"),
    "clipped": ("clipped or wrapped", r"clip|wrap|limit|loud"),
    "rate": ("rate of header or samples", r"rate|hz|header says|speed|slow|fast"),
    "filtered": ("filtered, held, echoed", r"filter|spectr|echo|negat|emphasis|frequenc|sampl"),
    "noise": ("noise added", r"noise|hum|precision|bits"),
    "gain": ("gain that changes over time", r"gain|loud|normalis|window|scale"),
    "sign": ("sign turned", r"sign|negat|polarity"),
    "channels": ("channels laid out otherwise", r"channel|mono|stereo|interleav"),
    "silent": ("nothing is heard", r"silen|zero"),
    "format": ("quantization, type or metadata of the file", r"type|quantiz|metadata|precision|bits|key"),
}

# Kinds that the same evidence can't tell apart: a factor on a mean is a factor on a table; a module left out is its
# weight at zero; a neighbour's tensor is half of an exchange.
SAME: tuple[frozenset[str], ...] = tuple(
    map(
        frozenset,
        (
            {"reduction", "scaled"},
            {"missing", "scaled"},
            {"copied", "swapped"},
            {"formula", "activation"},
            {"positions", "mask"},
            {"cut", "order"},
            {"doubled", "order"},
            {"ids", "lookup"},
            {"order", "lookup"},
            {"mask", "constant"},
            {"gap", "silent"},
            {"text", "mixed"},
            {"residual", "missing"},
            {"order", "permuted"},
        ),
    )
)

# What a part of a path is called in sentences.
PLACES: tuple[tuple[str, str], ...] = (
    (r"self_attn$|self_attn\.[qkvo]_|layers\.[*\d]+$", r"attention|quer(y|ies)|keys?\b|rotat|window"),
    (r"mlp", r"mlp|feed|silu|expert"),
    (r"layer_scale", r"layer scale"),
    (r"norm", r"norm"),
    (r"code_embedding|^code2wav$", r"code|group|embedding|vocoder|pieces|samples"),
    (r"gamma", r"gamma"),
    (r"upsample\.[*\d]+\.1", r"convnext|gelu"),
    (r"alpha|beta|act[12]|decoder\.[*\d]+$|block\.0", r"snake"),
    (r"bias", r"bias"),
    (r"dilation|conv1", r"dilat|residual unit|convolutions"),
    (r"block\.1|upsample\.[*\d]+\.0|decoder$", r"transposed convolution|trim|rates?"),
    (r"conv", r"convolution"),
    (r"codes|audio|file", r""),
    (r"talker|code_predictor", r"talker|predictor"),
)


def among(findings: Sequence[Any], mistake: Mistake, first: int) -> bool:
    """Whether one of the first findings names the mistake."""
    return any(names(finding, mistake) for finding in findings[:first])


def names(finding: Any, mistake: Mistake) -> bool:
    """Whether the finding names the mistake, by its `cause` or by its words."""
    causes = getattr(finding, "cause", None)
    if causes:
        return any(_is(cause, mistake) for cause in ([causes] if isinstance(causes, Mapping) else causes))
    return _says(finding, mistake)


def _is(cause: Mapping[str, Any], mistake: Mistake) -> bool:
    return _alike(str(cause["kind"]), mistake.kind) and _placed(str(cause["where"]), mistake.where)


def _alike(one: str, other: str) -> bool:
    return one == other or any({one, other} <= group for group in SAME)


def _placed(said: str, accepted: Iterable[str]) -> bool:
    return any(_plain(said) == _plain(place) for place in accepted)


def _plain(path: str) -> str:
    return re.sub(r"\.(conv|weight|bias|scale|alpha|beta|gamma)(?=$|\.weight|\.bias)|\.(weight|bias)$", "", path)


def _says(finding: Any, mistake: Mistake) -> bool:
    said = " ".join([finding.id, finding.sentence, finding.kind.meaning, finding.kind.remedy]).lower()
    kinds = [kind for kind in KINDS if _alike(kind, mistake.kind)]
    if not any(re.search(KINDS[kind][1], said) for kind in kinds):
        return False
    if any(_placed(tensor, mistake.where) for tensor in finding.tensors):
        return True
    words = [word for pattern, word in PLACES for place in mistake.where if re.search(pattern, place)]
    return any(re.search(word, said) for word in words)
