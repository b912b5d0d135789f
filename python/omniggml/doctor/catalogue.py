"""Every finding the doctor can make: how severe and how certain it is, what it means, what to do, and which others it
explains. `docs/doctor.md` lists them all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Severity(Enum):
    """Worst first. A note never makes a case suspicious."""

    BROKEN = "broken"
    SUSPICIOUS = "suspicious"
    NOTE = "note"


class Certainty(Enum):
    """On what a finding rests, the surest first; it ranks findings of one severity."""

    FACT = 1.0
    """It can be read off what was given, and admits no other reading."""
    REPRODUCED = 0.97
    """The mistake was made, or undone, and what came of it is what was given."""
    MEASURED = 0.8
    """Something measured is beyond its bound (`thresholds.py`)."""
    HINT = 0.5
    """It is unusual, and may be meant."""


@dataclass(frozen=True)
class Kind:
    """One kind of finding. `supersedes`: ids of findings that are no causes of their own where this is found."""

    severity: Severity
    meaning: str
    remedy: str
    certainty: Certainty = Certainty.MEASURED
    supersedes: tuple[str, ...] = ()


_BROKEN, _SUSPICIOUS, _NOTE = Severity.BROKEN, Severity.SUSPICIOUS, Severity.NOTE
_CONVERT = "Convert the checkpoint again, from its unquantized files."
_PORT = "Correct it in the program that made the audio; the parity page shows how to compare module by module."

CATALOGUE: dict[str, Kind] = {
    # --- file -------------------------------------------------------------------------------------------------------
    "file.unreadable": Kind(
        _BROKEN,
        "It is no sound GGUF file: truncated, damaged, or something else.",
        "Copy or download it again; where it is the same there, convert the checkpoint again.",
    ),
    "file.unloadable": Kind(_BROKEN, "The engine refuses the file, for the reason given.", _CONVERT),
    "file.missing-tensors": Kind(
        _BROKEN,
        "Tensors that the model computes with are not there; a program that fills them in makes noise.",
        _CONVERT,
    ),
    "file.extra-tensors": Kind(
        _BROKEN, "Tensors are there that the geometry leaves no place for: names or geometry are wrong.", _CONVERT
    ),
    "file.geometry": Kind(_BROKEN, "Metadata and the tensors' shapes contradict each other.", _CONVERT),
    "file.codebook-split": Kind(
        _BROKEN,
        "The code table's rows are split into the wrong number of codebooks: 16 x 2048 and 8 x 4096 have one shape, "
        "but "
        "the predictor's heads count the groups.",
        "Set num_quantizers to the predictor's heads plus one, and codebook_size to the rows divided by that.",
    ),
    "file.not-finite": Kind(_BROKEN, "A tensor holds NaN or infinity; all that follows from it does too.", _CONVERT),
    "file.zeros": Kind(_BROKEN, "A tensor is all zeros: it was never loaded.", _CONVERT),
    "file.zero-rows": Kind(_BROKEN, "Many rows of a table are zeros: only a part of it was written.", _CONVERT),
    "file.constant": Kind(
        _BROKEN, "A matrix holds one value only, or the same row over and over: it was not loaded.", _CONVERT
    ),
    "file.as-initialised": Kind(
        _BROKEN,
        "Norms or scales have one value in every place, as before training: the checkpoint's were never loaded.",
        _CONVERT,
    ),
    "file.code-sums": Kind(
        _SUSPICIOUS,
        "Codes of one group are of very different lengths, as the sums are from which a codebook's means are kept: "
        "each has to be divided by how often it was used.",
        "Store embedding_sum / cluster_usage, or take the table of the published checkpoint.",
    ),
    "file.scale": Kind(
        _BROKEN,
        "A tensor's values are far smaller or larger than its siblings' in other layers: a wrong scale or unit, or a "
        "type read as another.",
        _CONVERT,
    ),
    "file.copies": Kind(
        _BROKEN, "Tensors that should differ hold the same values: one was written for several.", _CONVERT
    ),
    "file.looks-random": Kind(
        _BROKEN,
        "A matrix has the spectrum of random numbers while the others have a trained one: it was initialised, never "
        "loaded.",
        _CONVERT,
    ),
    "file.untrained": Kind(
        _NOTE,
        "All matrices have the spectrum of random numbers: a model that learned nothing makes noise.",
        "Use a trained model.",
    ),
    "file.low-precision": Kind(
        _SUSPICIOUS,
        "Tensors sit in fewer bits than is known to work: the vocoder's convolutions, its code table, norms, biases.",
        "Quantize from the F16 or F32 file by one of the policies, which keep these: omniggml quantize --policy q8_0.",
    ),
    "file.quantized-twice": Kind(
        _SUSPICIOUS,
        "Values lie on the grid of a smaller type than they are stored in: they were quantized before.",
        "Quantize from the F32, F16 or BF16 file.",
    ),
    "file.snake-exponentiated": Kind(
        _BROKEN,
        "Snake's alpha and beta are logarithms, and the model exponentiates them; these were exponentiated already.",
        "Store alpha and beta as the checkpoint has them.",
    ),
    "file.eps": Kind(
        _SUSPICIOUS, "An epsilon of the norms is implausible.", "Take it from the checkpoint's config.json."
    ),
    "file.theta": Kind(_SUSPICIOUS, "A rotary base is implausible.", "Take it from the checkpoint's config.json."),
    "file.window": Kind(
        _SUSPICIOUS, "The vocoder's window is implausible.", "Take it from the checkpoint's config.json."
    ),
    "file.sample-rate": Kind(
        _SUSPICIOUS,
        "Qwen3-Omni makes 24000 samples a second; at another rate speech is too slow or too fast.",
        "Set it to 24000.",
    ),
    "file.special-ids": Kind(
        _BROKEN,
        "Ids for control collide, or lie among the codes or outside of the vocabulary.",
        "Take them from the checkpoint's config.json.",
    ),
    "file.tokenizer": Kind(
        _SUSPICIOUS, "The tokenizer's tokens and the ids in the metadata do not belong together.", _CONVERT
    ),
    "file.no-tokenizer": Kind(
        _NOTE, "The file has no tokenizer, so text can't be spoken with it alone.", "Name one with --tokenizer."
    ),
    "file.assumed": Kind(
        _NOTE,
        "Settings that neither metadata nor shapes tell were taken from the published model.",
        "If this is another model, override them: --override SECTION.NAME=VALUE.",
    ),
    "file.long-names": Kind(
        _NOTE,
        "Names are longer than the 63 bytes that ggml keeps: other programs refuse the file or cut them.",
        "Convert with omniggml.",
    ),
    "file.reference-differs": Kind(
        _BROKEN, "Tensors differ from the reference's by more than their type can explain.", _CONVERT
    ),
    "file.reference-metadata": Kind(_BROKEN, "Settings differ from the reference's.", "Take them from the reference."),
    # --- codes ------------------------------------------------------------------------------------------------------
    "codes.shape": Kind(
        _BROKEN, "Codes must be integers [groups, frames].", "Save them as an integer array [groups, frames]."
    ),
    "codes.floats": Kind(
        _NOTE,
        "They are read as the whole numbers that they are, but a program that looks up rows by them takes integers.",
        "Save them as integers.",
    ),
    "codes.empty": Kind(
        _SUSPICIOUS, "There are no frames: the talker ended at once.", "See whether the first code drawn is codec eos."
    ),
    "codes.transposed": Kind(_BROKEN, "The array is [frames, groups].", "Transpose it before code2wav."),
    "codes.negative": Kind(_BROKEN, "Negative codes address no row.", "Look where the ids are computed."),
    "codes.control-ids": Kind(
        _BROKEN,
        "Ids for control (end, padding, begin) are among the codes: they lie outside of the codebook.",
        "End the speech at codec eos and do not pass it on; suppress the ids above the codebook, eos excepted.",
    ),
    "codes.out-of-range": Kind(
        _BROKEN,
        "Codes are beyond the codebook, which addresses other groups' rows.",
        "Look where the ids are computed.",
    ),
    "codes.offset-added": Kind(
        _BROKEN,
        "Each group's offset into the code table was added already; the vocoder adds it again.",
        "Pass codes without offsets.",
    ),
    "codes.off-by-one": Kind(_BROKEN, "All codes are one too high or too low.", "Count codes from 0."),
    "codes.fewer-groups": Kind(
        _BROKEN,
        "There are fewer groups than the model has.",
        "Pass all groups: the talker's code and all of the predictor's.",
    ),
    "codes.more-groups": Kind(_BROKEN, "There are more groups than the model has.", "Pass each group once."),
    "codes.first-group-missing": Kind(
        _BROKEN,
        "The talker's code, the coarsest of each frame, is missing; the predictor's codes sit one group too low, with "
        "every offset shifted.",
        "Put the talker's code first: group 0 is the talker's, 1 and on are the predictor's.",
    ),
    "codes.group-order": Kind(_BROKEN, "The groups are in another order.", "Coarse to fine: the talker's code first."),
    "codes.frame-order": Kind(
        _BROKEN, "The frames are in another order.", "Keep frames in the order they were spoken."
    ),
    "codes.lost": Kind(
        _BROKEN,
        "Frames are missing from the middle: with the model's own in their place, the others are what it says.",
        "Look where codes are joined, buffered or dropped: each frame once, in its order.",
    ),
    "codes.doubled": Kind(
        _BROKEN,
        "Frames come twice.",
        "Look where codes are joined, buffered or written: each frame once, in its order.",
    ),
    "codes.other-frames": Kind(
        _SUSPICIOUS,
        "Some frames are of something else: of another speech, or another slot of a batch.",
        "Take all frames from the same speech; and give the text exactly as it was spoken.",
    ),
    "codes.constant": Kind(
        _BROKEN,
        "Every frame is the same, or nearly: the talker is stuck.",
        "Check the feedback of the codes and the sampling.",
    ),
    "codes.repeating": Kind(
        _SUSPICIOUS,
        "The codes go round in a cycle: the talker is stuck.",
        "Check sampling, repetition penalty and feedback.",
    ),
    "codes.collapsed-group": Kind(
        _BROKEN,
        "A group hardly varies while the others do: its head or its sampling is broken.",
        "Look at that group's head and embedding.",
    ),
    "codes.equal-groups": Kind(_BROKEN, "Groups carry the same codes: one was copied.", "Use head k for code k + 1."),
    "codes.delayed": Kind(
        _BROKEN,
        "Groups are moved in time against each other: a delay pattern was not undone, or codes were saved a step late.",
        "Undo the delay: code k of frame t is what the predictor said in step k of frame t.",
    ),
    "codes.reversed-ids": Kind(
        _BROKEN, "Codes are counted from the codebook's end.", "Count from 0 up, in the table's order."
    ),
    "codes.other-groups": Kind(
        _SUSPICIOUS,
        "Some groups are not what the model says after the others: they are of another speech or frame.",
        "Take all groups of a frame from the same step of the same speech.",
    ),
    "codes.unexpected": Kind(
        _SUSPICIOUS,
        "The codes are not what this model says of this text.",
        "Make sure of text and speaker; then compare talker and predictor module by module.",
    ),
    "codes.never-drawn": Kind(
        _SUSPICIOUS,
        "Codes are among these that the model's sampling never lets through, more than an engine of few bits says.",
        "See whether the predictor draws as the model's settings say; then compare talker and predictor module by "
        "module.",
    ),
    "codes.drawn-otherwise": Kind(
        _NOTE,
        "The codes are the model's where its predictor draws in another way than its settings say.",
        "If you asked for that, all is well; if not, a small mistake in talker or predictor may look the same.",
    ),
    "codes.parts": Kind(
        _NOTE,
        "A long text was spoken span by span, and the spans' codes joined.",
        "Nothing, if it was meant; talker and predictor are compared on the first words, and on all of a short text.",
    ),
    "codes.few-bits": Kind(
        _NOTE,
        "A few codes are ones that the model's sampling never lets through, as of an engine in few bits.",
        "If talker and predictor are not in 4 bits, compare them module by module.",
    ),
    "codes.other-text": Kind(
        _NOTE,
        "The codes fit the text at first, and then no longer: another text may have been spoken than was told.",
        "Give the text exactly as it was spoken, commas included.",
    ),
    "codes.cut-short": Kind(
        _SUSPICIOUS,
        "The codes are what the model says of the text, and end long before it does.",
        "See what ended them: codec eos drawn from other logits, a limit of tokens, or a code taken for the end. "
        "Nothing, if they are a part that was taken out.",
    ),
    "codes.ends-early": Kind(
        _NOTE,
        "The codes are what the model says of the text, and end before it does.",
        "If they are not a part that was taken out, see what ended them: codec eos drawn from other logits, a limit of "
        "tokens, or a code taken for the end.",
    ),
    "codes.unlikely": Kind(
        _SUSPICIOUS,
        "The model that is said to have made these codes finds them less likely than chance.",
        "See whether they are this model's, and compare the talker module by module.",
    ),
    # --- talker -----------------------------------------------------------------------------------------------------
    "talker.dead-text": Kind(
        _BROKEN,
        "Different texts give the talker the same input: the text table or text_projection is not loaded.",
        _CONVERT,
    ),
    "talker.flat-logits": Kind(_BROKEN, "The talker finds all codes equally likely.", _CONVERT),
    "talker.not-finite": Kind(
        _BROKEN, "The talker or the predictor computes NaN or infinity.", "Use BF16 or F32 weights; check the file."
    ),
    "talker.ends-at-once": Kind(
        _SUSPICIOUS, "The talker ends before the first frame.", "Check the prompt's special ids and the speaker."
    ),
    "talker.pre-norm": Kind(
        _BROKEN,
        "The codes are those of a predictor that is given the talker's hidden state before the final norm.",
        "Give the predictor the last hidden state after talker.model.norm.",
    ),
    "talker.first-code-only": Kind(
        _BROKEN,
        "The codes are those of a talker that is fed back its own code alone.",
        "Feed back the sum of all groups' input embeddings.",
    ),
    "talker.mean-feedback": Kind(
        _BROKEN, "The codes are those of a talker that is fed back the mean of the embeddings.", "Feed back their sum."
    ),
    "talker.outputs-for-embeddings": Kind(
        _BROKEN,
        "The codes are those of a talker that is fed back the predictor's outputs in place of its input embeddings.",
        "Feed back the sum of all groups' input embeddings: hidden_states[0] of each step, not the last.",
    ),
    "talker.no-text": Kind(
        _BROKEN,
        "The codes are those of a talker that hears padding instead of the text.",
        "Add trailing text k to frame k's input.",
    ),
    "talker.text-offset": Kind(
        _BROKEN,
        "The codes are those of a talker whose text comes a frame too early or too late.",
        "The first token belongs to the prompt; frame k adds trailing text k.",
    ),
    "talker.tts-bos-for-eos": Kind(
        _BROKEN, "The codes are those of a talker whose text ends with tts_bos.", "End the trailing text with tts_eos."
    ),
    "talker.sampling": Kind(
        _SUSPICIOUS,
        "Codes are drawn in a way at which no speech is left.",
        "Draw as the model's settings say: temperature first, then top-k, then top-p, from what is left.",
    ),
    "talker.goes-on": Kind(
        _SUSPICIOUS,
        "The speech goes on behind its end.",
        "Let codec eos be drawn, and end the speech there.",
    ),
    "talker.other-speaker": Kind(_NOTE, "The codes are another speaker's.", "Name the speaker."),
    # --- vocoder ----------------------------------------------------------------------------------------------------
    "vocoder.not-finite": Kind(
        _BROKEN, "The vocoder makes NaN or infinity.", "Check the file; compute in F32 or BF16."
    ),
    "vocoder.silent": Kind(_BROKEN, "Whatever the codes, the vocoder makes silence.", _CONVERT),
    "vocoder.deaf": Kind(_BROKEN, "Different codes make the same audio.", _CONVERT),
    "vocoder.clips": Kind(
        _SUSPICIOUS,
        "Most samples are at the limits: something in the vocoder is far too loud.",
        "Compare the vocoder's stages with a reference.",
    ),
    "vocoder.f16-overflow": Kind(
        _NOTE,
        "Activations pass the range of float16: a program that computes in it makes infinity.",
        "Compute in F32 or BF16 there.",
    ),
    "vocoder.end-frame": Kind(
        _BROKEN,
        "The audio goes on where the codes end: the frame in which codec eos was drawn was vocoded, too.",
        "Stop at codec eos, and give the vocoder the frames before it.",
    ),
    "vocoder.differs": Kind(
        _BROKEN, "The audio is not what the model makes of these codes, and no known mistake explains it.", _PORT
    ),
    "vocoder.close": Kind(
        _SUSPICIOUS,
        "The audio is close to what the model makes of these codes, but not equal: by more than rounding explains.",
        "Look at when and where it differs, which the finding says; the parity page shows how to compare module by "
        "module.",
    ),
    "vocoder.few-bits": Kind(
        _NOTE,
        "The audio differs from ours by as much as an engine in few bits does.",
        "If code2wav is in 16 bits or more in your program, compare it module by module.",
    ),
    # --- audio ------------------------------------------------------------------------------------------------------
    "audio.rate": Kind(
        _BROKEN, "The file's header says another rate than the model's.", "Write the header with 24000 Hz."
    ),
    "audio.channels": Kind(_NOTE, "The model makes one channel.", "Write mono."),
    "audio.not-finite": Kind(_BROKEN, "The samples hold NaN or infinity.", "Look for overflow in the vocoder."),
    "audio.empty": Kind(_SUSPICIOUS, "There are no samples.", "See why the talker ended at once."),
    "audio.silent": Kind(
        _SUSPICIOUS,
        "The audio is silence.",
        "See whether samples were scaled, and what the vocoder makes of other codes.",
    ),
    "audio.clipped": Kind(
        _SUSPICIOUS,
        "Samples sit at the limits: too loud, or integers read as floats.",
        "Check the scale: floats lie in [-1, 1].",
    ),
    "audio.dc": Kind(
        _SUSPICIOUS, "The audio is shifted by a constant.", "Check biases and the conversion to integers."
    ),
    "audio.length": Kind(
        _BROKEN, "The length is not what the model makes of so many frames.", "1920 T - 555 samples for T frames."
    ),
    "audio.resampled": Kind(
        _NOTE,
        "The audio is an honest copy at another rate than the model's.",
        "Nothing, if another rate was asked for; the model makes 24000 samples a second.",
    ),
    "audio.silence-around": Kind(_NOTE, "Silence was added before or after the audio.", "Nothing, if it was meant."),
    "audio.trimmed": Kind(_NOTE, "A little was cut from the ends of the audio.", "Nothing, if it was meant."),
    "audio.parts": Kind(
        _NOTE,
        "A text was spoken part by part, and the parts' audio joined.",
        "Nothing, if it was meant.",
    ),
    "audio.band": Kind(
        _NOTE,
        "The audio is ours but for its highest or its lowest tones.",
        "Nothing; to compare exactly, save it at the model's rate, without a filter.",
    ),
    "audio.faded": Kind(_NOTE, "The audio was faded in or out.", "Nothing, if it was meant."),
    "audio.lossy": Kind(
        _NOTE,
        "The audio is ours but for what a sound format or a noise floor adds.",
        "Nothing; to compare exactly, save it as 16-bit PCM or float.",
    ),
    "audio.pieces": Kind(
        _BROKEN,
        "The audio is made of pieces of the right one: cut, doubled, exchanged or with gaps.",
        "Look where pieces are joined or written: each sample once, in its order.",
    ),
    "audio.gain": Kind(
        _NOTE,
        "The audio is the right one at another loudness: it was normalised or scaled.",
        "Write the samples as they are.",
    ),
    "audio.negated": Kind(
        _SUSPICIOUS,
        "The audio is the right one with its sign turned.",
        "Check the last convolution and the conversion.",
    ),
    "audio.seams": Kind(
        _BROKEN,
        "The codes were decoded in pieces that know too little of each other: context is cut, and samples may be lost.",
        "Decode in one pass or keep the state: model.code2wav(codes, chunk_frames=N).",
    ),
    "audio.clicks": Kind(
        _SUSPICIOUS,
        "Jumps come at regular distances: pieces were joined without their state.",
        "Keep the vocoder's state between pieces.",
    ),
    "audio.wrapped": Kind(
        _BROKEN,
        "The right samples were too loud for 16 bits, and those beyond the limits wrapped around.",
        "Clamp samples to [-1, 1] before they become integers, and don't amplify them.",
    ),
    "audio.few-levels": Kind(
        _SUSPICIOUS,
        "The right samples, rounded to a few levels.",
        "Look for a conversion to fewer bits, or samples divided before they become integers.",
    ),
    "audio.bent": Kind(
        _BROKEN,
        "Each sample of the right audio was changed by itself: a limit, tanh, a companding or an overdriven stage.",
        "Write the samples as they are; the model's are within the limits.",
    ),
    "audio.envelope": Kind(
        _BROKEN,
        "The right samples times a loudness that changes: a window on each piece, or each piece normalised alone.",
        "Write pieces as they are; windows belong only where pieces overlap and are added.",
    ),
    "audio.filtered": Kind(
        _SUSPICIOUS,
        "The right samples through a filter: smoothed, emphasised, or with an echo.",
        "Write the samples as they are; the model's need no emphasis undone.",
    ),
    "audio.breaks-off": Kind(
        _SUSPICIOUS,
        "The sound breaks off: its end is lost, or the speech was stopped by a limit.",
        "Keep the last piece of a stream, too, and let codec eos end the speech.",
    ),
    "audio.added": Kind(
        _SUSPICIOUS,
        "Something lies over the audio: noise, as loud in pauses as elsewhere, or a tone.",
        "Look what is added to the samples, or recorded with them.",
    ),
    "audio.noise": Kind(
        _SUSPICIOUS,
        "The spectrum is that of noise: flat, without harmonics, the same all the time.",
        "Give the codes as well (--codes), so that talker and vocoder can be told apart.",
    ),
    "audio.too-short": Kind(_SUSPICIOUS, "It is too short for the text.", "See why the talker ended."),
    "audio.too-long": Kind(
        _SUSPICIOUS, "It is too long for the text.", "See whether codec eos can be drawn, and tts_eos is given."
    ),
    "audio.bytes": Kind(
        _BROKEN, "The right samples with their bytes swapped.", "Write little-endian samples, or read them so."
    ),
    "audio.rewritten": Kind(
        _BROKEN,
        "The right samples, with their bytes, order or channels taken for others.",
        "Read and write the type, byte order and channels that the samples have.",
    ),
    "audio.header": Kind(
        _BROKEN,
        "A sound file's header was read as samples.",
        "Skip headers and other chunks: only what the data chunk holds is sound.",
    ),
    # --- dump -------------------------------------------------------------------------------------------------------
    "dump.names": Kind(
        _SUSPICIOUS, "None of the dump's names is a module of the model.", "Name tensors by Hugging Face module paths."
    ),
    "dump.deviates": Kind(
        _BROKEN, "Given the same input, this module of theirs computes something else.", "Look at this module alone."
    ),
    # --- ears -------------------------------------------------------------------------------------------------------
    "ears.silent": Kind(_BROKEN, "What was heard is silence.", "See where the samples come from."),
    "ears.clipped": Kind(_SUSPICIOUS, "Many samples of what was heard are at the limits.", "Record it more quietly."),
    "ears.channels": Kind(
        _BROKEN,
        "Channels are each other's negative: their mean, which is heard, is next to nothing.",
        "Take one of the channels, or turn one of them round.",
    ),
    "ears.one-channel": Kind(
        _NOTE, "One channel holds nothing; the mean is half as loud.", "Take the channel that holds the sound."
    ),
    "ears.not-resampled": Kind(
        _BROKEN,
        "Samples of another rate were taken for 16000 a second: speech is too slow or too fast.",
        "Resample to 16 kHz before the features.",
    ),
    "ears.mel-frames": Kind(
        _BROKEN, "The features have a frame too many.", "Leave out the last: frames are samples // 160."
    ),
    "ears.mel-padded": Kind(
        _BROKEN,
        "The features are filled up to 30 s, as Whisper's are, and the filling is heard.",
        "Don't fill up; a clip is as long as it is.",
    ),
    "ears.mel-shifted": Kind(
        _BROKEN, "The features are moved by a frame.", "Centre the windows: reflect 200 samples at both ends."
    ),
    "ears.mel-differs": Kind(
        _BROKEN,
        "The features are others than those of transformers' WhisperFeatureExtractor.",
        "Compare with omniggml.log_mel: a Hann window of 400, Slaney's mels, log10, the whole clip's maximum.",
    ),
    "ears.tokens": Kind(
        _BROKEN,
        "The audio encoder makes another number of rows than 13 a second.",
        "Cut features into chunks of 100 frames; a chunk of n frames makes n halved three times, rounded up.",
    ),
    "ears.scale": Kind(_BROKEN, "The encoder's rows are ours times a factor.", "Look behind the encoder's last layer."),
    "ears.differs": Kind(
        _BROKEN,
        "The encoder's rows are not what the model makes of these features, and no known mistake explains it.",
        "Compare module by module: the parity page shows how.",
    ),
}

_EARS = {
    "tanh-gelu": ("GELU is the tanh approximation", "Use the exact one, by erf."),
    "f16-gelu": ("GELU is looked up in a table of float16", "Compute it in float32: ggml_gelu_erf."),
    "unpadded-tail": (
        "the last chunk is convolved without the zeros that fill it up",
        "Fill the last chunk up to 100 frames before the convolutions, and leave out the rows of the filling behind.",
    ),
    "whole-clip": (
        "the convolutions run over the whole clip instead of chunks",
        "Cut the features into chunks of 100 frames first.",
    ),
    "positions": ("positions go on from chunk to chunk instead of beginning anew", "Begin with row 0 in each chunk."),
    "no-windows": ("attention sees the whole clip", "Attend inside windows of 8 s, and across none."),
    "overlapping-windows": ("windows of attention overlap by half", "Attend inside windows of 8 s, and across none."),
    "two-convolutions": (
        "the rows of a chunk are counted as behind two convolutions",
        "Halve the frames of a chunk three times, rounding up.",
    ),
}
CATALOGUE |= {
    f"ears.{name}": Kind(_BROKEN, f"The encoder's rows equal ours with a mistake made on purpose: {what}.", remedy)
    for name, (what, remedy) in _EARS.items()
}
EAR_SENTENCES = {name: what for name, (what, _) in _EARS.items()}
"""Name of an audio encoder's mistake -> what goes wrong, as a clause."""

