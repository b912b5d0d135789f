"""A dump of another framework's tensors: which of its modules computes something else, given the same input?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.comparison.agreement import Agreement, agreement
from omniggml.comparison.computation_order import order_of
from omniggml.doctor.case import Case
from omniggml.doctor.catalogue import MISTAKE_SENTENCES
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.codes import Readable
from omniggml.doctor.counterfactuals import vocoder_mistakes
from omniggml.doctor.dump_names import fitted, is_narrow, under_our_names
from omniggml.doctor.thresholds import (
    DUMP_MISTAKE_BEATS,
    MODULE_DIFFERS,
    MODULE_DIFFERS_IN_F32,
    MODULE_ROUNDED,
)
from omniggml.errors import OmniError
from omniggml.model import Model

Array = npt.NDArray[Any]

_NOT_COMPARABLE = 1e9
_MOST_ASKED = 6


def check_dump(case: Case, given: Readable) -> Report:
    """Needs a model, a dump, and codes to compute on. What was dumped of listening is for `check_ears`."""
    if case.theirs is None or case.heard is not None:
        return Report()
    report = Report()
    model = case.model
    if model is None:
        report.fail("the dump: the model can't be loaded")
        return report
    report.checked = "dump"
    modules = _names(model, _zeros(model, 1))
    theirs = under_our_names(case.theirs, modules)
    if not theirs:
        names = ", ".join(list(case.theirs)[:3])
        report.find("dump.names", f"None of {len(case.theirs)} names is a module of code2wav: {names:.200}.")
        return report
    codes = given.right if given.right is not None else _stand_in_codes(model, theirs)
    if codes is None:
        report.fail("the dump: neither codes nor code2wav.code_embedding are there")
        return report
    _compare(case, report, given, model, theirs, codes[:, : _frames_of(model, modules, theirs, codes.shape[1])])
    return report


def _frames_of(model: Model, of_one: Mapping[str, tuple[int, ...]], theirs: Mapping[str, Array], most: int) -> int:
    """Of how many of the first frames the dump is: of `most`, unless each of its modules has as many values as it makes
    of the same fewer. `of_one`: the shapes that one frame makes."""
    of_two = _names(model, _zeros(model, 2))
    found = set()
    for name, values in theirs.items():
        first, second = prod(of_one[name]), prod(of_two[name])
        more, rest = divmod(values.size - first, max(second - first, 1))
        found.add(0 if rest else 1 + more)
    frames = found.pop() if len(found) == 1 else 0
    return frames if 0 < frames < most else most


def _zeros(model: Model, frames: int) -> Array:
    return np.zeros((model.geometry["code2wav"]["num_quantizers"], frames), np.int32)


def _stand_in_codes(model: Model, theirs: Mapping[str, Array]) -> Array | None:
    """Without codes their embeddings stand for what goes in, and only the number of frames counts."""
    embedded = theirs.get("code2wav.code_embedding")
    if embedded is None:
        return None
    return _zeros(model, embedded.shape[-2])


def _compare(
    case: Case, report: Report, given: Readable, model: Model, theirs: Mapping[str, Array], codes: Array
) -> None:
    known = _names(model, codes)
    fits = {name: fitted(values, known[name]) for name, values in theirs.items() if name in known}
    fitting = {name: values for name, values in fits.items() if values is not None}
    misshapen = [name for name in fits if name not in fitting]
    local = _local(model, codes, fitting)
    if given.right is None:
        local.pop("code2wav.code_embedding", None)
    rows = {name: {"cosine": a.cosine, "nmse": a.nmse, "gain": a.gain} for name, a in local.items()}
    report.measurements["dump"] = rows
    order = sorted(known, key=order_of)
    narrow = _narrow(case, fitting)
    # With the shapes that ours has not: a mistake may make just these.
    recognisable = {**theirs, **fitting}
    wrong = [name for name in order if name in misshapen or (name in local and _differs(local[name], name in narrow))]
    if not wrong:
        subtle = _first_by_mirror(case, given, recognisable, codes, order)
        if not subtle or not _recognise(case, report, given, recognisable, codes, order[order.index(subtle) :]):
            report.measurements["dump_modules"] = len(rows)
        return
    first = wrong[0]
    if _recognise(case, report, given, recognisable, codes, order[order.index(first) :]):
        return
    inside = [name for name in order if name.startswith(f"{first}.") and name not in theirs]
    if inside:
        report.ask(f"Dump what is inside of {first}: {', '.join(inside[:_MOST_ASKED])}.")
    report.find(
        "dump.deviates",
        _sentence(first, local.get(first), theirs[first], known[first]),
        tensors=tuple(wrong),
    )


def _narrow(case: Case, fitting: Mapping[str, Array]) -> frozenset[str]:
    """Modules between which rounding to 16 bits or fewer lies: of a program that computes so, or of such weights, all;
    else those whose own values are rounded."""
    weights = case.weights
    if weights is not None and any(weights.type_of(name) != "F32" for name in weights.under("code2wav.")):
        return frozenset(fitting)
    rounded = frozenset(name for name, values in fitting.items() if is_narrow(values))
    return frozenset(fitting) if 2 * len(rounded) > len(fitting) else rounded


def _first_by_mirror(
    case: Case, given: Readable, theirs: Mapping[str, Array], codes: Array, order: Sequence[str]
) -> str:
    """The first module that is not what the mirror computes, which rounds less than the engine's faster kernels."""
    mirror = case.mirror
    if mirror is None or given.right is None:
        return ""
    mirror.watch = True
    mirror(codes)
    mirror.watch = False
    kept = (name for name in order if name in theirs and name in mirror.seen)
    return next((name for name in kept if MODULE_ROUNDED.above(_error(mirror.seen[name], theirs[name]))), "")


