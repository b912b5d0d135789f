"""The file's values: are they finite, of a size with their siblings, on the grid of their type, learnt?"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.check_report import Report
from omniggml.doctor.grids import coarser_grid
from omniggml.doctor.progress import Progress
from omniggml.doctor.side_by_side import side_by_side
from omniggml.doctor.spectrum import spectral_excess
from omniggml.doctor.words import count, some
from omniggml.files.families import CODE2WAV
from omniggml.files.stored_weights import StoredWeights
from omniggml.gguf.type_names import bits_of
from omniggml.spec.precision_needs import need_of

FloatArray = npt.NDArray[np.float32]

_SKEWNESS, _LUCK = 3, 6
_NEVER_EQUAL = ("norm.weight", "layernorm", "layernorm.weight", ".scale", ".gamma")
_LEARNT = ("norm.weight", "layernorm", ".scale", ".gamma", ".bias", ".alpha", ".beta")
_EXPERTS = tuple(f".mlp.experts.{which}_proj.weight" for which in ("gate", "up", "down"))
_INITIALLY_ZEROS = (".bias", ".alpha", ".beta", ".mlp.gate.weight", *_EXPERTS)
"""What transformers makes zeros before training; a talker's experts get no values at all from it."""


@dataclass(frozen=True)
class _Seen:
    """Of one tensor: its values' root mean square, not finite where a value isn't; what that makes of noise; its shape;
    whether all are zeros, or what all are where none should be alike; its beginning, by which copies are told; what is
    wrong with its rows, or the grid that its values lie on; how its spectrum differs from noise's."""

    size: float
    gain: float
    shape: tuple[int, ...]
    zeros: bool = False
    unlearnt: float | None = None
    beginning: bytes = b""
    rows: str = ""
    grid: str = ""
    excess: float | None = None


