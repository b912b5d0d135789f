"""The file: is everything there, does it add up, and do the values look like weights?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from omniggml.doctor.case import Case
from omniggml.doctor.grids import coarser_grid
from omniggml.doctor.spectrum import spectral_excess
from omniggml.files.geometry import token_ids
from omniggml.files.plan import stacked
from omniggml.files.stored_weights import StoredWeights
from omniggml.gguf.type_names import bits_of
from omniggml.spec.model_config import SAMPLE_RATE
from omniggml.spec.precision_needs import need_of
from omniggml.spec.published import PUBLISHED
from omniggml.spec.speech_file import LONGEST_NAME, speech_file_tensors

FloatArray = npt.NDArray[np.float32]

_TABLE = "thinker.model.embed_tokens.weight"
_PLAUSIBLE_EPS = (1e-9, 1e-3)
_PLAUSIBLE_THETA = (1e3, 1e9)
# Values of one kind in different layers differ by less; scales and norms are learnt and may differ by more.
_ODD_ONE_OUT = {True: 1000.0, False: 30.0}
_SMALLEST_TABLE = 1e-3
_NEAR_ONE = 0.3


def check_file(case: Case) -> None:
    """Needs nothing but the file. Reads every tensor once."""
    case.checked.append("file")
    found = case.inspection
    if found.family == "unknown":
        case.find("file.unreadable", f"{case.path} can't be used: {found.problem}", certainty=1)
        return
    weights = case.weights
    if weights is None:
        case.find("file.unloadable", f"{case.path} can't be used: {found.problem}", certainty=1)
        return
    _check_presence(case, weights)
    _check_metadata(case, weights)
    _check_values(case, weights)
    _check_snake(case, weights)
    _check_loading(case)


# --- presence ---------------------------------------------------------------------------------------------------------


def _check_presence(case: Case, weights: StoredWeights) -> None:
    missing = set(case.inspection.missing) | set(_gaps(weights))
    if weights.derived is None and case.inspection.family != "code2wav":
        missing |= {name for name in _always() if name not in weights}
    if not weights.under("thinker.model.layers."):
        # It speaks without a thinker, whose file may have the table of text tokens.
        kept = "" if case.options.thinker is not None else _TABLE
        missing = {name for name in missing if not name.startswith("thinker.") or name == kept}
    if missing:
        names = sorted(missing)
        case.find(
            "file.missing-tensors", f"{_count(names)} missing: {_some(names)}.", tensors=tuple(names), certainty=1
        )
    if weights.contents.unknown:
        unknown = weights.contents.unknown
        case.find(
            "file.extra-tensors",
            f"{_count(unknown)} in the file that belong nowhere: {_some(unknown)}.",
            tensors=tuple(unknown),
            certainty=0.9,
        )
    long = [name for name in weights.file.header.tensors if len(name.encode()) > LONGEST_NAME]
    if long:
        case.find(
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


def _check_loading(case: Case) -> None:
    """What the engine says that nothing above has said already."""
    if weights := case.weights:
        family = weights.file.family.name if weights.file.family else ""
        if family in ("code2wav", "thinker") or (family == "bundled" and case.options.thinker is None):
            case.skipped.append(f"running the model: {case.inspection.problem}")
            return
    if case.model is None and not any(finding.kind.severity.value == "broken" for finding in case.findings):
        case.find("file.unloadable", f"The file can't be loaded: {case.load_error}", certainty=0.9)


# --- metadata ---------------------------------------------------------------------------------------------------------


def _check_metadata(case: Case, weights: StoredWeights) -> None:
    _check_split(case, weights)
    if weights.derived is None:
        return
    _check_contradictions(case, weights)
    _check_settings(case, weights)
    _check_rate(case, weights)
    _check_ids(case, weights)
    assumed = {name: value for name, value in weights.derived.assumed.items() if name not in case.overrides}
    if assumed:
        shown = ", ".join(f"{name}={value}" for name, value in list(assumed.items())[:4])
        case.find(
            "file.assumed",
            f"The file does not tell {len(assumed)} settings, which were taken from the published model: {shown}, ...",
            settings={name: str(value) for name, value in assumed.items()},
        )


def _check_split(case: Case, weights: StoredWeights) -> None:
    """16 x 2048 rows and 8 x 4096 are the same table; the predictor's heads and the talker's tell."""
    heads = weights.contents.numbers("talker.code_predictor.lm_head.{n}.weight")
    told = _told(weights).get("code2wav", {})
    groups = told.get("num_quantizers")
    if not isinstance(groups, int) or not heads or "code2wav.code_embedding.weight" not in weights:
        return
    rows, real = weights.contents.rows("code2wav.code_embedding.weight"), heads + 1
    if groups != real:
        case.find(
            "file.codebook-split",
            f"The metadata split the {rows} rows of code2wav.code_embedding into {groups} codebooks of "
            f"{rows // groups}; the "
            f"predictor's {heads} heads and the talker say {real} of {rows // real}.",
            tensors=("code2wav.code_embedding.weight",),
            certainty=1,
            groups=groups,
            heads=heads,
        )


def _told(weights: StoredWeights) -> dict[str, dict[str, object]]:
    """The file's own metadata, section by section."""
    out: dict[str, dict[str, object]] = defaultdict(dict)
    for key, value in weights.file.header.metadata.items():
        parts = key.split(".")
        if len(parts) == 3 and parts[1] in ("talker", "code_predictor", "code2wav", "token"):
            out[parts[1]][parts[2]] = tuple(value) if isinstance(value, list) else value
        elif len(parts) == 2 and parts[0].endswith("code2wav"):
            out["code2wav"][parts[1]] = value
    return out


