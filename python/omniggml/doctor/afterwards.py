"""What happened to right samples that kept their places: wrapped, rounded, clicked, silenced, windowed, filtered, laid
over. Each is measured by what it was, made of ours, and named only where hardly anything of theirs is left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from omniggml.doctor import thresholds as bounds
from omniggml.doctor.levelling import comes_back, hold, in_pieces, left_with_gains, levelled, levelled_words
from omniggml.doctor.steps import in_steps
from omniggml.doctor.words import some
from omniggml.spec.model_config import SAMPLE_RATE

Samples = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_TINY = 1e-12
FILTER_TAPS = np.arange(-bounds.TAPS_AHEAD, bounds.TAPS)
_STEEP_TAPS = np.arange(-bounds.TAPS, bounds.TAPS + 1)  # of filters that delay no tone, and cut one from the next
_FULL_TURN = 2.0  # from one limit to the other


@dataclass(frozen=True)
class Alteration:
    """`id` and `sentence` of what is found; `kind` for programs; `left`: the share of theirs that is left over."""

    id: str
    sentence: str
    kind: str
    left: float
    evidence: Mapping[str, Any] = field(default_factory=dict)


def change_of(theirs: Samples, ours: Samples, explained: float) -> Alteration | None:
    """The change that makes theirs of ours but for the share `explained`; None where none of these does."""
    n = min(len(theirs), len(ours))
    a, b = theirs[:n], ours[:n]
    if n < bounds.LEAST_COMMON or bounds.SAME.value < explained or not a.any() or not b.any():
        return None
    if _fit(a, b)[1] <= explained:
        return None  # nothing happened to it but a factor
    ways = (_wrapped, _few_levels, _clicks_or_gaps, _hum, _faded, _stepped, _bent)
    slower = (_levelled, _envelope, _at_the_edges, _filtered)
    return next((found for way in (*ways, *slower) if (found := way(a, b, explained)) is not None), None)


def noise_over(theirs: Samples, ours: Samples) -> Alteration | None:
    """White noise, as loud in pauses as elsewhere, that lies over ours: what no mistake of a vocoder leaves."""
    n = min(len(theirs), len(ours))
    a, b = theirs[:n], ours[:n]
    if n < bounds.LEAST_COMMON or not a.any() or not b.any():
        return None
    gain, left = _fit(a, b)
    rest = a - gain * b
    power = np.square(in_pieces(rest)).mean(axis=1)
    low, high = np.quantile(power, bounds.STEADY_PARTS)
    own = np.square(in_pieces(b)).mean(axis=1)
    varied = float(np.quantile(own, bounds.STEADY_PARTS[1]) / (np.quantile(own, bounds.STEADY_PARTS[0]) + _TINY))
    frames = in_pieces(rest) * np.hanning(bounds.PIECE)
    spectrum = np.square(np.abs(np.fft.rfft(frames, axis=1))).mean(axis=0)[1:-1] + _TINY
    flatness = float(np.exp(np.mean(np.log(spectrum))) / spectrum.mean())
    if not bounds.STEADY.below(float(high / (low + _TINY))) or not bounds.VARIED.above(varied):
        return None
    if not bounds.WHITE.above(flatness) or bounds.MISTAKE_LEAVES.above(left):
        return None
    words = (
        f"Your audio is ours with noise over it, {-_decibels(left):.0f} dB below it, as loud in pauses as elsewhere."
    )
    return Alteration("audio.added", words, "noise", left, {"flatness": flatness})


def _gain(a: Samples, b: Samples) -> float:
    """Of theirs over ours, whatever was done to the loudest and to some of the others."""
    low, high = np.quantile(np.abs(b), bounds.MIDDLING)
    middle = (np.abs(b) > max(low, _TINY)) & (np.abs(b) <= high)
    return float(np.median(a[middle] / b[middle])) if middle.any() else 0.0


def _fit(a: Samples, b: Samples) -> tuple[float, float]:
    """The gain of least squares, and the share of a that it leaves over."""
    gain = float(a @ b) / max(float(b @ b), _TINY)
    return gain, _left(a, gain * b)


def _left(a: Samples, made: Samples) -> float:
    """The share of a that is left over of it by what was made of ours."""
    return float(np.square(a - made).sum()) / max(float(a @ a), _TINY)


def _wrapped(a: Samples, b: Samples, explained: float) -> Alteration | None:
    gain = _gain(a, b)
    turns = np.zeros_like(a)
    for _ in range(bounds.FITTED_AGAIN):
        turns = np.round((gain * b - a) / _FULL_TURN)
        gain, left = _fit(a + _FULL_TURN * turns, b)
    n = int(np.count_nonzero(turns))
    if not n or left > explained:
        return None
    words = f"Your audio is ours times {gain:.2f}, where {n} samples beyond the limits come in again at the other one."
    return Alteration("audio.wrapped", words, "clipped", left, {"samples": n, "gain": gain})


def _few_levels(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Rounded to so few levels that they can be counted."""
    levels = np.unique(a)
    if not 1 < len(levels) <= bounds.FEW_LEVELS:
        return None
    step = float(np.diff(levels).min())
    inside = np.abs(a) < bounds.FULL
    for gain in (1.0, _fit(a, b)[0]):
        near = float(np.mean(np.abs(a - gain * b)[inside] <= bounds.HALF_A_STEP * step))
        if bounds.ON_LEVELS.above(near):
            words = f"Your audio is ours, rounded to steps of {step:.3g}: it has {len(levels)} different samples."
            return Alteration("audio.few-levels", words, "noise", _fit(a, b)[1], {"levels": len(levels), "step": step})
    return None


