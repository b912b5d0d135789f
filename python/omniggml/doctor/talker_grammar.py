"""Every way to err in porting talker and code predictor, generated from their tensors and from `TalkerChoices`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from omniggml.doctor.talker_mirror import PREDICTOR, PROJECTION, TALKER, TEXT_TABLE, TalkerChoices, TalkerMirror
from omniggml.doctor.talker_prompt import PromptPlan, replanned
from omniggml.doctor.tensor_mistakes import Change, TensorMistake, class_of, module_of, reading, tensor_mistakes
from omniggml.doctor.vocoder_mirror import ACTIVATIONS

_SEEN = (1, 2, 4, 8, 16, 32)
"""Positions that a window or a cache may hold which drops the oldest."""
_ANEW = (2, 4, 8, 16, 32, 64)
"""Positions after which counting may begin anew."""
_POSITIONS = {
    "same": "all the same",
    "doubled": "counted by two",
    "halved": "counted by halves",
    "backwards": "counted backwards in what is read at once",
    "begun anew": "counted from 0 whenever something is read",
    "without the first": "counted from 0 again behind what is read at once",
    "one on": "one too high behind what is read at once",
    "one back": "one too low behind what is read at once",
    **{f"anew {n}": f"counted from 0 after each {n}" for n in _ANEW},
}
_CACHES = {
    "none": "keeps nothing",
    "the first": "keeps what is read at once, and nothing after it",
    "the others": "keeps nothing of what is read at once",
    **{f"last {n}": f"keeps {n} positions" for n in _SEEN},
}
_LATE = ("state", "positions", "text", "feedback")
"""Kinds of what tells on by how much was said before."""
_NOT_SPOKEN = (".hidden_projection.",)
FloatArray = npt.NDArray[np.float32]
Options = list[tuple[str, TalkerChoices]]


@dataclass(frozen=True)
class SpeakerMistake:
    """`kind` and `where` name it for programs, `clause` for people; made of choices of modules, misread weights and
    another plan of what the talker is given. `also`: another module of which the same can be said."""

    kind: str
    where: str
    clause: str
    choices: dict[str, TalkerChoices] = field(default_factory=dict)
    weights: tuple[TensorMistake, ...] = ()
    plan: PromptPlan | None = None
    known: str = ""
    also: str = ""

    @property
    def id(self) -> str:
        """Of the finding; `known`: that of one of the listed mistakes."""
        return f"talker.{self.known or self.kind}"

    @property
    def causes(self) -> tuple[dict[str, str], ...]:
        return tuple({"kind": self.kind, "where": where} for where in (self.where, self.also) if where)

    @property
    def of_predictor(self) -> bool:
        """Whether the talker's states are as they should be."""
        if self.plan:
            return False
        names = [*self.choices, *(name for mistake in self.weights for name in mistake.changes)]
        return all(name.startswith(PREDICTOR) and ".codec_embedding." not in name for name in names)

    @property
    def may_begin_late(self) -> bool:
        """Whether many of a speech's frames can be as they should be, before none is: with what hangs on all that was
        said, and with what is a little wrong in all layers."""
        hangs_on_more = self.plan is not None or self.kind in _LATE or TALKER in self.choices
        return (hangs_on_more or "*" in self.where) and not self.of_predictor

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
    chosen = [list(_choices(f"{TALKER}.model", dict(mirror.talker), names))]
    chosen.append(list(_choices(f"{PREDICTOR}.model", dict(mirror.predictor), names)))
    yield from (mistake for stack in chosen for mistake in stack)
    yield from _in_both_stacks(*chosen)
    groups = mirror.predictor["num_code_groups"]  # those that are nearly as often made came with the loop
    yield from _tables(groups - 1, range(2, groups - 2))
    yield from _feedback((), range(1, groups - 1))
    stacks: list[list[SpeakerMistake]] = []
    for predictor, size in ((False, mirror.talker), (True, mirror.predictor)):
        own = [name for name in names if name.startswith(f"{PREDICTOR}.") == predictor]
        counts = ("num_attention_heads", "num_key_value_heads", "num_key_value_heads")
        heads = {f"self_attn.{p}_proj.weight": size[n] for p, n in zip("qkv", counts, strict=True)}
        every = tensor_mistakes({name: mirror.weight(name).shape for name in own}, heads)
        stacks.append([SpeakerMistake(one.kind, one.where, one.clause, weights=(one,)) for one in every])
        yield from stacks[-1]
    yield from _in_both_stacks(*stacks)


