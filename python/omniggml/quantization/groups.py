"""Groups of layers that are given a type together, as a table over our names."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Group:
    """`side`: what the group's errors show in, "codes" or "audio". The first pattern of the first group that fits a
    tensor decides."""

    name: str
    side: str
    patterns: tuple[str, ...]


GROUPS = (
    Group("text table", "codes", ("thinker.model.embed_tokens.weight",)),
    Group("projections", "codes", ("talker.text_projection.*", "talker.hidden_projection.*")),
    Group("talker codec embedding", "codes", ("talker.model.codec_embedding.weight",)),
    Group("talker codec head", "codes", ("talker.codec_head.weight",)),
    Group("talker gates", "codes", ("talker.*.mlp.gate.weight", "talker.*.mlp.shared_expert_gate.weight")),
    Group("talker attention", "codes", ("talker.model.layers.*.self_attn.*",)),
    Group("talker experts", "codes", ("talker.model.layers.*.mlp.experts.*",)),
    Group("talker shared expert", "codes", ("talker.model.layers.*.mlp.shared_expert.*",)),
    Group("predictor embeddings", "codes", ("talker.code_predictor.model.codec_embedding.*",)),
    Group("predictor attention", "codes", ("talker.code_predictor.model.layers.*.self_attn.*",)),
    Group("predictor feed-forward", "codes", ("talker.code_predictor.model.layers.*.mlp.*",)),
    Group("predictor heads", "codes", ("talker.code_predictor.lm_head.*",)),
    Group("code_embedding", "audio", ("code2wav.code_embedding.weight",)),
    Group("code2wav attention", "audio", ("code2wav.pre_transformer.layers.*.self_attn.*",)),
    Group("code2wav feed-forward", "audio", ("code2wav.pre_transformer.layers.*.mlp.*",)),
    Group("ConvNeXt", "audio", ("code2wav.upsample.*.1.*",)),
    Group("upsampling convolutions", "audio", ("code2wav.upsample.*.0.conv.weight",)),
    Group("decoder's first convolution", "audio", ("code2wav.decoder.0.*",)),
    Group("decoder's transposed convolutions", "audio", ("code2wav.decoder.*.block.1.conv.weight",)),
    Group("decoder's other convolutions", "audio", ("code2wav.decoder.*.weight",)),
)


def group_of(name: str) -> Group | None:
    """The group of a tensor of ours, None for one that no policy changes on purpose."""
    return next((g for g in GROUPS if any(fnmatchcase(name, pattern) for pattern in g.patterns)), None)