# Mistakes of a port, by kind: found by making every one that its modules and tensors allow.
_KINDS = {
    "permuted": (
        "a weight is read in another order",
        "Read it as the checkpoint stores it: axes, kernels, rows and heads in PyTorch's order.",
    ),
    "swapped": ("two weights are in each other's place", "Look up both names where the weights are loaded."),
    "copied": ("one weight stands in for another", "Look up the name where the weights are loaded, and its index."),
    "missing": ("something is left out", "Load and compute it."),
    "scaled": ("a weight is multiplied by a factor", "Look for a scale, a missing magnitude or another unit."),
    "constant": ("a constant is another one", "Take it from the checkpoint's config.json."),
    "formula": ("a formula is another one", "Compare it with the reference's forward function."),
    "activation": ("an activation is another one", "Use SiLU in MLPs, the exact GELU in ConvNeXt, and Snake else."),
    "padding": ("a convolution is padded otherwise", "Pad with zeros, and on the left alone."),
    "trim": ("a transposed convolution is trimmed otherwise", "Cut kernel - stride samples on both sides."),
    "residual": ("a residual is missing or taken elsewhere", "Add what entered the block to what it computed."),
    "mask": ("attention sees what it should not", "Mask the future and all before the window."),
    "positions": ("rotary positions are applied otherwise", "Rotate halves of queries and keys, from position 0 on."),
    "heads": ("heads are arranged otherwise", "Heads are blocks of channels; key heads are repeated, not tiled."),
    "order": ("modules come in another order", "Follow the order of the reference's forward function."),
    "lookup": ("the code table is addressed otherwise", "Code c of group g is row g * codebook_size + c."),
    "reduction": ("the groups are pooled otherwise", "Take the mean over groups."),
    "limit": ("samples are limited otherwise", "Clamp them to [-1, 1]."),
}
_SPEAKER_KINDS = (
    *("permuted", "swapped", "copied", "missing", "scaled", "constant", "formula", "activation"),
    *("residual", "positions", "heads", "order"),
)
CATALOGUE |= {
    f"talker.{kind}": Kind(
        _BROKEN, f"The codes are those of a talker or predictor with a mistake made on purpose: {what}.", remedy
    )
    for kind, (what, remedy) in {
        **{kind: _KINDS[kind] for kind in _SPEAKER_KINDS},
        "activation": ("an activation is another one", "Use SiLU."),
        "state": (
            "a cache keeps something else, or less is seen of it",
            "Keep keys and values of all positions that were read, and empty the predictor's before each frame alone.",
        ),
        "router": (
            "experts are chosen, weighted or counted otherwise",
            "Softmax over all experts, the best num_experts_per_tok, renormalised where norm_topk_prob says so.",
        ),
        "hidden": (
            "the predictor starts from another state",
            "Give it the talker's last hidden state after talker.model.norm.",
        ),
        "feedback": ("something else is fed back", "Feed back the sum of all groups' input embeddings."),
        "text": ("the text comes otherwise", "Add trailing text k to frame k's input, then tts_pad."),
        "speaker": (
            "what comes before the speech has other ids, of the speaker or for control",
            "Beside tts_pad, tts_bos and the first token: nothink, think_bos, think_eos, the speaker, pad, bos.",
        ),
    }.items()
}
CATALOGUE |= {
    f"vocoder.{kind}": Kind(_BROKEN, f"The audio equals ours with a mistake made on purpose: {what}.", remedy)
    for kind, (what, remedy) in _KINDS.items()
}

