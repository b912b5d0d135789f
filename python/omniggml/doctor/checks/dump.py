"""A dump of another framework's tensors: which of its modules computes something else, given the same input?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Agreement, agreement
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import MISTAKE_SENTENCES
from omniggml.doctor.counterfactuals import vocoder_mistakes
from omniggml.errors import OmniError
from omniggml.model import Model

Array = npt.NDArray[Any]

_BOUNDARY = re.compile(
    r"code2wav\.(code_embedding|pre_transformer(\.layers\.\d+)?|upsample\.\d+\.\d+|decoder\.\d+(\.block\.\d+)?)"
)
_LOCAL = 1e-2  # share of a module's energy that may differ: other types are, other computations are not
_ROUNDING = 1e-9  # what another order of sums explains; above it a known mistake is looked for
_CLEARLY = 10.0


def check_dump(case: Case) -> None:
    """Needs a model, a dump, and codes to compute on (`case.right_codes`)."""
    if case.theirs is None:
        return
    model = case.model
    if model is None:
        case.skipped.append("the dump: the model can't be loaded")
        return
    case.checked.append("dump")
    theirs = {name: np.asarray(values) for name, values in case.theirs.items() if name.startswith("code2wav")}
    if not theirs:
        names = ", ".join(list(case.theirs)[:3])
        case.find("dump.names", f"None of {len(case.theirs)} names is a module of code2wav: {names}.", certainty=0.6)
        return
    codes = case.right_codes if case.right_codes is not None else _stand_in_codes(model, theirs)
    if codes is None:
        case.skipped.append("the dump: neither codes nor code2wav.code_embedding are there")
        return
    _compare(case, model, theirs, codes)


def _stand_in_codes(model: Model, theirs: Mapping[str, Array]) -> Array | None:
    """Without codes their embeddings stand for what goes in, and only the number of frames counts."""
    embedded = theirs.get("code2wav.code_embedding")
    if embedded is None:
        return None
    return np.zeros((model.geometry["code2wav"]["num_quantizers"], embedded.shape[-2]), np.int32)


def _compare(case: Case, model: Model, theirs: Mapping[str, Array], codes: Array) -> None:
    known = _names(model, codes)
    dumped = {name: values for name, values in theirs.items() if name in known}
    fitting = {
        name: values.reshape(known[name]) for name, values in dumped.items() if values.size == int(np.prod(known[name]))
    }
    misshapen = [name for name in dumped if name not in fitting]
    local = _local(model, codes, fitting)
    if case.right_codes is None:
        local.pop("code2wav.code_embedding", None)
    rows = {name: {"cosine": a.cosine, "nmse": a.nmse, "gain": a.gain} for name, a in local.items()}
    case.measurements["dump"] = rows
    order = list(known)
    wrong = [name for name in order if name in misshapen or (name in local and not local[name].nmse <= _LOCAL)]
    if not wrong:
        subtle = [name for name in order if name in local and local[name].nmse > _ROUNDING]
        if not subtle or not _recognise(case, fitting, codes, order[order.index(subtle[0]) :]):
            case.measurements["dump_modules"] = len(rows)
        return
    first = wrong[0]
    if _recognise(case, fitting, codes, order[order.index(first) :]):
        return
    case.find(
        "dump.deviates",
        _sentence(first, local.get(first), dumped[first], known[first]),
        tensors=tuple(wrong),
        certainty=0.95,
    )


def _sentence(name: str, seen: Agreement | None, values: Array, shape: tuple[int, ...]) -> str:
    if seen is None:
        return (
            f"The first module that deviates is {name}: theirs has the shape {list(values.shape)}, ours {list(shape)}."
        )
    return (
        f"The first module that deviates is {name}: given the same input, cosine {seen.cosine:.4f}, gain "
        f"{seen.gain:.4f}, "
        f"normalised error {seen.nmse:.1e}."
    )


def _names(model: Model, codes: Array) -> dict[str, tuple[int, ...]]:
    """Modules in the order in which they are computed, and their shapes."""
    with model.probe("code2wav.**", "code2wav") as seen:
        model.code2wav(codes)
    return {name: seen[name].shape for name in seen}


def _local(model: Model, codes: Array, theirs: Mapping[str, Array]) -> dict[str, Agreement]:
    """Each module's agreement where the modules before it are given their outputs."""
    last = max(
        (name for name in theirs if re.fullmatch(r"code2wav\.decoder\.\d+", name)),
        default="",
        key=lambda n: int(n.split(".")[-1]),
    )
    final = f"code2wav.decoder.{len(model.geometry['code2wav']['upsample_rates']) + 2}"
    replace = {
        name: np.asarray(values, np.float32)
        for name, values in theirs.items()
        if _BOUNDARY.fullmatch(name) and not (name == last == final) and np.isfinite(values).all()
    }
    with model.probe(*theirs, replace=replace) as seen:
        try:
            model.code2wav(codes)
        except OmniError:
            return {}
    return {name: agreement(theirs[name], seen[name]) for name in seen if name in theirs}


def _recognise(case: Case, theirs: Mapping[str, Array], codes: Array, deviating: Sequence[str]) -> bool:
    """The mistake by which our own vocoder computes what they have at the first deviation, or at the first module after
    it whose output the mirror keeps."""
    mirror = case.mirror
    if mirror is None or case.right_codes is None:
        return False
    mirror.watch = True
    try:
        mirror(codes)
        first = next((name for name in deviating if name in mirror.seen and name in (case.theirs or {})), "")
        if not first:
            return False
        plain = mirror.seen[first]
        beaten = _error(plain, theirs.get(first))
        best = (beaten / _CLEARLY, "")
        for mistake in vocoder_mistakes(mirror.geometry, codes.shape[1]):
            mistake.run(mirror, codes)
            error = _error(mirror.seen.get(first), case.theirs.get(first) if case.theirs else None)
            best = min(best, (error, mistake.name))
    finally:
        mirror.watch = False
    error, name = best
    if not name:
        return False
    case.find(
        f"vocoder.{name}",
        f"Your {first} deviates{_from(deviating[0], first)}, and equals ours when {MISTAKE_SENTENCES[name]} (error "
        f"{error:.1e}; without "
        f"that mistake {beaten:.1e}).",
        tensors=(first,),
        certainty=0.97,
        residual=error,
        residual_without=beaten,
    )
    return True


def _from(first: str, seen: str) -> str:
    return " first" if first == seen else f", {first} being the first that does"


def _error(ours: Array | None, theirs: Array | None) -> float:
    if ours is None or theirs is None or ours.size != theirs.size:
        return 1e9
    return min(agreement(theirs, ours).nmse, 1e9) if np.isfinite(ours).all() else 1e9