def _check_contradictions(case: Case, weights: StoredWeights) -> None:
    assert weights.derived is not None
    wrong = []
    for section, values in _told(weights).items():
        config = getattr(weights.derived.config, section, None)
        for name, value in values.items():
            derived = getattr(config, name, None)
            if derived is not None and isinstance(value, (int, float, tuple)) and not _same(value, derived):
                wrong.append(f"{section}.{name} is {value}, the tensors say {derived}")
    if wrong and not case.has("file.codebook-split"):
        case.find(
            "file.geometry",
            f"Metadata and shapes contradict each other: {wrong[0]}.",
            certainty=0.95,
            contradictions=wrong,
        )


def _same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, (int, float)):
        return abs(a - b) <= 1e-5 * abs(b)
    return a == b


def _check_settings(case: Case, weights: StoredWeights) -> None:
    assert weights.derived is not None
    config = weights.derived.config
    for section in ("talker", "code_predictor", "code2wav"):
        part, published = getattr(config, section), getattr(PUBLISHED, section)
        is_published = all(
            getattr(part, name) == getattr(published, name)
            for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")
        )
        for field, id, bounds in (
            ("rms_norm_eps", "file.eps", _PLAUSIBLE_EPS),
            ("rope_theta", "file.theta", _PLAUSIBLE_THETA),
            ("sliding_window", "file.window", (2, 1 << 13)),
        ):
            value, usual = getattr(part, field, None), getattr(published, field, None)
            if value is None:
                continue
            odd = not bounds[0] <= value <= bounds[1] or (is_published and not _same(float(value), usual))
            if odd:
                case.find(
                    id,
                    f"{section}.{field} is {value:g}; the published model has {usual:g}.",
                    certainty=0.7,
                    value=value,
                    published=usual,
                )


def _check_rate(case: Case, weights: StoredWeights) -> None:
    rate = _told(weights).get("code2wav", {}).get("sample_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        case.find(
            "file.sample-rate",
            f"The file says {rate} samples a second; Qwen3-Omni makes {SAMPLE_RATE}.",
            certainty=0.8,
            rate=rate,
        )


def _check_ids(case: Case, weights: StoredWeights) -> None:
    assert weights.derived is not None
    config = weights.derived.config
    talker, size = config.talker, config.code2wav.codebook_size
    ids = {name: getattr(talker, name) for name in vars(talker) if name.startswith("codec_")}
    ids |= {f"speaker {name}": number for name, number in talker.speakers}
    misplaced = [f"{name} {number}" for name, number in ids.items() if not size <= number < talker.vocab_size]
    if misplaced:
        case.find(
            "file.special-ids",
            f"Ids for control must lie from {size} to {talker.vocab_size - 1}, above the codes: "
            f"{', '.join(misplaced)}.",
            certainty=0.95,
            ids=misplaced,
        )
    elif len(set(ids.values())) < len(ids):
        numbers = list(ids.values())
        twice = [f"{name} {number}" for name, number in ids.items() if numbers.count(number) > 1]
        case.find("file.special-ids", f"Ids for control are the same: {', '.join(twice)}.", certainty=0.95, ids=twice)
    _check_tokens(case, weights)