# Mistakes of a talker that are recognised by the codes it says.
_OF_TALKERS = (
    "talker.pre-norm",
    "talker.first-code-only",
    "talker.mean-feedback",
    "talker.outputs-for-embeddings",
    "talker.no-text",
    "talker.text-offset",
    "talker.tts-bos-for-eos",
    *(f"talker.{kind}" for kind in (*_SPEAKER_KINDS, "state", "router", "hidden", "feedback", "text", "speaker")),
)

# Mistakes of a vocoder that are recognised by what they sound like; `counterfactuals.py` makes them.
_MISTAKES = {
    "sum-for-mean": ("the groups' code embeddings are summed", "Take the mean over groups into code2wav."),
    "wrong-split": (
        "the code table is read as another number of codebooks",
        "The predictor's heads plus one count the groups.",
    ),
    "no-offset": ("all groups look up the first codebook", "Code c of group g is row g * codebook_size + c."),
    "double-offset": ("each group's offset is added twice", "Code c of group g is row g * codebook_size + c."),
    "reversed-groups": ("the groups are taken in reverse", "Coarse to fine: the talker's code first."),
    "shifted-groups": ("the groups are shifted by one", "Coarse to fine: the talker's code first."),
    "first-group-dropped": ("the talker's code is dropped", "Group 0 is the talker's code."),
    "last-groups-dropped": ("the finer groups are dropped", "Pass all groups."),
    "transposed-layout": ("frames and groups are mixed up", "Codes are [groups, frames]."),
    "codes-off-by-one": ("all codes are one too high", "Count codes from 0."),
    "snake-without-exp": ("Snake's alpha and beta are not exponentiated", "They are stored as logarithms."),
    "snake-alpha-for-beta": ("Snake's alpha stands in for beta", "SnakeBeta has a magnitude of its own."),
    "no-window": ("attention sees all frames", "It sees sliding_window frames, itself included."),
    "short-window": ("attention sees too few frames", "It sees sliding_window frames, itself included."),
    "no-rope": ("attention has no positions", "Rotate queries and keys."),
    "rope-pairs": ("neighbouring channels are rotated together", "Halves of a head are (NEOX)."),
    "wrong-theta": ("the rotary base is another model's", "It is code2wav's own, 10000."),
    "wrong-eps": ("the norms' epsilon is another model's", "It is code2wav's own, 1e-5."),
    "layer-norm": ("the norms subtract the mean", "They are RMS norms."),
    "no-final-norm": ("the norm after the transformer is left out", "Apply code2wav.pre_transformer.norm."),
    "tanh-gelu": ("GELU is the tanh approximation", "ConvNeXt's GELU is the exact one."),
    "silu-for-gelu": ("SiLU stands in for GELU", "ConvNeXt's GELU is the exact one."),
    "right-trim": (
        "transposed convolutions are trimmed on the right alone",
        "Both sides lose kernel - stride; Qwen3-TTS differs here.",
    ),
    "left-trim": ("transposed convolutions are trimmed on the left alone", "Both sides lose kernel - stride."),
    "centred-padding": ("convolutions are padded on both sides", "They are causal: all padding on the left."),
    "no-dilation": ("the residual units are not dilated", "Their dilations are 1, 3, 9."),
    "no-biases": ("the convolutions' biases are missing", "Add them."),
    "no-layer-scale": ("the layer scales are missing", "Multiply attention and MLP by them."),
    "no-gamma": ("ConvNeXt's gamma is missing", "Multiply the branch by it."),
    "half-precision": ("activations overflow float16", "Compute in F32 or BF16."),
}
CATALOGUE |= {
    f"vocoder.{name}": Kind(_BROKEN, f"The audio equals ours with a mistake made on purpose: {what}.", remedy)
    for name, (what, remedy) in _MISTAKES.items()
}