def _differs(seen: Agreement, narrow: bool) -> bool:
    """NaN does."""
    bound = MODULE_DIFFERS if narrow else MODULE_DIFFERS_IN_F32
    return bound.above(seen.nmse) or seen.nmse != seen.nmse


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
        if name != "code2wav" and not (name == last == final) and np.isfinite(values).all()
    }
    with model.probe(*theirs, replace=replace) as seen:
        try:
            model.code2wav(codes)
        except OmniError:
            return {}
    return {name: agreement(theirs[name], seen[name]) for name in seen if name in theirs}


def _recognise(
    case: Case, report: Report, given: Readable, theirs: Mapping[str, Array], codes: Array, deviating: Sequence[str]
) -> bool:
    """The mistake by which our own vocoder computes what they have at the first deviation, or at the first module after
    it whose output the mirror keeps."""
    mirror = case.mirror
    if mirror is None or given.right is None:
        return False
    mirror.watch = True
    try:
        mirror(codes)
        first = next((name for name in deviating if name in mirror.seen and name in theirs), "")
        if not first:
            return False
        plain = mirror.seen[first]
        beaten = _error(plain, theirs.get(first))
        best = (_NOT_COMPARABLE, "")
        for mistake in vocoder_mistakes(mirror.geometry, codes.shape[1]):
            mistake.run(mirror, codes)
            error = _error(mirror.seen.get(first), theirs.get(first))
            best = min(best, (error, mistake.name))
    finally:
        mirror.watch = False
    error, name = best
    if not name or not DUMP_MISTAKE_BEATS.below(error / (beaten or 1)):
        return False
    report.find(
        f"vocoder.{name}",
        f"Your {first} deviates{_from(deviating[0], first)}, and equals ours when {MISTAKE_SENTENCES[name]} (error "
        f"{error:.1e}; without "
        f"that mistake {beaten:.1e}).",
        tensors=(first,),
        residual=error,
        residual_without=beaten,
    )
    return True


def _from(first: str, seen: str) -> str:
    return " first" if first == seen else f", {first} being the first that does"


def _error(ours: Array | None, theirs: Array | None) -> float:
    if ours is None or theirs is None or ours.size != theirs.size:
        return _NOT_COMPARABLE
    return min(agreement(theirs, ours).nmse, _NOT_COMPARABLE) if np.isfinite(ours).all() else _NOT_COMPARABLE