def _check_tokens(case: Case, weights: StoredWeights) -> None:
    assert weights.derived is not None
    metadata = weights.file.header.metadata
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list):
        case.find("file.no-tokenizer", "The file has no tokenizer.")
        return
    told, known = _told(weights).get("token", {}), token_ids(tokens)
    wrong = [
        f"{name} is {told[name]}, the tokenizer's is {known[name]}"
        for name in known
        if told.get(name, known[name]) != known[name]
    ]
    if wrong:
        case.find(
            "file.special-ids",
            f"Text ids in the metadata are not the tokenizer's: {'; '.join(wrong)}.",
            certainty=0.95,
            ids=wrong,
        )
    lacking = [name for name in ("tts_pad", "tts_bos", "tts_eos", "im_start", "im_end") if name not in known]
    if lacking:
        case.find(
            "file.tokenizer", f"The tokenizer has no token for {', '.join(lacking)}.", certainty=0.8, lacking=lacking
        )


# --- values -----------------------------------------------------------------------------------------------------------


def _check_values(case: Case, weights: StoredWeights) -> None:
    sizes: dict[str, float] = {}
    excess: dict[str, float] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    digests: dict[bytes, list[str]] = defaultdict(list)
    not_finite, zeros, zero_rows, constant, coarse = [], [], [], [], []
    for name in weights:
        values = weights[name]
        if not np.isfinite(values).all():
            not_finite.append(name)
            continue
        sizes[name] = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
        if not values.any():
            zeros.append(name)
            continue
        if values.ndim > 1 and values.size > 64:
            digests[_kind(name).encode() + values.tobytes()[:65536]].append(name)
            rows = values.reshape(len(values), -1)
            if (~rows.any(axis=1)).mean() > 0.2:
                zero_rows.append(name)
            elif len(rows) > 3 and (np.ptp(rows) == 0 or (rows == rows[0]).all()):
                constant.append(name)
            elif grid := coarser_grid(values, weights.type_of(name)):
                coarse.append((name, grid))
            else:
                excess[name] = spectral_excess(values)
                shapes[name] = values.shape
    _report_values(case, weights, not_finite, zeros, zero_rows, constant)
    copies = [names for names in digests.values() if len(names) > 1]
    if copies:
        case.find(
            "file.copies",
            f"{' and '.join(copies[0][:2])} hold the same values ({len(copies)} such sets).",
            tensors=tuple(copies[0]),
            certainty=0.97,
        )
    if coarse:
        names = [name for name, _ in coarse]
        case.find(
            "file.quantized-twice",
            f"{_count(names)} on the grid of {coarse[0][1]} but stored in {weights.type_of(names[0])}, {names[0]} "
            f"among them.",
            tensors=tuple(names),
            certainty=0.75,
            grid=coarse[0][1],
        )
    _check_sizes(case, weights, sizes)
    _check_precision(case, weights)
    _check_randomness(case, excess, shapes)


def _report_values(
    case: Case,
    weights: StoredWeights,
    not_finite: list[str],
    zeros: list[str],
    zero_rows: list[str],
    constant: list[str],
) -> None:
    if not_finite:
        n = int((~np.isfinite(weights[not_finite[0]])).sum())
        case.find(
            "file.not-finite",
            f"NaN or infinity in {_some(not_finite)}: {n} values of the first.",
            tensors=tuple(not_finite),
            certainty=1,
        )
    biases = [name for name in zeros if name.endswith(".bias")]
    zeros = [name for name in zeros if name not in biases] + (biases if len(biases) < 3 else [])
    if zeros:
        case.find("file.zeros", f"{_count(zeros)} all zeros: {_some(zeros)}.", tensors=tuple(zeros), certainty=0.98)
    if zero_rows:
        share = float((~weights[zero_rows[0]].reshape(len(weights[zero_rows[0]]), -1).any(axis=1)).mean())
        case.find(
            "file.zero-rows",
            f"{share:.0%} of the rows of {zero_rows[0]} are zeros.",
            tensors=tuple(zero_rows),
            certainty=0.95,
            share=share,
        )
    if constant:
        case.find(
            "file.constant", f"{_some(constant)} is the same in every row.", tensors=tuple(constant), certainty=0.9
        )


def _kind(name: str) -> str:
    """The same place in every layer."""
    return re.sub(r"\.\d+(?=\.|$)", ".*", name)


def _check_sizes(case: Case, weights: StoredWeights, sizes: dict[str, float]) -> None:
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, size in sizes.items():
        if size > 0:
            kinds[_kind(name)].append(name)
    odd: list[tuple[float, str, float]] = []
    for kind, names in kinds.items():
        table = "embed" in kind
        if len(names) < 3:
            odd += [(sizes[name], name, _SMALLEST_TABLE) for name in names if table and sizes[name] < _SMALLEST_TABLE]
            odd += [(sizes[name], name, 1.0) for name in names if sizes[name] > 1e3]
            continue
        usual = float(np.median([sizes[name] for name in names]))
        learnt = kind.endswith(("norm.weight", "layernorm", ".scale", ".gamma", ".bias", ".alpha", ".beta"))
        most = _ODD_ONE_OUT[learnt]
        odd += [(sizes[name], name, usual) for name in names if not usual / most < sizes[name] < usual * most]
    if odd:
        size, name, usual = max(odd, key=lambda entry: abs(np.log(entry[0] / entry[2])))
        case.find(
            "file.scale",
            f"{name} has a root mean square of {size:.3g}, where {usual:.3g} is usual.",
            tensors=tuple(name for _, name, _ in odd),
            certainty=0.9,
            rms=size,
            usual=usual,
        )