_CERTAINTIES = {
    Certainty.FACT: (
        "file.unreadable",
        "file.unloadable",
        "file.missing-tensors",
        "file.codebook-split",
        "file.geometry",
        "file.special-ids",
        "file.not-finite",
        "file.zeros",
        "file.zero-rows",
        "file.constant",
        "file.as-initialised",
        "file.copies",
        "codes.shape",
        "codes.floats",
        "codes.empty",
        "codes.transposed",
        "codes.negative",
        "codes.control-ids",
        "codes.out-of-range",
        "codes.fewer-groups",
        "codes.more-groups",
        "talker.not-finite",
        "vocoder.not-finite",
        "audio.not-finite",
        "audio.empty",
    ),
    Certainty.REPRODUCED: (
        "file.reference-differs",
        "file.reference-metadata",
        "codes.off-by-one",
        "codes.first-group-missing",
        "codes.group-order",
        "codes.frame-order",
        "codes.lost",
        "codes.doubled",
        "codes.other-frames",
        "codes.delayed",
        "codes.reversed-ids",
        *_OF_TALKERS,
        "vocoder.end-frame",
        *(f"vocoder.{name}" for name in (*_MISTAKES, *_KINDS)),
        "audio.seams",
        "audio.pieces",
        "audio.resampled",
        "audio.bytes",
        "audio.rewritten",
        "audio.header",
        "audio.wrapped",
        "audio.few-levels",
        "audio.bent",
        "audio.envelope",
        "audio.filtered",
        "dump.deviates",
        *(f"ears.{name}" for name in _EARS),
        "ears.not-resampled",
        "ears.mel-frames",
        "ears.mel-shifted",
        "ears.scale",
    ),
    Certainty.HINT: (
        "file.low-precision",
        "file.assumed",
        "file.long-names",
        "file.no-tokenizer",
        "file.untrained",
        "codes.unlikely",
        "codes.other-text",
        "codes.unexpected",
        "codes.cut-short",
        "codes.ends-early",
        "codes.drawn-otherwise",
        "codes.few-bits",
        "talker.ends-at-once",
        "talker.other-speaker",
        "vocoder.clips",
        "vocoder.f16-overflow",
        "audio.channels",
        "audio.clipped",
        "audio.noise",
        "audio.clicks",
        "audio.too-short",
        "audio.too-long",
        "dump.names",
        "ears.clipped",
        "ears.one-channel",
    ),
}

