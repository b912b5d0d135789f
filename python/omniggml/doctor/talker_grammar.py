"""Every way to err in porting talker and code predictor, generated from their tensors and from `TalkerChoices`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from omniggml.doctor.talker_mirror import PREDICTOR, PROJECTION, TALKER, TalkerChoices, TalkerMirror
from omniggml.doctor.talker_prompt import PromptPlan, replanned
from omniggml.doctor.tensor_mistakes import TensorMistake, class_of, module_of, tensor_mistakes
from omniggml.doctor.vocoder_mirror import ACTIVATIONS

_SEEN = (1, 2, 4, 8, 16, 32)
"""Positions that a cache may hold which drops the oldest."""
_NOT_SPOKEN = (".hidden_projection.",)
FloatArray = npt.NDArray[np.float32]
Options = list[tuple[str, TalkerChoices]]


@dataclass(frozen=True)
class SpeakerMistake:
    """`kind` and `where` name it for programs, `clause` for people; made of choices of modules, misread weights and
    another plan of what the talker is given."""

    kind: str
    where: str
    clause: str
    choices: dict[str, TalkerChoices] = field(default_factory=dict)
    weights: tuple[TensorMistake, ...] = ()
    plan: PromptPlan | None = None
    known: str = ""

    @property
    def id(self) -> str:
        """Of the finding; `known`: that of one of the listed mistakes."""
        return f"talker.{self.known or self.kind}"

    @property
    def cause(self) -> dict[str, str]:
        return {"kind": self.kind, "where": self.where}

    @property
    def of_predictor(self) -> bool:
        """Whether the talker's states are as they should be."""
        if self.plan:
            return False
        names = [*self.choices, *(name for mistake in self.weights for name in mistake.changes)]
        return all(name.startswith(PREDICTOR) and ".codec_embedding." not in name for name in names)

    def paths(self) -> list[str]:
        """Modules that compute something else."""
        planned = [self.where] if self.plan else []
        return [*planned, *self.choices, *(module_of(name) for mistake in self.weights for name in mistake.changes)]

    def made(self, mirror: TalkerMirror) -> TalkerMirror | None:
        """The mirror with it; None where it changes nothing."""
        changed: dict[str, FloatArray] = {}
        for mistake in self.weights:
            changed |= mistake.applied(mirror.weight)
        if not (changed or self.choices or self.plan):
            return None
        return mirror.with_mistake(self.choices, changed, self.plan)


def speaker_mistakes(mirror: TalkerMirror) -> Iterator[SpeakerMistake]:
    """All single mistakes, those of choices first."""
    names = [name if name.endswith((".weight", ".bias")) else f"{name}.weight" for name in mirror.weights]
    names = [name for name in names if name.startswith(f"{TALKER}.") and not any(word in name for word in _NOT_SPOKEN)]
    yield from _loop(mirror)
    yield from _prompt(mirror)
    for path, size in ((f"{TALKER}.model", mirror.talker), (f"{PREDICTOR}.model", mirror.predictor)):
        yield from _choices(path, dict(size), names)
    for predictor, size in ((False, mirror.talker), (True, mirror.predictor)):
        own = [name for name in names if name.startswith(f"{PREDICTOR}.") == predictor]
        counts = ("num_attention_heads", "num_key_value_heads", "num_key_value_heads")
        heads = {f"self_attn.{p}_proj.weight": size[n] for p, n in zip("qkv", counts, strict=True)}
        for mistake in tensor_mistakes({name: mirror.weight(name).shape for name in own}, heads):
            yield SpeakerMistake(mistake.kind, mistake.where, mistake.clause, weights=(mistake,))


