"""The file's settings: do they fit its shapes, its tokenizer and each other, and are they plausible?"""

from __future__ import annotations

from omniggml.doctor.case import Case
from omniggml.doctor.check_report import Report
from omniggml.doctor.thresholds import PLAUSIBLE, SETTING
from omniggml.files.geometry import token_ids
from omniggml.files.stored_weights import StoredWeights
from omniggml.spec.model_config import SAMPLE_RATE
from omniggml.spec.published import PUBLISHED

_SHOWN = 4


def check_settings(case: Case, report: Report, weights: StoredWeights) -> None:
    """Needs the geometry, but for what metadata alone tell."""
    _check_split(report, weights)
    if "talker" in weights.sections:
        _check_tokens(report, weights)
    if weights.derived is None:
        return
    _check_contradictions(report, weights)
    _check_settings(report, weights)
    _check_rate(report, weights)
    if "talker" in weights.sections:
        _check_ids(report, weights)
    assumed = {
        name: value
        for name, value in weights.derived.assumed.items()
        if name not in case.overrides and name.partition(".")[0] in weights.sections
    }
    if assumed:
        shown = ", ".join(f"{name}={value}" for name, value in list(assumed.items())[:_SHOWN])
        report.find(
            "file.assumed",
            f"The file does not tell {len(assumed)} setting{'s' if len(assumed) > 1 else ''}, taken from the published "
            f"model: {shown}{', ...' if list(assumed)[_SHOWN:] else ''}.",
            settings={name: str(value) for name, value in assumed.items()},
        )


def _check_split(report: Report, weights: StoredWeights) -> None:
    """16 x 2048 rows and 8 x 4096 are the same table; the predictor's heads and the talker's tell."""
    heads = weights.contents.numbers("talker.code_predictor.lm_head.{n}.weight")
    told = weights.told.get("code2wav", {})
    groups = told.get("num_quantizers")
    if not isinstance(groups, int) or not heads or "code2wav.code_embedding.weight" not in weights:
        return
    rows, real = weights.contents.rows("code2wav.code_embedding.weight"), heads + 1
    if groups != real:
        of = f" of {rows // groups}" if groups > 0 else ""
        report.find(
            "file.codebook-split",
            f"The metadata split the {rows} rows of code2wav.code_embedding into {groups} codebooks{of}; the "
            f"predictor's {heads} heads and the talker say {real} of {rows // real}.",
            tensors=("code2wav.code_embedding.weight",),
            groups=groups,
            heads=heads,
        )


def _check_contradictions(report: Report, weights: StoredWeights) -> None:
    assert weights.derived is not None
    wrong = []
    for section, values in weights.told.items():
        config = getattr(weights.derived.config, section, None)
        for name, value in values.items():
            derived = getattr(config, name, None)
            if derived is not None and isinstance(value, (int, float, tuple)) and not same_setting(value, derived):
                wrong.append(f"{section}.{name} is {value}, the tensors say {derived}")
    if wrong:
        report.find(
            "file.geometry",
            f"Metadata and shapes contradict each other: {wrong[0]}.",
            contradictions=wrong,
        )


def same_setting(a: object, b: object) -> bool:
    """Whether two values are one, as far as float32 can hold it."""
    if isinstance(a, float) and isinstance(b, (int, float)):
        return not SETTING.above(abs(a - b) / (max(abs(a), abs(b)) or 1))
    return a == b


def _check_settings(report: Report, weights: StoredWeights) -> None:
    assert weights.derived is not None
    config = weights.derived.config
    for section in weights.sections:
        if section == "token":
            continue
        part, published = getattr(config, section), getattr(PUBLISHED, section)
        is_published = all(
            getattr(part, name) == getattr(published, name)
            for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")
        )
        for field, (id, least, most) in PLAUSIBLE.items():
            value, usual = getattr(part, field, None), getattr(published, field, None)
            if value is None:
                continue
            odd = least.below(value) or most.above(value)
            if odd or (is_published and not same_setting(float(value), usual)):
                report.find(
                    id,
                    f"{section}.{field} is {value:g}; the published model has {usual:g}.",
                    value=value,
                    published=usual,
                )


def _check_rate(report: Report, weights: StoredWeights) -> None:
    rate = weights.told.get("code2wav", {}).get("sample_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        report.find(
            "file.sample-rate",
            f"The file says {rate} samples a second; Qwen3-Omni makes {SAMPLE_RATE}.",
            rate=rate,
        )


def _check_ids(report: Report, weights: StoredWeights) -> None:
    assert weights.derived is not None
    config = weights.derived.config
    talker, size = config.talker, config.code2wav.codebook_size
    ids = {name: getattr(talker, name) for name in vars(talker) if name.startswith("codec_")}
    ids |= {f"speaker {name}": number for name, number in talker.speakers}
    assumed = weights.derived.assumed
    told = {name: " (not told; the published model's)" if f"talker.{name}" in assumed else "" for name in ids}
    misplaced = [
        f"{name} {number}{told[name]}" for name, number in ids.items() if not size <= number < talker.vocab_size
    ]
    if misplaced:
        report.find(
            "file.special-ids",
            f"Ids for control must lie from {size} to {talker.vocab_size - 1}, above the codes: "
            f"{', '.join(misplaced)}.",
            ids=misplaced,
        )
    elif len(set(ids.values())) < len(ids):
        numbers = list(ids.values())
        twice = [f"{name} {number}" for name, number in ids.items() if numbers.count(number) > 1]
        report.find("file.special-ids", f"Ids for control are the same: {', '.join(twice)}.", ids=twice)


def _check_tokens(report: Report, weights: StoredWeights) -> None:
    """The tokenizer knows the ids of its texts, whatever the metadata say."""
    metadata = weights.file.header.metadata
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list):
        report.find("file.no-tokenizer", "The file has no tokenizer.")
        return
    told, known = weights.told.get("token", {}), token_ids(tokens)
    wrong = [
        f"{name} is {told[name]}, the tokenizer's is {known[name]}"
        for name in known
        if told.get(name, known[name]) != known[name]
    ]
    if wrong:
        report.find(
            "file.special-ids",
            f"Text ids in the metadata are not the tokenizer's: {'; '.join(wrong)}.",
            ids=wrong,
        )
    lacking = [name for name in ("tts_pad", "tts_bos", "tts_eos", "im_start", "im_end") if name not in known]
    if lacking:
        report.find("file.tokenizer", f"The tokenizer has no token for {', '.join(lacking)}.", lacking=lacking)