_UNEXPLAINED_CODES = (
    "codes.unlikely",
    "codes.unexpected",
    "codes.other-text",
    "codes.other-groups",
    "codes.never-drawn",
)
_SUPERSEDES = {
    "file.codebook-split": ("file.geometry",),
    "audio.resampled": ("audio.rate",),
    "audio.rewritten": (
        "audio.rate",
        "audio.length",
        "audio.noise",
        "audio.clicks",
        "audio.clipped",
        "audio.dc",
        "audio.channels",
        "audio.bytes",
        "audio.silent",
        "audio.few-levels",
        "vocoder.differs",
        "vocoder.close",
        "audio.too-short",
        "audio.too-long",
    ),
    "audio.wrapped": ("audio.clipped", "audio.dc"),
    "audio.envelope": ("audio.clipped",),
    "audio.too-short": ("audio.breaks-off",),
    "audio.header": ("audio.length", "audio.pieces", "audio.clicks", "vocoder.differs", "vocoder.close"),
    # The last code of the codebook, one too high, has the id of a control.
    "codes.off-by-one": ("codes.control-ids",),
    # The codes were only saved with the frame that was decoded, too.
    "vocoder.end-frame": ("codes.control-ids",),
    # Behind the end of what was told another text may go on.
    "codes.unexpected": ("talker.goes-on",),
    # What ends the text that was told doesn't end another.
    "codes.other-text": ("talker.goes-on",),
    # A talker that is stuck says its frames again.
    **dict.fromkeys((*_OF_TALKERS, "talker.sampling"), (*_UNEXPLAINED_CODES, "codes.doubled")),
}


def _supersedes(id: str, kind: Kind) -> tuple[str, ...]:
    """What the engine refuses is a cause only where nothing in the file says why."""
    broken_file = id.startswith("file.") and kind.severity is _BROKEN and id != "file.unloadable"
    return _SUPERSEDES.get(id, ()) + (("file.unloadable",) if broken_file else ())


_CERTAINTY_OF = {id: certainty for certainty, ids in _CERTAINTIES.items() for id in ids}
CATALOGUE = {
    id: replace(kind, certainty=_CERTAINTY_OF.get(id, Certainty.MEASURED), supersedes=_supersedes(id, kind))
    for id, kind in CATALOGUE.items()
}

MISTAKE_SENTENCES = {name: what for name, (what, _) in _MISTAKES.items()}
"""Name of a vocoder's mistake -> what goes wrong, as a clause."""