def _clicks_or_gaps(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Ours but for some samples, or for a piece or more in which there is nothing, or ours backwards."""
    gain = _gain(a, b)
    off = np.abs(a - gain * b)
    wrong = np.flatnonzero(off > bounds.FAR_OFF * np.sqrt(explained * np.mean(np.square(a))) + bounds.AUDIBLE)
    if not len(wrong) or len(wrong) > bounds.MOST_WRONG * len(a):
        return None
    parts = _parts(wrong)
    kept = np.ones(len(a), bool)
    for begin, end in parts:
        kept[begin:end] = False
    left = float(np.square(off[kept]).sum()) / max(float(np.square(a[kept]).sum()), _TINY)
    if left > explained:
        return None
    if max(end - begin for begin, end in parts) <= bounds.CLICK_LENGTH:
        return _clicks([begin for begin, _ in parts], left)
    kinds = {_inside(a, gain * b, begin, end) for begin, end in parts}
    if len(parts) > bounds.MOST_GAPS or len(kinds) > 1 or "" in kinds:
        return None
    kind = kinds.pop()
    where = ", ".join(f"from {begin / SAMPLE_RATE:.2f} to {end / SAMPLE_RATE:.2f} s" for begin, end in parts)
    words = f"Your audio is ours, but {where} {'there is nothing' if kind == 'gap' else 'it runs backwards'}."
    return Alteration("audio.pieces", words, kind, left, {"pieces": [list(part) for part in parts]})


def _parts(wrong: Places) -> list[tuple[int, int]]:
    """Begin and end of what lies close together."""
    cuts = np.flatnonzero(np.diff(wrong) > bounds.CLOSE_TOGETHER)
    begins, ends = wrong[np.concatenate([[0], cuts + 1])], wrong[np.concatenate([cuts, [len(wrong) - 1]])] + 1
    return [(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


def _clicks(places: list[int], left: float) -> Alteration:
    apart = float(np.median(np.diff(places))) if len(places) > 1 else 0.0
    many = f"{len(places)} clicks, {apart / SAMPLE_RATE:.3f} s apart" if apart else "a click"
    words = f"Your audio is ours but for {many}, the first at {places[0] / SAMPLE_RATE:.3f} s."
    return Alteration("audio.clicks", words, "clicks", left, {"period": apart, "jumps": len(places)})


def _inside(a: Samples, b: Samples, begin: int, end: int) -> str:
    """What is where theirs is not ours: "gap", "order" for ours backwards, "" for something else."""
    if float(np.abs(a[begin:end]).max()) <= bounds.NOTHING:
        return "gap"
    # At a piece's ends, samples may be like those backwards by chance.
    for more in range(bounds.CLICK_LENGTH):
        for first, last in ((begin - more, end), (begin, end + more)):
            if first >= 0 and last <= len(a) and bounds.SAME.below(_fit(a[first:last], b[first:last][::-1])[1]):
                return "order"
    return ""


def _hum(a: Samples, b: Samples, explained: float) -> Alteration | None:
    gain, before = _fit(a, b)
    rest = a - gain * b
    spectrum = np.square(np.abs(np.fft.rfft(rest * np.hanning(len(rest)))))
    peak = int(np.argmax(spectrum))
    near = spectrum[max(0, peak - bounds.WIDE_LINE) : peak + bounds.WIDE_LINE + 1].sum()
    share = float(near) / (float(spectrum.sum()) or 1)
    if peak <= bounds.WIDE_LINE or not bounds.SAME.above(before) or not bounds.ONE_LINE.above(share):
        return None
    hertz = peak * SAMPLE_RATE / len(rest)
    words = f"Your audio is ours with a tone of {hertz:.0f} Hz over it, {-_decibels(before):.0f} dB below it."
    return Alteration("audio.added", words, "noise", (1 - share) * before, {"hertz": hertz})


def _stepped(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Ours in pieces, each as much louder or softer in all of its samples."""
    steps = in_steps(a, b)
    if steps is None:
        return None
    begins, gains = steps
    left = _left(a, np.repeat(gains, np.diff([*begins, len(a)])) * b)
    if left > max(explained, bounds.EXPLAINS.value) or not bounds.CHANGE_BEATS.below(left / _fit(a, b)[1]):
        return None
    each = [f"{gain:.2f} from {begin / SAMPLE_RATE:.2f} s on" for begin, gain in zip(begins, gains, strict=True)]
    words = (
        f"Your audio is ours in {len(gains)} pieces with a loudness of their own, as where each is normalised by "
        f"itself: it is ours times {some(each, bounds.NAMED_ERRORS)}."
    )
    return Alteration("audio.envelope", words, "gain", left, {"begins": begins, "gains": gains})


def _bent(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Each sample changed by itself: a curve over ours, through the means of theirs where ours is alike."""
    edges = np.unique(np.quantile(b, np.linspace(0, 1, bounds.CURVE + 1)))
    too_loud = float(np.mean(np.abs(a) >= bounds.FULL)) > bounds.MANY_AT_THE_LIMIT  # which is another finding
    if too_loud or len(edges) <= bounds.CURVE // 2:
        return None
    place = np.clip(np.searchsorted(edges, b, side="right") - 1, 0, len(edges) - 2)
    count = np.maximum(np.bincount(place, minlength=len(edges) - 1), 1)
    ours, theirs = (np.bincount(place, x, minlength=len(edges) - 1) / count for x in (b, a))
    left = _left(a, np.interp(b, ours, theirs))
    gain = _fit(a, b)[0]
    straight = _fit(a - a.mean(), b - b.mean())[1]  # with a constant it is bent no more
    if left > max(explained, bounds.EXPLAINS.value) or not bounds.CHANGE_BEATS.below(left / straight):
        return None
    middle = np.abs(b) <= np.median(np.abs(b))
    soft, most = _fit(a[middle], b[middle])[0], float(np.abs(a).max())
    how = f"they are cut at {most:.2f}" if _is_flat(a) else f"the soft half is {soft / gain:.2f} times as loud as all"
    words = f"Your audio is ours with each sample bent by itself, as by a limit, tanh or an overdriven stage: {how}."
    return Alteration("audio.bent", words, "limit", left, {"gain": gain})


def _is_flat(a: Samples) -> bool:
    """Whether many samples are the loudest."""
    return bool(np.mean(np.abs(a) >= bounds.AT_THE_LIMIT * np.abs(a).max()) > bounds.MANY_AT_THE_LIMIT)


def _faded(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Ours as loud as it is for a while, softer and softer before or behind that."""
    width = bounds.PIECE
    if len(a) // width < bounds.FEWEST_PIECES:
        return None
    x, y = in_pieces(a), in_pieces(b)
    own = np.square(y).sum(axis=1)
    loud = np.flatnonzero(own > own.mean() * bounds.LOUD_PIECE)
    gains = (x * y).sum(axis=1)[loud] / own[loud]
    unfaded = _unfaded(gains)
    if unfaded is None:
        return None
    (first, last), at = unfaded, (loud + 0.5) * width
    left = _left(a, np.interp(np.arange(len(a)), at, gains) * b)
    if not bounds.ENVELOPE_LEAVES.below(left):
        return None
    ends = (("in", at[first] / SAMPLE_RATE, first), ("out", (len(a) - at[last]) / SAMPLE_RATE, len(gains) - 1 - last))
    how = " and ".join(f"{way} over {seconds:.2f} s" for way, seconds, pieces in ends if pieces)
    return Alteration("audio.faded", f"Your audio is ours, faded {how}.", "gain", left)


def _unfaded(gains: npt.NDArray[np.floating[Any]]) -> tuple[int, int] | None:
    """The first and the last piece that is as loud as it should be, where those before get louder, those behind softer;
    None where it isn't so."""
    full = float(np.quantile(gains, bounds.FULL_GAIN))
    inner = np.flatnonzero(gains > bounds.LIKE_FULL * full)
    if full <= 0 or not len(inner):
        return None
    first, last = int(inner[0]), int(inner[-1])
    slack, outer = (1 - bounds.LIKE_FULL) * full, np.concatenate([gains[:first], gains[last + 1 :]])
    rises, falls = np.diff(gains[: first + 1]) > -slack, np.diff(gains[last:]) < slack
    steady = gains[first : last + 1] > full - 2 * slack
    fades = rises.all() and falls.all() and steady.all() and outer.size and outer.min() <= bounds.FAINT * full
    return (first, last) if fades else None


def _at_the_edges(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Ours but for what resamplers take of the highest tones, and filters against a constant of the lowest."""
    hertz, theirs, ours = np.fft.rfftfreq(len(a), 1 / SAMPLE_RATE), np.fft.rfft(a), np.fft.rfft(b)
    above = bounds.RESAMPLED_BAND * SAMPLE_RATE / 2
    high = hertz > above
    # What is taken away: a mistake puts something else there.
    softer = _energy(theirs[high]) <= _energy(ours[high])
    most = max(explained, bounds.EXPLAINS.value)
    if delay := _delay(theirs, ours, hertz):
        theirs = theirs * np.exp(2j * np.pi * hertz / SAMPLE_RATE * delay)
        if _fitted(theirs[~high], ours[~high])[1] <= most:
            return None  # it is ours, elsewhere
    for passed, how, id in _high_passes(hertz):
        filtered = ours * passed
        gain, left_inside = _fitted(theirs[~high], filtered[~high])
        left = _energy(theirs - gain * filtered) / max(_energy(theirs), _TINY)
        if how and left <= most:
            return Alteration(id, f"Your audio is ours {how}.", "filtered", left, {"gain": gain})
        if left_inside <= most and softer:
            also = f" {how}, and" if how else ""
            words = (
                f"Your audio is ours{also} but for what it lacks above {above / 1000:.1f} kHz, as a resampler takes it."
            )
            return Alteration(id, words, "filtered", left_inside, {"gain": gain})
    return None


def _fitted(
    theirs: npt.NDArray[np.complexfloating[Any, Any]], ours: npt.NDArray[np.complexfloating[Any, Any]]
) -> tuple[float, float]:
    """As `_fit`, of spectra."""
    gain = float((theirs * np.conj(ours)).real.sum()) / max(_energy(ours), _TINY)
    return gain, _energy(theirs - gain * ours) / max(_energy(theirs), _TINY)


def _delay(
    theirs: npt.NDArray[np.complexfloating[Any, Any]],
    ours: npt.NDArray[np.complexfloating[Any, Any]],
    hertz: npt.NDArray[np.floating[Any]],
) -> int:
    """Samples by which theirs is late in tones that such filters leave alone: below, they delay, and the whole was laid
    where most of it fits."""
    low, high = bounds.LEFT_ALONE
    crossed = np.fft.irfft(np.where((hertz > low) & (hertz < high), theirs * np.conj(ours), 0))
    reach = min(bounds.TAPS_AHEAD, len(crossed) // 2)
    near = np.concatenate([crossed[-reach:], crossed[:reach]])
    return int(np.argmax(np.abs(near))) - reach


def _energy(spectrum: npt.NDArray[np.complexfloating[Any, Any]]) -> float:
    return float(np.square(np.abs(spectrum)).sum())


def _high_passes(
    hertz: npt.NDArray[np.floating[Any]],
) -> Iterator[tuple[npt.NDArray[np.complexfloating[Any, Any]], str, str]]:
    """Responses of none, and of filters of the first and second order (Butterworth's) that take the lowest tones, what
    to say of each, and the finding: what takes a voice's own tones is heard."""
    yield np.ones(len(hertz), complex), "", "audio.band"
    for below in np.geomspace(*bounds.HIGH_PASSES):
        s = 1j * hertz / below
        how = f"without its lowest tones, below about {below:.0f} Hz"
        id = "audio.band" if below <= bounds.LOWEST_OF_VOICE else "audio.filtered"
        yield s / (1 + s), how, id
        yield s**2 / (s**2 + np.sqrt(2) * s + 1), how, id


def _levelled(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Softer where it is loud."""
    left = _fit(a, b)[1]
    gains = levelled(a, b, left)
    if gains is None:
        return None
    evidence = {"gain": float(np.mean(gains))}
    return Alteration("audio.gain", levelled_words(gains), "gain", left_with_gains(a, b), evidence)


def _envelope(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Ours times something that changes slowly, by a parabola in each piece of 20 ms."""
    width = bounds.PIECE
    if len(a) // width < bounds.FEWEST_PIECES:
        return None
    x, y = in_pieces(a), in_pieces(b)
    time = np.linspace(-1, 1, width)
    basis = y[:, :, None] * np.stack([np.ones(width), time, time**2], axis=1)  # [pieces, samples, 3]
    square = np.einsum("pti,ptj->pij", basis, basis) + _TINY * np.eye(3)
    right = np.einsum("pti,pt->pi", basis, x)
    found = np.linalg.solve(square, right[:, :, None])[:, :, 0]
    rest = np.square(x - np.einsum("pti,pi->pt", basis, found)).sum(axis=1)
    left = float(rest.sum()) / max(float(np.square(x).sum()), _TINY)
    loud = np.square(y).mean(axis=1) > np.square(b).mean() * bounds.LOUD_PIECE
    gains = np.sqrt(np.square(x).sum(axis=1) / np.maximum(np.square(y).sum(axis=1), _TINY))[loud]
    one_gain = _fit(a, b)[1]
    if not len(gains) or not bounds.ENVELOPE_LEAVES.below(left) or not bounds.CHANGE_BEATS.below(left / one_gain):
        return None
    inner = np.square(x[loud]).sum(axis=1)
    typical = float(np.median(rest[loud] / np.maximum(inner, _TINY)))
    varies = bounds.ENVELOPE_VARIES.above(float(gains.std() / gains.mean()))
    # Gains that hardly vary must explain all.
    if not bounds.ENVELOPE_TYPICAL.below(typical) or not (varies or left < bounds.ALL_BUT * one_gain):
        return None
    low, high = np.quantile(gains, bounds.STEADY_PARTS)
    evidence = {"least": float(low), "most": float(high)}
    changes = f"Your audio is ours, but its loudness changes all the time, between {low:.2f} and {high:.2f} of ours"
    every = np.full(len(loud), np.nan)
    every[loud] = gains
    if not comes_back(every) and not hold(every):
        return Alteration("audio.gain", f"{changes}, as a loudness filter makes it.", "gain", left, evidence)
    if not varies:
        return None
    return Alteration("audio.envelope", f"{changes}: a window or a gain is put on each piece.", "gain", left, evidence)


def _filtered(a: Samples, b: Samples, explained: float) -> Alteration | None:
    """Ours through a filter of some hundred taps, and an echo beyond them."""
    most, lags = max(explained, bounds.EXPLAINS.value), FILTER_TAPS
    if len(a) < bounds.SAMPLES_A_TAP * len(lags):
        return None
    taps, left = taps_of(a, b, lags)
    if left > most and len(a) >= bounds.SAMPLES_A_TAP * len(_STEEP_TAPS):
        steep = taps_of(a, b, _STEEP_TAPS)
        lags, (taps, left) = (_STEEP_TAPS, steep) if steep[1] <= most else (lags, (taps, left))
    echo = 0
    if left > explained and lags is FILTER_TAPS:
        echo = _echo(a, b)
        lags = np.concatenate([lags, np.arange(echo - 2, echo + 3)])
        taps, left = taps_of(a, b, lags) if echo else (taps, left)
    if left > most or not bounds.MISTAKE_BEATS.below(left / left_delayed(a, b, lags)):
        return None
    if echo:
        after, size = echo / SAMPLE_RATE, float(np.abs(taps[-5:]).max() / (np.abs(taps[:-5]).max() or 1))
        words = f"Your audio is ours with an echo after {after:.3f} s, {size:.2f} times as loud."
        return Alteration("audio.filtered", words, "filtered", left, {"echo": after, "gain": size})
    low, high = (_response(lags, taps, *band) for band in bounds.BANDS)
    tilt = _decibels(high) - _decibels(low)
    how = "highs and lows are as loud beside each other as ours"
    if bounds.TILTED.above(abs(tilt)):
        how = f"highs are {abs(tilt):.0f} dB {'louder' if tilt > 0 else 'softer'} than ours beside the lows"
    return Alteration(
        "audio.filtered", f"Your audio is ours through a filter: {how}.", "filtered", left, {"tilt": tilt}
    )


def left_delayed(a: Samples, b: Samples, lags: Places) -> float:
    """The share of a that one tap of these leaves over: ours later and at another loudness is no filter."""
    size = 1 << (2 * len(a)).bit_length()
    crossed = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)[lags]
    lag = int(lags[np.argmax(np.abs(crossed))])
    return max(_fit(a[max(lag, 0) :][: len(b) - abs(lag)], b[max(-lag, 0) :][: len(a) - abs(lag)])[1], _TINY)


def taps_of(a: Samples, b: Samples, lags: Places) -> tuple[Samples, float]:
    """The filter of least squares with taps at `lags`, and the share of a that it leaves over. What a has at the limits
    was beyond them: there the filter's own is taken for it, and a filter found again."""
    size = 1 << (2 * len(a)).bit_length()
    one, cut = np.fft.rfft(b, size), np.abs(a) >= bounds.FULL
    own = np.fft.irfft(np.square(np.abs(one)), size)
    square = own[np.abs(lags[:, None] - lags[None, :])] + np.eye(len(lags)) * own[0] * bounds.STIFFNESS
    whole, made, taps = a, a, np.zeros(len(lags))
    for _ in range(bounds.FITTED_AGAIN if cut.any() else 1):
        crossed = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(one), size)
        taps = np.linalg.solve(square, crossed[lags])
        made = through(b, lags, taps)
        whole = np.where(cut, np.sign(a) * np.maximum(np.abs(a), np.sign(a) * made), a)
    inside = np.where(cut, np.clip(made, -1, 1), made)
    return taps, _left(a, inside)


def through(b: Samples, lags: Places, taps: Samples) -> Samples:
    size = 1 << (2 * len(b)).bit_length()
    response = np.zeros(size)
    np.add.at(response, lags, taps)
    return np.asarray(np.fft.irfft(np.fft.rfft(response) * np.fft.rfft(b, size), size)[: len(b)])


def _echo(a: Samples, b: Samples) -> int:
    """The lag beyond the taps at which theirs is most like ours."""
    size = 1 << (2 * len(b)).bit_length()
    one = np.fft.rfft(b, size)
    power = np.square(np.abs(one))
    crossed = np.fft.irfft(np.fft.rfft(a, size) * np.conj(one) / (power + power.mean() * bounds.WHITENED), size)
    reach = np.abs(crossed[bounds.TAPS : min(bounds.LONGEST_ECHO, len(b) // 2)])
    return int(np.argmax(reach)) + bounds.TAPS if len(reach) else 0


def _response(lags: Places, taps: Samples, low: float, high: float) -> float:
    """The filter's power, on the mean of a band in Hz."""
    hertz = np.linspace(low, high, bounds.TAPS_AHEAD)
    waves = np.exp(-2j * np.pi * hertz[:, None] * lags / SAMPLE_RATE)
    return float(np.mean(np.square(np.abs(waves @ taps))))


def _decibels(power: float) -> float:
    return 10 * float(np.log10(max(power, _TINY)))