def _loop(mirror: TalkerMirror) -> Iterator[SpeakerMistake]:
    one = SpeakerMistake
    for state in ("before norm", "old", "zero"):
        words = {"old": "is a frame old", "zero": "is zero"}.get(state, "is taken before the norm")
        choices = {PREDICTOR: TalkerChoices(state=state)}
        known = "pre-norm" if state == "before norm" else ""
        yield one(
            "hidden", PREDICTOR, f"the talker's state that the predictor starts from {words}", choices, known=known
        )
    yield one(
        "order", PREDICTOR, "code 0 comes before the talker's state", {PREDICTOR: TalkerChoices(start="code first")}
    )
    for pick, words in (("first", "each step takes the first head"), ("reversed", "heads are in reverse order")):
        yield one("swapped", f"{PREDICTOR}.lm_head", words, {PREDICTOR: TalkerChoices(pick=pick)})
    yield from _of_all_layers(mirror)
    for by in range(1, mirror.predictor["num_code_groups"] - 1):
        yield one("swapped", f"{PREDICTOR}.lm_head", f"heads are {by} on", {PREDICTOR: TalkerChoices(head=by)})
        yield one(
            "swapped", f"{PREDICTOR}.model.codec_embedding", f"tables are {by} on", {PREDICTOR: TalkerChoices(table=by)}
        )
    for feedback in ("mean", "first", "none", "predicted", "once less"):
        words = {
            "first": "only the talker's own code is fed back",
            "none": "no code is fed back",
            "predicted": "the talker's own code is not fed back",
            "once less": "the last code is not fed back",
        }.get(feedback, "the mean of the codes' embeddings is fed back")
        known = {"first": "first-code-only", "mean": "mean-feedback"}.get(feedback, "")
        yield one("feedback", TALKER, words, {TALKER: TalkerChoices(feedback=feedback)}, known=known)
    for text in ("none", "early", "late", "last", "slow", "fast"):
        words = {
            "none": "no text follows the first token",
            "early": "the text comes a frame early",
            "late": "the text comes a frame late",
            "last": "the last token is repeated for ever",
            "slow": "the text comes half as fast",
        }.get(text, "the text comes twice as fast")
        known = {"none": "no-text", "early": "text-offset", "late": "text-offset"}.get(text, "")
        yield one("text", TALKER, words, {TALKER: TalkerChoices(text=text)}, known=known)


def _prompt(mirror: TalkerMirror) -> Iterator[SpeakerMistake]:
    """What is given to the talker before and beside its codes, where it is known how that is made."""
    if mirror.plan is None:
        return
    for mistake in replanned(mirror.plan):
        yield SpeakerMistake(mistake.kind, TALKER, mistake.clause, plan=mistake.plan, known=mistake.known)
    for projection, kind, words in (
        ("none", "missing", "the text is not projected"),
        ("hidden", "swapped", f"{TALKER}.hidden_projection projects the text"),
    ):
        yield SpeakerMistake(kind, PROJECTION, words, {PROJECTION: TalkerChoices(projection=projection)})
    for name in ACTIVATIONS:
        if name != "silu":
            choices = {PROJECTION: TalkerChoices(activation=name)}
            yield SpeakerMistake("activation", PROJECTION, f"SiLU is replaced by {name} in {PROJECTION}", choices)


def _of_all_layers(mirror: TalkerMirror) -> Iterator[SpeakerMistake]:
    """What a stack's cache and positions are."""
    for path, size, whose in ((TALKER, mirror.talker, "talker"), (PREDICTOR, mirror.predictor, "predictor")):
        layers = [f"{path}.model.layers.{i}.self_attn" for i in range(size["num_hidden_layers"])]
        for sees in _SEEN:
            words = "sees nothing but itself" if sees == 1 else f"sees {sees} positions"
            choices = TalkerChoices(sees=sees)
            yield SpeakerMistake(
                "state", f"{path}.model", f"the {whose}'s cache {words}", dict.fromkeys(layers, choices)
            )
        for position, words in (
            ("same", "all the same"),
            ("doubled", "counted by two"),
            ("halved", "counted by halves"),
        ):
            choices = TalkerChoices(position=position)
            clause = f"the {whose}'s positions are {words}"
            yield SpeakerMistake("positions", f"{path}.model", clause, dict.fromkeys(layers, choices))