def _check_precision(case: Case, weights: StoredWeights) -> None:
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
        case.find(
            "file.low-precision",
            f"{_count([entry[1] for entry in low])} in too few bits: {name} is {weights.type_of(name)} ({reason}).",
            tensors=tuple(entry[1] for entry in low),
            certainty=0.6,
            tensors_concerned=len(low),
        )


def _check_randomness(case: Case, excess: dict[str, float], shapes: dict[str, tuple[int, ...]]) -> None:
    known = {name: value for name, value in excess.items() if value > 0 and not name.startswith("thinker.")}
    if len(known) < 8:
        return
    trained = float(np.mean([value > 1.25 for value in known.values()]))
    case.measurements["trained_share"] = round(trained, 3)
    if trained < 0.1:
        case.find(
            "file.untrained",
            "The weights are random numbers: this model learned nothing, and makes noise.",
            share=trained,
        )
        return
    # Of one shape, since the smaller a trained matrix is, the less its spectrum stands out.
    kinds: dict[tuple[str, tuple[int, ...]], list[float]] = defaultdict(list)
    for name, value in known.items():
        kinds[_kind(name), shapes[name]].append(value)
    odd = [name for name, value in known.items() if value < 1.06 and _trained(kinds[_kind(name), shapes[name]])]
    if odd:
        case.find(
            "file.looks-random",
            f"{_some(odd)} look like random numbers, unlike their siblings.",
            tensors=tuple(odd),
            certainty=0.6,
        )


def _trained(siblings: list[float]) -> bool:
    """Whether the others are: most of them clearly, or all but one surely. Muon leaves little to see."""
    return len(siblings) > 2 and (float(np.median(siblings)) > 1.5 or sorted(siblings)[1] > 1.15)


# --- Snake ------------------------------------------------------------------------------------------------------------


def _check_snake(case: Case, weights: StoredWeights) -> None:
    """Logarithms lie around 0, on both sides; exponentials are all positive, and lie around 1 or lean to the right."""
    family = weights.file.family
    if family is not None and family.name == "code2wav":
        return
    names = [name for name in weights if name.endswith((".alpha", ".beta"))]
    values = [weights[name].astype(np.float64).ravel() for name in names]
    if not values or any(not np.isfinite(v).all() or v.min() <= 0 for v in values):
        return
    n = sum(map(len, values))
    lean, lean_of_logs = (_lean([change(v) for v in values]) for change in (np.asarray, np.log))
    leans = lean > max(0.2, 4 * (6 / n) ** 0.5) and abs(lean_of_logs) < lean / 2
    centres = [_centre(names, values, ending) for ending in (".alpha", ".beta")]
    if leans or max(abs(np.log(centre)) for centre in centres) < _NEAR_ONE:
        case.find(
            "file.snake-exponentiated",
            f"Snake's {n} alphas and betas are all positive, around {centres[0]:.2f} and {centres[1]:.2f}, and lean "
            f"to the "
            f"right by {lean:.2f}, their logarithms by {lean_of_logs:.2f}: they were exponentiated already.",
            tensors=tuple(names),
            certainty=0.93,
            skewness=lean,
            skewness_of_logarithms=lean_of_logs,
            medians=centres,
        )


def _centre(names: list[str], values: list[npt.NDArray[np.float64]], ending: str) -> float:
    """The median of all tensors of one kind."""
    return float(np.median(np.concatenate([v for name, v in zip(names, values, strict=True) if name.endswith(ending)])))


def _lean(values: list[npt.NDArray[np.float64]]) -> float:
    """Skewness of the values, each tensor's mean and deviation taken out."""
    scaled = [(v - v.mean()) / v.std() for v in values if v.std() > 0]
    return float(np.mean(np.concatenate(scaled) ** 3)) if scaled else 0.0


# --- words ------------------------------------------------------------------------------------------------------------


def _count(names: list[str]) -> str:
    return f"{len(names)} tensor{'s are' if len(names) > 1 else ' is'}"


def _some(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