def _in_both_stacks(talkers: list[SpeakerMistake], predictors: list[SpeakerMistake]) -> Iterator[SpeakerMistake]:
    """What is wrong in all layers of the talker and of the predictor alike, whose layers most programs share."""
    partners = {mistake.clause.replace(PREDICTOR, TALKER): mistake for mistake in predictors}
    for mistake in talkers:
        partner = partners.get(mistake.clause)
        if partner is not None and (".layers.*." in mistake.where or mistake.where == f"{TALKER}.model"):
            yield SpeakerMistake(
                mistake.kind,
                mistake.where,
                f"{mistake.clause}, and likewise in the code predictor",
                mistake.choices | partner.choices,
                mistake.weights + partner.weights,
                also=partner.where,
            )


def _loop(mirror: TalkerMirror) -> Iterator[SpeakerMistake]:
    one = SpeakerMistake
    for state, words in (
        ("before norm", "is taken before the norm"),
        ("old", "is a frame old"),
        ("old but the first", "is a frame old from the second frame on"),
        ("zero", "is zero"),
    ):
        known = "pre-norm" if state == "before norm" else ""
        clause = f"the talker's state that the predictor starts from {words}"
        yield one("hidden", PREDICTOR, clause, {PREDICTOR: TalkerChoices(state=state)}, known=known)
    yield one(
        "order", PREDICTOR, "code 0 comes before the talker's state", {PREDICTOR: TalkerChoices(start="code first")}
    )
    for pick, words in (("first", "each step takes the first head"), ("reversed", "heads are in reverse order")):
        yield one("swapped", f"{PREDICTOR}.lm_head", words, {PREDICTOR: TalkerChoices(pick=pick)})
    yield from _of_all_layers(mirror)
    groups = mirror.predictor["num_code_groups"]
    yield from _tables(groups - 1, sorted({1, groups - 2} - {0}))
    yield from _feedback(("mean", "root", "none"), sorted({0, groups - 1}))
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


def _tables(n: int, steps: Iterable[int]) -> Iterator[SpeakerMistake]:
    """Heads, and tables of codes, that are others', where the predictor reads them or their sum is made."""
    heads, tables = f"{PREDICTOR}.lm_head", f"{PREDICTOR}.model.codec_embedding"
    for by in steps:
        on = f"{by} on" if by <= n // 2 else f"{n - by} back"
        predictors, talkers = {PREDICTOR: TalkerChoices(table=by)}, {TALKER: TalkerChoices(table=by)}
        yield SpeakerMistake("swapped", heads, f"heads are {on}", {PREDICTOR: TalkerChoices(head=by)})
        both = {PREDICTOR: TalkerChoices(head=by, table=by)}
        yield SpeakerMistake("swapped", heads, f"heads and the predictor's tables are {on}", both, also=tables)
        yield SpeakerMistake("swapped", tables, f"the predictor's tables are {on}", predictors)
        yield SpeakerMistake("swapped", tables, f"tables are {on}", predictors | talkers)
        yield SpeakerMistake("swapped", tables, f"the tables of what is fed back are {on}", talkers)


def _feedback(whole: tuple[str, ...], groups: Iterable[int]) -> Iterator[SpeakerMistake]:
    """Of all codes together, and of one group's."""
    words = {
        "mean": "the mean of the codes' embeddings is fed back",
        "root": "the sum of the codes' embeddings is divided by the root of their number",
        "none": "no code is fed back",
    }
    words = {name: words[name] for name in whole}
    for group in groups:
        whose = f"the code of group {group}" if group else "the talker's own code"
        words |= {f"only {group}": f"only {whose} is fed back", f"without {group}": f"{whose} is not fed back"}
        words[f"twice {group}"] = f"{whose} is fed back twice"
    known = {"only 0": "first-code-only", "mean": "mean-feedback"}
    for feedback, clause in words.items():
        choices = {TALKER: TalkerChoices(feedback=feedback)}
        yield SpeakerMistake("feedback", TALKER, clause, choices, known=known.get(feedback, ""))


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
    yield from _text_table(mirror, mirror.plan)


def _text_table(mirror: TalkerMirror, plan: PromptPlan) -> Iterator[SpeakerMistake]:
    """Of the table's rows each by itself, and rows in other places."""
    module, size = module_of(TEXT_TABLE), plan.config.thinker.vocab_size
    clause = f"{TEXT_TABLE} has its axis 0 reversed"
    yield SpeakerMistake("permuted", module, clause, plan=plan.with_text(lambda id: size - 1 - id))
    for mistake in tensor_mistakes({TEXT_TABLE: mirror.weight(TEXT_TABLE).shape}, {}):
        if mistake.kind in ("scaled", "missing") or mistake.clause.endswith("axis 1 reversed"):
            yield SpeakerMistake(mistake.kind, mistake.where, mistake.clause, weights=(mistake,))


