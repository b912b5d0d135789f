"""The file: is everything there, does it add up, and do the values look like weights?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.checks.settings import check_settings
from omniggml.doctor.checks.values import check_values
from omniggml.doctor.progress import Progress
from omniggml.doctor.words import count, some
from omniggml.files.plan import stacked
from omniggml.files.stored_weights import StoredWeights
from omniggml.spec.published import PUBLISHED
from omniggml.spec.speech_file import LONGEST_NAME, speech_file_tensors

_TABLE = "thinker.model.embed_tokens.weight"


def check_file(case: Case) -> tuple[bool, Report]:
    """Needs nothing but the file. Reads every tensor once.

    Returns whether the weights are random numbers, of which noise is what a sound model makes, and what was found.
    """
    report = Report("file")
    found = case.inspection
    if found.family == "unknown":
        report.find("file.unreadable", found.problem)
        return False, report
    weights = case.weights
    if weights is None:
        report.find("file.unloadable", found.problem)
        return False, report
    _check_presence(case, report, weights)
    check_settings(case, report, weights)
    untrained = check_values(report, weights, Progress(case.announce), case.options.threads)
    _check_loading(case, report, weights)
    return untrained, report


def _check_presence(case: Case, report: Report, weights: StoredWeights) -> None:
    missing = set(case.inspection.missing) | set(_gaps(weights))
    # Code2wav alone decodes, and lacks nothing for that.
    alone = weights.under("code2wav.") and not weights.under("talker.")
    if weights.derived is None and not alone:
        missing |= {name for name in _always() if name not in weights}
    if not weights.under("thinker.model.layers."):
        # It speaks without a thinker, whose file may have the table of text tokens.
        kept = "" if case.options.thinker is not None else _TABLE
        missing = {name for name in missing if not name.startswith("thinker.") or name == kept}
    if missing:
        names = sorted(missing)
        report.find("file.missing-tensors", f"{count(names)} missing: {some(names)}.", tensors=tuple(names))
    if weights.contents.unknown:
        unknown = weights.contents.unknown
        report.find(
            "file.extra-tensors",
            f"{count(unknown)} in the file that belong nowhere: {some(unknown)}.",
            tensors=tuple(unknown),
        )
    long = [name for name in weights.file.header.tensors if len(name.encode()) > LONGEST_NAME]
    if long:
        report.find(
            "file.long-names",
            f"{len(long)} names have more than {LONGEST_NAME} bytes, {long[0]} among them.",
            tensors=tuple(long),
        )


def _always() -> set[str]:
    """Tensors that every model has, whatever its geometry."""
    least = replace(
        PUBLISHED,
        talker=replace(PUBLISHED.talker, num_hidden_layers=1, num_experts=1),
        code_predictor=replace(PUBLISHED.code_predictor, num_hidden_layers=1, num_code_groups=2),
        code2wav=replace(PUBLISHED.code2wav, num_hidden_layers=1, upsampling_ratios=(2,), upsample_rates=(2,)),
    )
    # What follows the last stage of the decoder has another number in every model.
    return set(stacked(speech_file_tensors(least))) & set(stacked(speech_file_tensors(PUBLISHED)))


def _gaps(weights: StoredWeights) -> Iterator[str]:
    """Tensors that other layers of the same kind have."""
    layers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in weights:
        if found := re.match(r"(.*\.layers)\.(\d+)\.(.*)", name):
            layers[found[1], found[2]].add(found[3])
    for (path, number), endings in layers.items():
        everywhere = [other for (p, _), other in layers.items() if p == path]
        common = {
            ending for ending in set().union(*everywhere) if sum(ending in o for o in everywhere) * 2 >= len(everywhere)
        }
        if len(everywhere) > 1:
            yield from (f"{path}.{number}.{ending}" for ending in common - endings)


def _check_loading(case: Case, report: Report, weights: StoredWeights) -> None:
    """What the engine says; `file.unloadable` counts only where nothing in the file explains it."""
    family = weights.file.family.name if weights.file.family else ""
    if family == "thinker" or (family == "bundled" and case.options.thinker is None):
        report.skip(f"running the model: {case.inspection.problem}")
        return
    if case.model is None:
        report.find("file.unloadable", f"The file can't be loaded: {case.load_error}")