def _seen(weights: StoredWeights, name: str) -> _Seen:
    values = weights[name]
    size = math.sqrt(power) if np.isfinite(power := _power(values) / max(values.size, 1)) else math.nan
    seen = _Seen(size, size * math.sqrt(_fan_in(values.shape)), values.shape)
    if not np.isfinite(size) or not values.any():
        return replace(seen, zeros=bool(np.isfinite(size)))
    if name.endswith(_NEVER_EQUAL) and values.size >= bounds.LEAST_LEARNT and np.ptp(values) == 0:
        seen = replace(seen, unlearnt=float(values.flat[0]))
    if values.ndim < 2 or values.size <= bounds.LEAST_VALUES:
        return seen
    seen = replace(seen, beginning=values.reshape(-1)[: bounds.COMPARED_BYTES // values.itemsize].tobytes())
    rows = values.reshape(len(values), -1)
    if bounds.ZERO_ROWS.above(float((~rows.any(axis=1)).mean())):
        return replace(seen, rows="zeros")
    if len(rows) >= bounds.LEAST_ROWS and (rows[0] == rows[1]).all() and (rows == rows[0]).all():
        return replace(seen, rows="alike")
    grid = coarser_grid(values, weights.type_of(name))
    return replace(seen, grid=grid) if grid else replace(seen, excess=spectral_excess(values))


def check_values(report: Report, weights: StoredWeights, progress: Progress, threads: int = 1) -> bool:
    """Reads every tensor once. Returns whether the weights are random numbers."""
    read = progress.through(weights, len(weights), "reading the file's tensors")
    every = dict(side_by_side(partial(_seen, weights), read, min(threads, bounds.TENSORS_AT_ONCE)))
    finite = {name: seen for name, seen in every.items() if math.isfinite(seen.size)}
    sizes = {name: seen.size for name, seen in finite.items()}
    gains = {name: seen.gain for name, seen in finite.items()}
    unlearnt = {name: seen.unlearnt for name, seen in finite.items() if seen.unlearnt is not None}
    excess = {name: seen.excess for name, seen in finite.items() if seen.excess is not None}
    shapes = {name: finite[name].shape for name in excess}
    coarse = [(name, seen.grid) for name, seen in finite.items() if seen.grid]
    digests: dict[bytes, list[str]] = defaultdict(list)
    for name, seen in finite.items():
        if seen.beginning:
            digests[_kind(name).encode() + seen.beginning].append(name)
    zeros = [name for name, seen in finite.items() if seen.zeros]
    initial = _initial_zeros(finite)
    random = _check_randomness(report, excess, shapes, initial)
    _report_values(
        report,
        weights,
        not_finite=[name for name in every if name not in finite],
        zeros=[name for name in zeros if not random or name not in initial],
        zero_rows=[name for name, seen in finite.items() if seen.rows == "zeros"],
        constant=[name for name, seen in finite.items() if seen.rows == "alike"],
    )
    copies = [names for names in digests.values() if len(names) > 1]
    if copies:
        report.find(
            "file.copies",
            f"{' and '.join(copies[0][:2])} hold the same values ({len(copies)} such sets).",
            tensors=tuple(copies[0]),
        )
    if coarse:
        names = [name for name, _ in coarse]
        report.find(
            "file.quantized-twice",
            f"{count(names)} on the grid of {coarse[0][1]} but stored in {weights.type_of(names[0])}, {names[0]} "
            f"among them.",
            tensors=tuple(names),
            grid=coarse[0][1],
        )
    _check_sizes(report, sizes, gains)
    _check_precision(report, weights)
    _check_snake(report, weights)
    _check_code_table(report, weights)
    # Of random weights, what is as initialised is so everywhere.
    odd = {name: value for name, value in unlearnt.items() if not random or _alone(name, unlearnt, sizes)}
    if odd:
        name, value = next(iter(odd.items()))
        report.find(
            "file.as-initialised",
            f"{some(list(odd))}: every value is {value:g}, as before training.",
            tensors=tuple(odd),
            value=value,
        )
    return random


def _initial_zeros(finite: dict[str, _Seen]) -> list[str]:
    """Tensors of zeros where an initialisation puts zeros, and nothing else is in such places of the same model."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in finite:
        if ending := next((one for one in _INITIALLY_ZEROS if name.endswith(one)), ""):
            alike[name.partition(".")[0], ending].append(name)
    return [name for names in alike.values() if all(finite[name].zeros for name in names) for name in names]


def _power(values: npt.NDArray[np.float32]) -> float:
    """The sum of squares, not finite where a value isn't."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        power = float(flat @ flat)
    usual = np.isfinite(power) and power > bounds.LEAST_POWER
    # What is very large or very small has squares that float32 has no room for.
    return power if usual else float(np.sum(np.square(flat, dtype=np.float64)))


def _alone(name: str, unlearnt: dict[str, float], sizes: dict[str, float]) -> bool:
    """Whether most of what stands at the same place in other layers is learnt."""
    siblings = [other for other in sizes if other != name and _kind(other) == _kind(name)]
    return sum(other not in unlearnt for other in siblings) * 2 > len(siblings)


def _check_code_table(report: Report, weights: StoredWeights) -> None:
    """Means of what a code stands for are of like length; sums are as long as their code is frequent."""
    name = "code2wav.code_embedding.weight"
    if name not in weights or weights.derived is None:
        return
    groups, size = weights.derived.config.code2wav.num_quantizers, weights.derived.config.code2wav.codebook_size
    table = weights[name].astype(np.float64)
    if table.ndim != 2 or len(table) != groups * size or size < bounds.LEAST_VALUES or not np.isfinite(table).all():
        return
    lengths = np.linalg.norm(table.reshape(groups, size, -1), axis=-1)
    used = [np.log(row[row > 0]) for row in lengths]
    spread = float(np.median([row.std() for row in used if row.size] or [0.0]))
    report.measurements["code_lengths"] = round(spread, 3)
    if bounds.CODE_SUMS.above(spread):
        report.find(
            "file.code-sums",
            f"The codes of a group in {name} differ in length by a factor of {math.exp(spread):.1f}, where they are "
            "usually alike.",
            tensors=(name,),
            cause={"kind": "formula", "where": name.removesuffix(".weight")},
            spread=spread,
        )


def _report_values(
    report: Report,
    weights: StoredWeights,
    not_finite: list[str],
    zeros: list[str],
    zero_rows: list[str],
    constant: list[str],
) -> None:
    if not_finite:
        n = int((~np.isfinite(weights[not_finite[0]])).sum())
        report.find(
            "file.not-finite",
            f"NaN or infinity in {some(not_finite)}: {n} values of the first.",
            tensors=tuple(not_finite),
        )
    biases = [name for name in zeros if name.endswith(".bias")]
    zeros = [name for name in zeros if name not in biases] + (biases if len(biases) < bounds.LEAST_ZERO_BIASES else [])
    if zeros:
        report.find("file.zeros", f"{count(zeros)} all zeros: {some(zeros)}.", tensors=tuple(zeros))
    if zero_rows:
        share = float((~weights[zero_rows[0]].reshape(len(weights[zero_rows[0]]), -1).any(axis=1)).mean())
        report.find(
            "file.zero-rows",
            f"{share:.0%} of the rows of {zero_rows[0]} are zeros.",
            tensors=tuple(zero_rows),
            share=share,
        )
    if constant:
        report.find("file.constant", f"{some(constant)} is the same in every row.", tensors=tuple(constant))


def _kind(name: str) -> str:
    """The same place in every layer."""
    return re.sub(r"\.\d+(?=\.|$)", ".*", name)


def _check_sizes(report: Report, sizes: dict[str, float], gains: dict[str, float]) -> None:
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, size in sizes.items():
        if size > 0:
            kinds[_kind(name)].append(name)
    odd: list[tuple[float, str, float]] = []
    for kind, names in kinds.items():
        if len(names) < bounds.LEAST_SIBLINGS:
            small = [name for name in names if "embed" in kind and bounds.TABLE_SIZE.below(sizes[name])]
            odd += [(sizes[name], name, bounds.TABLE_SIZE.value) for name in small]
            odd += [(sizes[name], name, 1.0) for name in names if bounds.SIZE_ALONE.above(sizes[name])]
            odd += [(sizes[n], n, usual) for n in names if (usual := _usual_beside(n, names, sizes, gains))]
            continue
        usual = float(np.median([sizes[name] for name in names]))
        most = bounds.LEARNT_SIZE if kind.endswith(_LEARNT) else bounds.MATRIX_SIZE
        far = {n for n in names if most.above(max(sizes[n] / usual, usual / sizes[n]))}
        far |= set() if kind.endswith(_LEARNT) else {n for n in names if _stands_apart(n, names, gains)}
        odd += [(sizes[n], n, usual) for n in names if n in far]
    if odd:
        size, name, usual = max(odd, key=lambda entry: abs(np.log(entry[0] / entry[2])))
        report.find(
            "file.scale",
            f"{name} has a root mean square of {size:.3g}, where {usual:.3g} is usual.",
            tensors=tuple(name for _, name, _ in odd),
            rms=size,
            usual=usual,
        )


def _fan_in(shape: tuple[int, ...]) -> int:
    """Values that are added up to one: of what is wider, each is smaller."""
    return shape[-1] if shape[-1] > bounds.LARGEST_KERNEL else math.prod(shape[1:])


def _usual_beside(name: str, names: list[str], sizes: dict[str, float], gains: dict[str, float]) -> float:
    """The size that a projection with few siblings should have by them and its module's others; 0 where it has it."""
    module, _, own = name.removesuffix(".weight").rpartition(".")
    others = [o for o in gains if o.rpartition(".")[0].rpartition(".")[0] == module and o.endswith("_proj.weight")]
    peers = sorted({*names, *others} - {name})
    if not own.endswith("_proj") or len(peers) < bounds.LEAST_SIBLINGS or not _stands_apart(name, peers, gains):
        return 0.0
    return sizes[name] * float(np.median([gains[other] for other in peers])) / gains[name]


def _stands_apart(name: str, names: list[str], gains: dict[str, float]) -> bool:
    """Whether what one matrix adds up is far from what its siblings do, and these are alike."""
    others = [gains[other] for other in names if other != name]
    if not gains[name] or not min(others) or max(others) > bounds.PEERS_ALIKE * min(others):
        return False
    usual = float(np.median(others))
    return bounds.PEER_SIZE.above(max(gains[name] / usual, usual / gains[name]))


def _check_precision(report: Report, weights: StoredWeights) -> None:
    low = []
    for name in weights:
        if name.startswith("thinker.model.layers"):
            continue
        need = need_of(name)
        if bits_of(weights.type_of(name)) < need.bits:
            low.append((need.bits - bits_of(weights.type_of(name)), name, need.reason))
    if low:
        low.sort(key=lambda entry: (not entry[1].startswith("code2wav."), -entry[0]))
        _, name, reason = low[0]
        report.find(
            "file.low-precision",
            f"{count([entry[1] for entry in low])} in too few bits: {name} is {weights.type_of(name)} ({reason}).",
            tensors=tuple(entry[1] for entry in low),
            tensors_concerned=len(low),
        )


def _check_randomness(
    report: Report, excess: dict[str, float], shapes: dict[str, tuple[int, ...]], zeros: list[str]
) -> bool:
    """Returns whether the weights are random numbers; `zeros`: tensors that are zeros by right where they are."""
    known = {name: value for name, value in excess.items() if value > 0 and not name.startswith("thinker.")}
    if len(known) < bounds.LEAST_MATRICES:
        return False
    trained = float(np.mean([bounds.TRAINED.above(value) for value in known.values()]))
    report.measurements["trained_share"] = round(trained, 3)
    if bounds.TRAINED_SHARE.below(trained):
        initial = f" {count(zeros)} all zeros, as before training: {some(zeros)}." if zeros else ""
        report.find(
            "file.untrained",
            f"The weights are random numbers: this model learned nothing, and makes noise.{initial}",
            share=trained,
            zeros=len(zeros),
        )
        return True
    # Of one shape, since the smaller a trained matrix is, the less its spectrum stands out.
    kinds: dict[tuple[str, tuple[int, ...]], list[float]] = defaultdict(list)
    for name, value in known.items():
        kinds[_kind(name), shapes[name]].append(value)
    odd = [n for n, value in known.items() if _trained(kinds[_kind(n), shapes[n]]) and bounds.RANDOM.below(value)]
    if odd:
        report.find(
            "file.looks-random",
            f"{some(odd)} look like random numbers, unlike their siblings.",
            tensors=tuple(odd),
        )
    return False


def _trained(siblings: list[float]) -> bool:
    """Whether the others are: most of them clearly, or all but one surely. Muon leaves little to see."""
    if len(siblings) < bounds.LEAST_SIBLINGS:
        return False
    clearly = bounds.SIBLINGS_TRAINED.above(float(np.median(siblings)))
    return clearly or bounds.SIBLINGS_SURELY.above(sorted(siblings)[1])


# --- Snake ------------------------------------------------------------------------------------------------------------


def _check_snake(report: Report, weights: StoredWeights) -> None:
    """Logarithms lie around 0, on both sides; exponentials are all positive, and lie around 1 or lean to the right."""
    if weights.file.family is CODE2WAV:
        return  # It stores exponentials.
    names = [name for name in weights if name.endswith((".alpha", ".beta"))]
    values = [weights[name].astype(np.float64).ravel() for name in names]
    if _check_one_snake(report, dict(zip(names, values, strict=True))):
        return
    if not values or any(not np.isfinite(v).all() or v.min() <= 0 for v in values):
        return
    n = sum(map(len, values))
    lean, lean_of_logs = (_lean([change(v) for v in values]) for change in (np.asarray, np.log))
    # What so many bell-shaped values have by luck deviates by the root of 6 / n.
    leans = bounds.SNAKE_LEAN.above(lean) and bounds.SNAKE_LEAN_LUCK.above(lean / math.sqrt(_LUCK / n))
    leans = leans and bounds.SNAKE_LOG_LEAN.below(abs(lean_of_logs) / lean)
    centres = [_centre(names, values, ending) for ending in (".alpha", ".beta")]
    if leans or bounds.SNAKE_CENTRE.below(max(abs(float(np.log(centre))) for centre in centres)):
        report.find(
            "file.snake-exponentiated",
            f"Snake's {n} alphas and betas are all positive, around {centres[0]:.2f} and {centres[1]:.2f}, and lean "
            f"to the "
            f"right by {lean:.2f}, their logarithms by {lean_of_logs:.2f}: they were exponentiated already.",
            tensors=tuple(names),
            skewness=lean,
            skewness_of_logarithms=lean_of_logs,
            medians=centres,
        )


def _check_one_snake(report: Report, values: dict[str, npt.NDArray[np.float64]]) -> bool:
    """Whether some lie far above the others, and their logarithms among these."""
    odd = []
    for ending in (".alpha", ".beta"):
        own = {name: v for name, v in values.items() if name.endswith(ending) and v.size and np.isfinite(v).all()}
        for name, v in own.items():
            medians = [float(np.median(other)) for n, other in own.items() if n != name]
            if len(medians) < bounds.LEAST_SIBLINGS or v.min() <= 0 or min(medians) >= max(medians):
                continue
            usual, spread = float(np.mean(medians)), float(np.std(medians))
            above, of_log = ((x - usual) / spread for x in (float(np.median(v)), float(np.median(np.log(v)))))
            if bounds.SNAKE_ABOVE.above(above) and bounds.SNAKE_AMONG.below(abs(of_log)):
                odd.append(name)
    if odd:
        report.find(
            "file.snake-exponentiated",
            f"{some(odd)} lies around {np.median(values[odd[0]]):.2f} and is all positive, unlike its siblings, among "
            "which its logarithms lie: it was exponentiated already.",
            tensors=tuple(odd),
            cause=[{"kind": "formula", "where": name.rpartition(".")[0]} for name in odd],
        )
    return bool(odd)


def _centre(names: list[str], values: list[npt.NDArray[np.float64]], ending: str) -> float:
    """The median of all tensors of one kind."""
    return float(np.median(np.concatenate([v for name, v in zip(names, values, strict=True) if name.endswith(ending)])))


def _lean(values: list[npt.NDArray[np.float64]]) -> float:
    """Skewness of the values, each tensor's mean and deviation taken out."""
    scaled = [(v - v.mean()) / v.std() for v in values if v.std() > 0]
    return float(np.mean(np.concatenate(scaled) ** _SKEWNESS)) if scaled else 0.0