def _choices(path: str, size: dict[str, object], names: list[str]) -> Iterator[SpeakerMistake]:
    modules = sorted({module_of(name) for name in names if name.startswith(f"{path}.")})
    modules += sorted({module.rpartition(".")[0] for module in modules} - set(modules))
    mixture = bool(size.get("num_experts"))
    for pattern, kind, options in _table(re.escape(path), size, mixture):
        paths = [module for module in modules if re.fullmatch(pattern, module)]
        for clause, choices in options:
            for group in dict.fromkeys(class_of(module) for module in paths):
                own = [module for module in paths if class_of(module) == group]
                if len(own) > 1:
                    yield SpeakerMistake(kind, group, f"{clause} in all of {group}", dict.fromkeys(own, choices))
                for module in own:
                    yield SpeakerMistake(kind, module, f"{clause} in {module}", {module: choices})
    n = int(str(size["num_hidden_layers"]))
    for out in range(n):
        layers = tuple(i for i in range(n) if i != out)
        if layers:
            yield SpeakerMistake(
                "missing", path, f"layer {out} of {path} is left out", {path: TalkerChoices(layers=layers)}
            )
    if n > 1:
        backwards = TalkerChoices(layers=tuple(reversed(range(n))))
        yield SpeakerMistake("missing", path, f"the layers of {path} are in reverse order", {path: backwards})


def _table(path: str, size: dict[str, object], mixture: bool) -> Iterator[tuple[str, str, Options]]:
    layer = rf"{path}\.layers\.\d+"
    attention, mlp = rf"{layer}\.self_attn", rf"{layer}\.mlp"
    norms = rf"{layer}\.(input|post_attention)_layernorm|{path}\.norm|{attention}\.[qk]_norm"
    own = {"eps": size["rms_norm_eps"], "theta": size["rope_theta"]}
    yield norms, "constant", _values("eps", "the norm's epsilon is", (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6), own)
    yield norms, "formula", _values("norm", "the RMS norm is replaced by", ("layer", "l2", "bare", "off"), own)
    yield attention, "order", [("queries and keys are rotated before their norms", TalkerChoices(norms="after rope"))]
    yield attention, "missing", [("queries and keys are not normed", TalkerChoices(norms="not"))]
    yield attention, "constant", _values("theta", "theta is", (1e2, 1e3, 1e4, 1e5, 5e5, 1e6, 1e7), own)
    yield attention, "positions", _values("rope", "rotary positions are", ("off", "pairs", "backwards"), own)
    yield attention, "constant", _values("scale", "scores are divided by", ("width", "one", "hidden"), own)
    yield attention, "heads", [("heads are joined dimension by dimension", TalkerChoices(heads="interleaved"))]
    if size["num_attention_heads"] != size["num_key_value_heads"]:
        yield attention, "heads", [("key heads are tiled, not repeated", TalkerChoices(key_heads="tiled"))]
    yield rf"{attention}|{mlp}", "residual", [("the residual is missing", TalkerChoices(residual="none"))]
    others = tuple(name for name in ACTIVATIONS if name != "silu")
    yield mlp, "activation", _values("activation", "SiLU is replaced by", others, own)
    if mixture:
        chosen, every = (int(str(size[name])) for name in ("num_experts_per_tok", "num_experts"))
        counts = tuple(sorted({1, chosen - 1, chosen + 1, 2 * chosen, every} - {0, chosen}))
        counts = tuple(n for n in counts if n <= every)
        yield mlp, "router", _values("experts", "the experts of a position are", counts, own)
        right = bool(size["norm_topk_prob"])
        how = "are not" if right else "are"
        yield mlp, "router", [(f"the experts' weights {how} renormalised", TalkerChoices(renormalised=not right))]
        yield mlp, "router", _values("router", "the router's softmax is replaced by", ("sigmoid", "equal"), own)
        yield mlp, "missing", [("the shared expert is missing", TalkerChoices(shared="missing"))]
        yield mlp, "formula", [("the shared expert is not gated", TalkerChoices(shared="whole"))]


def _values(name: str, words: str, values: tuple[object, ...], own: dict[str, object]) -> Options:
    """Those that aren't the model's own."""
    mine = own.get(name)
    return [
        (f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}", TalkerChoices(**{name: value}))  # type: ignore[arg-type]
        for value in values
        if not (isinstance(value, float) and isinstance(mine, float) and np.isclose(value, mine, rtol=1e-4))
    ]
