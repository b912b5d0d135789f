"""Every way to err in porting talker and code predictor: what tensors allow, and every other value of every choice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import arithmetic
from . import port_talker as port
from .grammar import Grammar
from .mistake import Mistake
from .port_talker import C, T, TalkerPort
from .tensor_mistakes import every, tensor_mistakes

Values = list[tuple[Any, str]]


def talker_grammar(talker: TalkerPort) -> Grammar:
    """All single mistakes of one talker and its predictor. What a text never reaches has none."""
    used = {name: w for name, w in talker.weights.items() if ".hidden_projection." not in name}
    heads = {
        f"{path}.model.layers.*.self_attn.{name}_proj.weight": talker.metadata[f"{part}.{count}"]
        for path, part in ((T, T), (C, "code_predictor"))
        for name, count in zip("qkv", ("num_attention_heads", *2 * ("num_key_value_heads",)), strict=True)
    }
    return Grammar([*tensor_mistakes(used, heads), *choice_mistakes(talker)])


def choice_mistakes(talker: TalkerPort) -> Iterator[Mistake]:
    """Of one module where layers have several, and of all of its class."""
    for pattern, choice, kind, values in (*_of_layers(talker), *_of_loop(talker)):
        layers = range(_layers(talker, pattern)) if pattern.count("*") == 1 else ()
        for scope in (pattern, *(pattern.replace("*", str(i)) for i in layers)):
            for value, how in values:
                stage = "code_predictor" if scope.startswith(C) else T
                where = tuple(dict.fromkeys((scope, *_also(scope, choice))))
                yield Mistake(f"{scope}: {how}", stage, kind, where, choices={f"{scope}:{choice}": value})


def _layers(talker: TalkerPort, pattern: str) -> int:
    return int(talker.metadata[f"{'code_predictor' if pattern.startswith(C) else T}.num_hidden_layers"])


ALSO: dict[str, tuple[str, ...]] = {
    "state": (T, f"{T}.model", f"{T}.model.norm"),
    "start": (f"{C}.model",),
    "heads": (f"{C}.lm_head", f"{C}.lm_head.*"),
    "tables": (f"{C}.model.codec_embedding", f"{C}.model.codec_embedding.*"),
    "feedback": (f"{T}.model", f"{T}.model.codec_embedding"),
    "special codes": (f"{T}.model.codec_embedding",),
    "text projected": (f"{T}.text_projection",),
    "projection of text": (f"{T}.text_projection", f"{T}.hidden_projection"),
    "delay": (C, "codes"),
    "end": (f"{T}.codec_head", "codes"),
    "suppressed": (f"{T}.codec_head", "codes"),
    "renormalised": (f"{T}.model.layers.*.mlp.gate", f"{T}.model.layers.*.mlp.experts"),
    "experts": (f"{T}.model.layers.*.mlp.gate", f"{T}.model.layers.*.mlp.experts"),
    "shared expert": (f"{T}.model.layers.*.mlp.shared_expert",),
    "shared gate": (f"{T}.model.layers.*.mlp.shared_expert_gate", f"{T}.model.layers.*.mlp.shared_expert"),
    "positions": (f"{T}.model", f"{C}.model"),
}


def _also(scope: str, choice: str) -> tuple[str, ...]:
    own = tuple(path for path in ALSO.get(choice, ()) if every(f"{path}.") in every(f"{scope}.") or "*" in scope)
    return own or (ALSO.get(choice, ()) if "*" not in scope else ())


def _of_layers(talker: TalkerPort) -> Iterator[tuple[str, str, str, Values]]:
    size = talker.metadata.__getitem__
    for path, part in ((f"{T}.model", T), (f"{C}.model", "code_predictor")):
        layer = f"{path}.layers.*"
        attention, mlp = f"{layer}.self_attn", f"{layer}.mlp"
        norms = [f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm", f"{path}.norm"]
        for norm in (*norms, f"{attention}.q_norm", f"{attention}.k_norm"):
            yield norm, "eps", "constant", [(eps, f"epsilon {eps:g}") for eps in (1e-2, 0.1, 1.0)]
            yield norm, "form", "formula", _others(arithmetic.NORMS, "rms", "unbiased")
        yield attention, "norms", "order", [("after rope", "queries and keys rotated before their norms")]
        thetas = [t for t in (1e2, 1e3, 1e4, 5e5, 1e6) if t != size(f"{part}.rope_theta")]
        yield attention, "theta", "constant", [(t, f"theta {t:g}") for t in thetas]
        yield attention, "rope", "positions", [(r, f"rope {r}") for r in ("none", "pairs", "backwards")]
        yield attention, "scale", "constant", [(s, f"scores divided by {s}") for s in ("d", "1", "sqrt h")]
        yield attention, "heads joined", "heads", [("interleaved", "heads joined dimension by dimension")]
        if 1 < size(f"{part}.num_key_value_heads") < size(f"{part}.num_attention_heads"):
            yield attention, "key heads", "heads", [("tiled", "key heads tiled where they are repeated")]
        for branch in (attention, mlp):
            yield branch, "residual", "residual", [("none", "no residual")]
        yield mlp, "activation", "activation", _others(arithmetic.ACTIVATIONS, "silu", "leaky relu")
        n = size(f"{part}.num_hidden_layers")
        without = [([j for j in range(n) if j != i], f"layer {i} left out") for i in range(n)]
        yield path, "layers", "missing", [*without, (list(reversed(range(n))), "layers in reverse")]
        yield path, "cache", "state", [("none", "no cache"), ("last 8", "the cache holds 8 positions")]
        yield path, "positions", "positions", [("begin anew", "every step has position 0")]
        yield path, "position", "positions", _others(arithmetic.POSITIONS, "each", "from one")
    yield from _of_mixture(talker)


def _of_mixture(talker: TalkerPort) -> Iterator[tuple[str, str, str, Values]]:
    mlp, chosen = f"{T}.model.layers.*.mlp", talker.metadata[f"{T}.num_experts_per_tok"]
    counts = {1, chosen - 1, chosen + 1, talker.metadata[f"{T}.num_experts"]} - {0, chosen}
    yield mlp, "experts", "router", [(n, f"{n} experts a position") for n in sorted(counts)]
    right = bool(talker.metadata[f"{T}.norm_topk_prob"])
    yield mlp, "renormalised", "router", [(not right, f"weights {'not ' if right else ''}renormalised")]
    yield mlp, "router", "router", [("sigmoid", "sigmoid for softmax"), ("equal", "experts weighted alike")]
    yield mlp, "shared expert", "missing", [(False, "no shared expert")]
    yield mlp, "shared gate", "formula", [("none", "shared expert not gated"), ("linear", "its gate without sigmoid")]


def _of_loop(talker: TalkerPort) -> Iterator[tuple[str, str, str, Values]]:
    states = [("before norm", "state before the norm"), ("a frame old", "state a frame old"), ("zero", "no state")]
    yield C, "state", "hidden", states
    yield C, "start", "order", [("code first", "code 0 before the state")]
    yield C, "heads", "swapped", [(how, f"head {how}") for how in list(port.HEADS)[1:]]
    yield C, "tables", "swapped", [(by, f"table {by:+d}") for by in (1, -1)]
    yield C, "cache", "state", [("begun again", "each step begins anew")]
    yield C, "temperature", "sampling", [(3.0, "temperature 3"), (10.0, "temperature 10")]
    yield C, "draw", "sampling", [("least likely of 5", "the fifth likeliest code")]
    yield T, "feedback", "feedback", [(how, f"fed back: {how}") for how in list(port.FEEDBACKS)[1:]]
    texts = ("none", "early", "late", "half as fast", "twice as fast", "last row for ever")
    yield T, "text", "text", [(how, f"text: {how}") for how in texts]
    yield T, "text before", "text", [(True, "the text in the prompt as well")]
    yield T, "text ends", "text", [(False, "no tts_eos after the text")]
    yield T, "text ends with", "text", [(how, f"{how} after the text") for how in ("tts_bos", "tts_pad", "im_end")]
    yield T, "padding", "text", [("zero", "zeros after the text")]
    yield T, "user segment", "text", [(False, "no user segment")]
    yield T, "special codes", "speaker", [(how, f"special codes: {how}") for how in list(port.SPECIAL)[1:]]
    yield T, "speaker id", "speaker", [(by, f"speaker id {by:+d}") for by in (1, -1)]
    yield T, "text projected", "missing", [(False, "text not projected")]
    yield T, "projection of text", "swapped", [("hidden_projection", "hidden_projection for the text")]
    yield T, "delay", "delay", [(how, f"delayed: {how}") for how in list(port.DELAYS)[1:]]
    yield T, "end", "end", [("suppressed", "codec eos suppressed"), ("ignored", "codec eos not heeded")]
    yield T, "suppressed", "sampling", [(False, "special codes not suppressed")]
    yield T, "repetition penalty", "sampling", [(p, f"repetition penalty {p}") for p in (1.5, 3.0)]
    yield T, "temperature", "sampling", [(t, f"temperature {t}") for t in (2.0, 5.0)]


def _others(table: dict[str, Any], *without: str) -> Values:
    return [(name, name) for name in table if name not in without]