def _of_all_layers(mirror: TalkerMirror) -> Iterator[SpeakerMistake]:
    """What a stack's cache and positions are."""
    for path, size, whose in ((TALKER, mirror.talker, "talker"), (PREDICTOR, mirror.predictor, "predictor")):
        layers = [f"{path}.model.layers.{i}.self_attn" for i in range(size["num_hidden_layers"])]

        def one(
            kind: str, clause: str, choices: TalkerChoices, path: str = path, layers: list[str] = layers
        ) -> SpeakerMistake:
            also = path if kind == "state" else ""  # a cache is the stack's, and that of the loop around it
            return SpeakerMistake(kind, f"{path}.model", clause, dict.fromkeys(layers, choices), also=also)

        for sees in _SEEN:
            words = "nothing but itself" if sees == 1 else f"{sees} positions"
            yield one("state", f"each position of the {whose} sees {words}", TalkerChoices(sees=sees))
        for cache, words in _CACHES.items():
            yield one("state", f"the {whose}'s cache {words}", TalkerChoices(cache=cache))
        for position, words in _POSITIONS.items():
            yield one("positions", f"the {whose}'s positions are {words}", TalkerChoices(position=position))


def _choices(path: str, size: dict[str, object], names: list[str]) -> Iterator[SpeakerMistake]:
    modules = sorted({module_of(name) for name in names if name.startswith(f"{path}.")})
    modules += sorted({module.rpartition(".")[0] for module in modules} - set(modules))
    mixture = bool(size.get("num_experts"))
    for pattern, kind, options in _table(re.escape(path), size, mixture):
        paths = [module for module in modules if re.fullmatch(pattern, module)]
        groups = list(dict.fromkeys(class_of(module) for module in paths))
        for clause, choices in options:
            if len(groups) > 1:  # one class of a program's, of which all of these are made
                yield SpeakerMistake(kind, path, f"{clause} everywhere in {path}", dict.fromkeys(paths, choices))
            for group in groups:
                own = [module for module in paths if class_of(module) == group]
                if len(own) > 1:
                    yield SpeakerMistake(kind, group, f"{clause} in all of {group}", dict.fromkeys(own, choices))
                for module in own:
                    yield SpeakerMistake(kind, module, f"{clause} in {module}", {module: choices})
    norms = [name for name in names if name.startswith(f"{path}.") and name.endswith("norm.weight")]
    yield _of_norms("formula", path, "have one added to them", norms, lambda weight: weight + 1)
    yield _of_norms("missing", path, "are left out", norms, np.ones_like)
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


def _of_norms(kind: str, path: str, words: str, names: list[str], change: Change) -> SpeakerMistake:
    clause = f"the weights of all norms of {path} {words}"
    mistake = TensorMistake(kind, path, clause, {name: reading(name, change) for name in names})
    return SpeakerMistake(kind, path, clause, weights=(mistake,))


def _table(path: str, size: dict[str, object], mixture: bool) -> Iterator[tuple[str, str, Options]]:
    layer = rf"{path}\.layers\.\d+"
    attention, mlp = rf"{layer}\.self_attn", rf"{layer}\.mlp"
    norms = rf"{layer}\.(input|post_attention)_layernorm|{path}\.norm|{attention}\.[qk]_norm"
    own = {"eps": size["rms_norm_eps"], "theta": size["rope_theta"]}
    yield norms, "constant", _values("eps", "the norm's epsilon is", (1.0, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6), own)
    kinds = ("layer", "l2", "bare", "over time", "off")
    yield norms, "formula", _values("norm", "the RMS norm is replaced by", kinds, own)
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
        gates = {"whole": "is not gated", "linear": "has a gate without sigmoid"}
        yield mlp, "formula", [(f"the shared expert {how}", TalkerChoices(shared=gate)) for gate, how in gates.items()]


def _values(name: str, words: str, values: tuple[object, ...], own: dict[str, object]) -> Options:
    """Those that aren't the model's own."""
    mine = own.get(name)
    return [
        (f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}", TalkerChoices(**{name: value}))  # type: ignore[arg-type]
        for value in values
        if not (isinstance(value, float) and isinstance(mine, float) and np.isclose(value, mine, rtol=1e-4))
    ]
