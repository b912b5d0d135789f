"""Files that can't be used: each is refused in one sentence that names the file and what is wrong with it.

Everything runs in a process of its own, so that an abort fails its test.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Q
from gguf import GGUFValueType as V

from conftest import Files
from gguf_edit import GgufEdit, Tensor
from sentences import one_sentence
from worker import Outcome, Worker

LOAD = "omniggml.load(speech, thinker=thinker, n_threads=1)"
USE = f"""
model = {LOAD}
audio = model.speak("hello world", max_frames=3)
result = [len(audio.samples), audio.codes.shape[1]]
if thinker:
    model.generate_text([1, 2, 3], omniggml.TextOptions(max_tokens=3))
"""

S = "qwen3omni-speech."
Change = Callable[[GgufEdit], object]


def load(worker: Worker, speech: Path | str, thinker: Path | str | None = None) -> Outcome:
    return worker.run(LOAD, speech=str(speech), thinker=thinker and str(thinker))


def use(worker: Worker, speech: Path | str, thinker: Path | str | None = None) -> Outcome:
    return worker.run(USE, speech=str(speech), thinker=thinker and str(thinker))


def refused(outcome: Outcome, *parts: str, error: str = "ModelFileError") -> None:
    assert outcome.error == error, outcome
    one_sentence(outcome.message, *parts)


# --- not a file, or not this one --------------------------------------------------------------------------------------


def test_missing(worker: Worker, tmp_path: Path) -> None:
    refused(load(worker, tmp_path / "none.gguf"), "none.gguf", "No such file")


def test_missing_thinker(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    refused(load(worker, tiny_files.speech, tmp_path / "none.gguf"), "none.gguf", "No such file")


def test_directory(worker: Worker, tmp_path: Path) -> None:
    refused(load(worker, tmp_path), str(tmp_path), "directory")


def test_fifo(worker: Worker, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    refused(load(worker, tmp_path / "pipe.gguf"), "pipe.gguf", "not a regular file")


def test_device_file(worker: Worker) -> None:
    refused(load(worker, "/dev/zero"), "/dev/zero", "not a regular file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    path = tmp_path / "locked.gguf"
    path.write_bytes(tiny_files.speech.read_bytes())
    path.chmod(0)
    refused(load(worker, path), "locked.gguf", "Permission denied")


def test_zero_byte_in_the_path(worker: Worker, tiny_files: Files) -> None:
    refused(load(worker, f"{tiny_files.speech}\0.gguf"), "zero byte")


@pytest.mark.parametrize("folder", ["zoë", os.fsdecode(b"latin-\xeb"), "line\nend"])
def test_unusual_path(worker: Worker, tiny_files: Files, tmp_path: Path, folder: str) -> None:
    """It loads, and where it can't the message is still one line."""
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "x-speech.gguf"
    refused(load(worker, path), "No such file")
    path.write_bytes(tiny_files.speech.read_bytes())
    assert load(worker, path) == Outcome()


@pytest.mark.parametrize("size", [0, 1, 4, 23])
def test_next_to_nothing(worker: Worker, tiny_files: Files, tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny_files.speech.read_bytes()[:size])
    refused(load(worker, path), "x.gguf", f"only {size} bytes")


@pytest.mark.parametrize("content", [b"RIFF" + bytes(100), b"\x7fELF" + bytes(100), b"PK\x03\x04" + b"a" * 100])
def test_foreign(worker: Worker, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    refused(load(worker, path), "x.gguf", "a GGUF file")


@pytest.mark.parametrize("version", [0, 1, 4])
def test_version(worker: Worker, tiny_files: Files, tmp_path: Path, version: int) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.version = version
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", f"version {version}")


def test_swapped(worker: Worker, tiny_files: Files) -> None:
    """The thinker in the speech file's place finds the speech file beside it."""
    assert load(worker, tiny_files.thinker).error == ""
    refused(load(worker, tiny_files.speech, tiny_files.speech), "tiny-speech.gguf", "qwen3omni-speech", "qwen3vlmoe")


def test_thinker_of_another_model(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.thinker)
    edit.reshape("token_embd.weight", [64, 500]).reshape("output.weight", [64, 500])
    outcome = load(worker, tiny_files.speech, edit.write(tmp_path / "other.gguf"))
    refused(outcome, "other.gguf", "tiny-speech.gguf", "500", "400")


# --- truncated --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1], ids=["speech", "thinker"])
def test_truncated_anywhere(worker: Worker, tiny_files: Files, tmp_path: Path, which: int) -> None:
    """Cut at every kind of place: in the counts, in keys, in values, in tensor entries, in the data."""
    edit = GgufEdit.read(tiny_files[which])
    path = tmp_path / "cut.gguf"
    content = edit.write(path).read_bytes()
    header = len(edit.header())
    rng = np.random.default_rng(0)
    sizes = [24, 25, 40, header - 1, header, header + 1, len(content) - 1, *rng.integers(24, len(content), 30)]
    for size in map(int, sizes):
        path.write_bytes(content[:size])
        files = (path, None) if which == 0 else (tiny_files.speech, path)
        refused(load(worker, *files), "cut.gguf", "truncated" if size >= header else "")


def test_shrinks_after_opening(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    """The native reader reads the header once, then the data: another process cuts the file in between."""
    path = tmp_path / "shrinks.gguf"
    path.write_bytes(tiny_files.speech.read_bytes())
    code = """
import threading, os
from omniggml import _native
stop = threading.Event()
def shrink():
    while not stop.is_set():
        os.truncate(path, 400_000)
        os.truncate(path, size)
thread = threading.Thread(target=shrink)
thread.start()
try:
    for _ in range(50):
        try:
            omniggml.load(path, n_threads=1)
        except omniggml.ModelFileError as error:
            assert "shrinks.gguf" in str(error), error
finally:
    stop.set()
    thread.join()
"""
    assert worker.run(code, path=str(path), size=path.stat().st_size) == Outcome()


@pytest.mark.parametrize("blocked", [False, True], ids=["signals", "no-signals"])
@pytest.mark.parametrize("n_threads", [1, 4])
def test_cut_while_in_use(worker: Worker, tiny_files: Files, tmp_path: Path, n_threads: int, blocked: bool) -> None:
    """Weights stay in the file's pages, and these go with the file's end; a new load of the whole file works again.

    Whichever thread reads the missing page: one that the program started, or one of ours, whose signals the program may
    have blocked when it was started."""
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_files.speech.read_bytes())
    code = """
import os, signal
mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() if blocked else [])
try:
    model = omniggml.load(path, n_threads=n_threads)
    model.speak("hello", max_frames=3)
finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
for size in range(450_000, 250_000, -50_000):
    os.truncate(path, size)
    model.speak("hello", max_frames=3)
"""
    worker.close()  # its threads may have been started before
    outcome = worker.run(code, path=str(path), n_threads=n_threads, blocked=blocked)
    assert outcome.error == "ModelFileError"
    one_sentence(outcome.message, "cut.gguf", "was cut while it was in use; load it again")
    path.write_bytes(tiny_files.speech.read_bytes())
    assert worker.run('omniggml.load(path).speak("hello", max_frames=3)', path=str(path)) == Outcome()


def test_noise(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    """Bytes of the header changed at random: loaded or refused, never a crash."""
    content = tiny_files.speech.read_bytes()
    header = len(GgufEdit.read(tiny_files.speech).header())
    rng = np.random.default_rng(1)
    path = tmp_path / "noise.gguf"
    for _ in range(150):
        damaged = bytearray(content)
        for position in rng.integers(0, header, rng.integers(1, 4)):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        outcome = use(worker, path)
        assert outcome.error in ("", "ModelFileError", "OutOfMemoryError", "InputError", "NumericError"), outcome
        if outcome.error:
            one_sentence(outcome.message)


# --- the header -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_tensors", "n_metadata"), [(2**40, 1), (1, 2**40), (2**64 - 1, 2**64 - 1)])
def test_absurd_counts(worker: Worker, tiny_files: Files, tmp_path: Path, n_tensors: int, n_metadata: int) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(GgufEdit.read(tiny_files.speech).header(n_tensors, n_metadata) + bytes(1000))
    refused(load(worker, path), "x.gguf", str(max(n_tensors, n_metadata)))


def raw_key(length: int) -> Change:
    def change(edit: GgufEdit) -> None:
        edit.append("general.odd", struct.pack("<Q", length) + b"x", V.STRING)
        edit.metadata[-1][1].type = 99

    return change


HEADERS: dict[str, tuple[Change, list[str]]] = {
    "duplicate key": (
        lambda e: e.append("general.name", "twice", V.STRING),
        ["general.name", "twice"],
    ),
    "unknown type": (raw_key(1), ["general.odd", "unknown type 99"]),
    "array of arrays": (
        lambda e: e.append("general.odd", [b""], V.ARRAY, V.ARRAY),
        ["general.odd", "array of the unsupported type"],
    ),
    "array of unknown type": (lambda e: e.append("general.odd", [b""], V.ARRAY, 77), ["general.odd", "77"]),
    "array too long": (
        lambda e: e.append("general.odd", struct.pack("<IQ", V.UINT8, 2**60), 98),
        ["general.odd", "unknown type 98"],
    ),
    "beyond 2^63": (lambda e: e.append("general.odd", 2**64 - 1, V.UINT64), ["general.odd", "2^63"]),
    "alignment 0": (lambda e: e.append("general.alignment", 0, V.UINT32), ["general.alignment", "0"]),
    "alignment 2^31": (lambda e: e.append("general.alignment", 2**31, V.UINT32), ["general.alignment"]),
    "alignment text": (lambda e: e.append("general.alignment", "32", V.STRING), ["general.alignment", "integer"]),
    "architecture missing": (lambda e: e.remove("general.architecture"), ["general.architecture"]),
    "architecture no text": (lambda e: e.set("general.architecture", 5, V.UINT32), ["general.architecture", "string"]),
    "architecture no UTF-8": (
        lambda e: e.set("general.architecture", b"\xff\xfe\n", V.STRING),
        ["general.architecture", "UTF-8"],
    ),
    "architecture of two lines": (lambda e: e.set("general.architecture", "a\nb\0c", V.STRING), ["a?b?c"]),
    "zero dimensions": (lambda e: setattr(e.tensors[0], "ne", []), ["embed_tokens", "0 dimensions"]),
    "nine dimensions": (lambda e: setattr(e.tensors[0], "ne", [64, 400, *[1] * 7]), ["embed_tokens", "9 dimensions"]),
    "extent 0": (lambda e: setattr(e.tensors[0], "ne", [0, 400]), ["embed_tokens", "extent 0"]),
    "2^40 rows": (lambda e: setattr(e.tensors[0], "ne", [64, 2**40]), ["embed_tokens"]),
    "2^63 rows": (lambda e: setattr(e.tensors[0], "ne", [64, 2**63]), ["embed_tokens"]),
    "product overflows": (lambda e: setattr(e.tensors[0], "ne", [2**32, 2**32]), ["embed_tokens"]),
    "type 4, removed": (lambda e: setattr(e.tensors[0], "type", 4), ["embed_tokens", "type 4"]),
    "type 31, removed": (lambda e: setattr(e.tensors[0], "type", 31), ["embed_tokens", "type 31"]),
    "type 2^32-1": (lambda e: setattr(e.tensors[0], "type", 2**32 - 1), ["embed_tokens", "4294967295"]),
    "offset beyond the end": (lambda e: setattr(e.tensors[0], "offset", 2**40), ["embed_tokens", "beyond the end"]),
    "offset overflows": (lambda e: setattr(e.tensors[0], "offset", 2**64 - 32), ["embed_tokens"]),
    "offset unaligned": (lambda e: setattr(e.tensors[1], "offset", 33), ["linear_fc1", "alignment"]),
    "tensors overlap": (lambda e: setattr(e.tensors[1], "offset", 0), ["embed_tokens", "linear_fc1", "overlap"]),
    "tensor twice": (lambda e: e.rename("talker.model.norm.weight", e.tensors[0].name), ["embed_tokens", "twice"]),
    "name of 64 bytes": (lambda e: e.rename("talker.model.norm.weight", "x" * 64), ["talker.model.norm.weight"]),
    "name of 1025 bytes": (lambda e: e.rename("talker.model.norm.weight", "x" * 1025), ["string of 1025"]),
    "name no UTF-8": (lambda e: e.rename("talker.model.norm.weight", b"\xff\n\0"), ["talker.model.norm.weight"]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header(worker: Worker, tiny_files: Files, tmp_path: Path, case: str) -> None:
    change, parts = HEADERS[case]
    edit = GgufEdit.read(tiny_files.speech)
    change(edit)
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", *parts)


@pytest.mark.parametrize("type_", [V.UINT8, V.STRING, V.FLOAT64])
def test_array_longer_than_the_file(worker: Worker, tiny_files: Files, tmp_path: Path, type_: int) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.metadata.insert(0, ("general.odd", edit.metadata[0][1]))
    content = edit.write(tmp_path / "x.gguf").read_bytes()
    at = content.index(b"general.odd") + len(b"general.odd")
    array = struct.pack("<IIQ", V.ARRAY, type_, 2**61)
    (tmp_path / "x.gguf").write_bytes(content[:at] + array + content[at + len(array) :])
    refused(load(worker, tmp_path / "x.gguf"), "x.gguf", "general.odd", str(2**61))


def test_huge_sparse_file(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    """A file that is large, and holds nothing: an array may take no multiple of that."""
    path = tmp_path / "sparse.gguf"
    array = struct.pack("<IIQ", V.ARRAY, V.UINT8, 2**35)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + array)
    os.truncate(path, 2**36)
    refused(load(worker, path), "sparse.gguf", "2^26")


# --- metadata ---------------------------------------------------------------------------------------------------------

REQUIRED = [
    "format_version",
    "talker.num_hidden_layers",
    "talker.head_dim",
    "talker.num_experts",
    "talker.norm_topk_prob",
    "talker.codec_eos_token_id",
    "talker.speaker_names",
    "talker.suppressed_tail",
    "code_predictor.num_code_groups",
    "code_predictor.rope_theta",
    "code2wav.upsample_rates",
    "code2wav.sliding_window",
    "token.tts_pad",
]


@pytest.mark.parametrize("key", REQUIRED)
def test_metadata_missing(worker: Worker, tiny_files: Files, tmp_path: Path, key: str) -> None:
    path = GgufEdit.read(tiny_files.speech).remove(S + key).write(tmp_path / "x.gguf")
    refused(load(worker, path), "x.gguf", S + key)


@pytest.mark.parametrize("key", REQUIRED)
def test_metadata_of_another_type(worker: Worker, tiny_files: Files, tmp_path: Path, key: str) -> None:
    path = GgufEdit.read(tiny_files.speech).set(S + key, "text", V.STRING).write(tmp_path / "x.gguf")
    refused(load(worker, path), "x.gguf", S + key)


# Each value with a part of the message that is not the key.
ABSURD: list[tuple[str, object, str]] = [
    ("format_version", 2, "= 2"),
    ("talker.num_hidden_layers", 0, "= 0"),
    ("talker.num_hidden_layers", 1025, "1025"),
    ("talker.num_hidden_layers", 1, "talker.model.layers.1."),
    ("talker.num_hidden_layers", 3, "talker.model.layers.2."),
    ("talker.hidden_size", 0, "= 0"),
    ("talker.hidden_size", 64, "talker."),
    ("talker.num_attention_heads", 0, "= 0"),
    ("talker.num_attention_heads", 3, "q_proj"),
    ("talker.num_key_value_heads", 0, "= 0"),
    ("talker.num_key_value_heads", 2, "k_proj"),
    ("talker.num_key_value_heads", 3, "divide"),
    ("talker.head_dim", 0, "= 0"),
    ("talker.head_dim", 31, "odd"),
    ("talker.head_dim", 2**14, "q_proj"),
    ("talker.head_dim", 2**31, "2147483648"),
    ("talker.num_experts", 0, "= 0"),
    ("talker.num_experts", 2**16, "mlp.gate"),
    ("talker.num_experts_per_tok", 0, "= 0"),
    ("talker.num_experts_per_tok", 5, "5 experts of 4"),
    ("talker.num_experts_per_tok", 2**20, "1048576"),
    ("talker.moe_intermediate_size", 0, "= 0"),
    ("talker.shared_expert_intermediate_size", 0, "= 0"),
    ("talker.vocab_size", 1, "= 1"),
    ("talker.vocab_size", 2**30, str(2**30)),
    ("talker.vocab_size", 1089, "codec_embedding"),
    ("talker.suppressed_tail", 1088, "1088"),
    ("talker.suppressed_tail", 100, "codebook"),
    ("talker.thinker_hidden_size", 65, "embed_tokens"),
    ("talker.codec_bos_id", 1088, "1088"),
    ("talker.max_position_embeddings", 0, "= 0"),
    ("talker.speaker_ids", [317, 318], "2 ids"),
    ("talker.speaker_ids", [317, 318, 1088], "1088"),
    ("talker.speaker_names", ["a", "b", "a"], '"a" twice'),
    ("talker.speaker_names", [], "speaker"),
    ("talker.generation.max_new_tokens", 0, "= 0"),
    ("code_predictor.hidden_size", 33, "code_predictor"),
    ("code_predictor.num_code_groups", 1, "= 1"),
    ("code_predictor.num_code_groups", 3, "3"),
    ("code_predictor.num_code_groups", 256, "codec_embedding.3"),
    ("code_predictor.vocab_size", 63, "codec_embedding.0"),
    ("code2wav.sliding_window", 0, "= 0"),
    ("code2wav.sliding_window", 2**20, str(2**20)),
    ("code2wav.num_quantizers", 5, "code_embedding"),
    ("code2wav.num_quantizers", 8, "code_embedding"),
    ("code2wav.codebook_size", 2**24, "code_embedding"),
    ("code2wav.codebook_size", 32, "code_embedding"),
    ("code2wav.decoder_dim", 30, "divide"),
    ("code2wav.decoder_dim", 0, "= 0"),
    ("code2wav.upsampling_ratios", [0], "= 0"),
    ("code2wav.upsampling_ratios", [64, 64, 64, 64], "1048576"),
    ("code2wav.upsampling_ratios", [2] * 9, "9"),
    ("code2wav.upsample_rates", [], "rate"),
    ("code2wav.upsample_rates", [65], "65"),
    ("code2wav.upsample_rates", [1, 1], "block.1"),
    ("code2wav.upsample_rates", [3, 4], "block.1"),
    ("code2wav.sample_rate", 0, "= 0"),
    ("token.tts_eos", 400, "400"),
    ("token.im_start", -1, "-1"),
]


@pytest.mark.parametrize(("key", "value", "part"), ABSURD, ids=[f"{key}={value}"[:60] for key, value, _ in ABSURD])
def test_absurd_metadata(worker: Worker, tiny_files: Files, tmp_path: Path, key: str, value: object, part: str) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    kind = None if isinstance(value, list) else V.INT64
    edit.set(S + key, value, kind)
    if key == "talker.speaker_names" and not value:
        edit.set(S + "talker.speaker_ids", [])
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", part)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e30])
@pytest.mark.parametrize("key", ["talker.rms_norm_eps", "code_predictor.rope_theta", "talker.generation.temperature"])
def test_absurd_numbers(worker: Worker, tiny_files: Files, tmp_path: Path, key: str, value: float) -> None:
    path = GgufEdit.read(tiny_files.speech).set(S + key, value, V.FLOAT64).write(tmp_path / "x.gguf")
    refused(load(worker, path), "x.gguf", S + key)


@pytest.mark.parametrize("key", ["talker.generation.top_p", "code_predictor.generation.top_p"])
def test_nothing_to_draw_from(worker: Worker, tiny_files: Files, tmp_path: Path, key: str) -> None:
    path = GgufEdit.read(tiny_files.speech).set(S + key, 0.0).write(tmp_path / "x.gguf")
    refused(load(worker, path), "x.gguf", S + key)


THINKER_KEYS = [
    ("block_count", 0, "= 0"),
    ("block_count", 1, "blk.1."),
    ("block_count", 3, "blk.2."),
    ("embedding_length", 63, "token_embd"),
    ("attention.head_count", 0, "= 0"),
    ("attention.head_count", 3, "divide"),
    ("attention.head_count_kv", 4, "attn_k"),
    ("attention.key_length", 7, "odd"),
    ("expert_count", 0, "= 0"),
    ("expert_used_count", 5, "5 experts of 4"),
    ("expert_used_count", 0, "= 0"),
    ("context_length", 0, "= 0"),
]


@pytest.mark.parametrize(("key", "value", "part"), THINKER_KEYS)
def test_absurd_thinker(worker: Worker, tiny_files: Files, tmp_path: Path, key: str, value: int, part: str) -> None:
    edit = GgufEdit.read(tiny_files.thinker).set("qwen3vlmoe." + key, value)
    refused(load(worker, tiny_files.speech, edit.write(tmp_path / "x.gguf")), "x.gguf", part)


@pytest.mark.parametrize("key", ["block_count", "expert_count", "context_length", "embedding_length"])
def test_thinker_key_missing(worker: Worker, tiny_files: Files, tmp_path: Path, key: str) -> None:
    path = GgufEdit.read(tiny_files.thinker).remove("qwen3vlmoe." + key).write(tmp_path / "x.gguf")
    refused(load(worker, tiny_files.speech, path), "x.gguf", "qwen3vlmoe." + key)


@pytest.mark.parametrize(("value", "type_"), [("hot", V.STRING), (0.0, V.FLOAT32), (float("nan"), V.FLOAT32)])
def test_absurd_thinker_defaults(worker: Worker, tiny_files: Files, tmp_path: Path, value: object, type_: int) -> None:
    key = "qwen3omni.generation.temperature"
    path = GgufEdit.read(tiny_files.thinker).set(key, value, type_).write(tmp_path / "x.gguf")
    refused(load(worker, tiny_files.speech, path), "x.gguf", key)


def test_thinker_without_the_talkers_layer(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    """Only the hidden states are missing then; the text can still be written."""
    path = GgufEdit.read(tiny_files.thinker).remove("qwen3omni.accept_hidden_layer").write(tmp_path / "x.gguf")
    code = f"model = {LOAD}\nresult = [model.thinker([1, 2]).hidden is None, len(model.thinker([1, 2]).logits)]"
    assert worker.run(code, speech=str(tiny_files.speech), thinker=str(path)).value == [True, 2]


TOKENIZERS: dict[str, tuple[Change, str]] = {
    "no tokens": (lambda e: e.remove("tokenizer.ggml.tokens"), "tokenizer.ggml.tokens"),
    "no merges": (lambda e: e.remove("tokenizer.ggml.merges"), "tokenizer.ggml.merges"),
    "no template": (lambda e: e.remove("tokenizer.chat_template"), "chat template"),
    "tokens a number": (lambda e: e.set("tokenizer.ggml.tokens", 5, V.UINT32), "tokenizer.ggml.tokens"),
    "tokens a text": (lambda e: e.set("tokenizer.ggml.tokens", "abc", V.STRING), "tokenizer.ggml.tokens"),
    "kinds are texts": (
        lambda e: e.set("tokenizer.ggml.token_type", ["1"], V.ARRAY, V.STRING),
        "tokenizer.ggml.token_type",
    ),
    "merges are numbers": (
        lambda e: e.set("tokenizer.ggml.merges", [1, 2], V.ARRAY, V.INT32),
        "tokenizer.ggml.merges",
    ),
    "merges of nothing": (
        lambda e: e.set("tokenizer.ggml.merges", ["nonsense words"], V.ARRAY, V.STRING),
        "merges",
    ),
    "eos a text": (lambda e: e.set("tokenizer.ggml.eos_token_id", "x", V.STRING), "tokenizer.ggml.eos_token_id"),
    "eos beyond": (lambda e: e.set("tokenizer.ggml.eos_token_id", 400), "400"),
    "pre a number": (lambda e: e.set("tokenizer.ggml.pre", 5, V.UINT32), "tokenizer.ggml.pre"),
    "pre unknown": (lambda e: e.set("tokenizer.ggml.pre", "gpt-2"), "gpt-2"),
    "template a number": (lambda e: e.set("tokenizer.chat_template", 5, V.UINT32), "tokenizer.chat_template"),
    "template no template": (lambda e: e.set("tokenizer.chat_template", "{% if %}"), "template"),
    "template for ever": (
        lambda e: e.set("tokenizer.chat_template", "{% for i in range(10**12) %}x{% endfor %}"),
        "template",
    ),
    "another vocabulary": (
        lambda e: (
            e.set("tokenizer.ggml.tokens", [*e.entry("tokenizer.ggml.tokens").value, "extra"]),
            e.set("tokenizer.ggml.token_type", [*e.entry("tokenizer.ggml.token_type").value, 1]),
        ),
        "401",
    ),
}


@pytest.mark.parametrize("case", TOKENIZERS)
def test_tokenizer(worker: Worker, tiny_files: Files, tmp_path: Path, case: str) -> None:
    change, part = TOKENIZERS[case]
    edit = GgufEdit.read(tiny_files.speech)
    change(edit)
    refused(use(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", part)


# --- tensors ----------------------------------------------------------------------------------------------------------

SOME_TENSORS = [
    "thinker.model.embed_tokens.weight",
    "talker.text_projection.linear_fc1.bias",
    "talker.model.layers.1.mlp.experts.down_proj.weight",
    "talker.code_predictor.lm_head.2.weight",
    "code2wav.code_embedding.weight",
    "code2wav.decoder.1.block.1.conv.weight",
    "code2wav.decoder.4.conv.bias",
]


@pytest.mark.parametrize("name", SOME_TENSORS)
def test_tensor_missing(worker: Worker, tiny_files: Files, tmp_path: Path, name: str) -> None:
    path = GgufEdit.read(tiny_files.speech).drop(name).write(tmp_path / "x.gguf")
    refused(load(worker, path), "x.gguf", f"lacks tensor {name}")


@pytest.mark.parametrize("name", SOME_TENSORS)
def test_tensor_misshapen(worker: Worker, tiny_files: Files, tmp_path: Path, name: str) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    ne = edit.tensor(name).ne
    edit.reshape(name, [ne[0] + 1, *ne[1:]])
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", name, "shape")


def test_tensor_transposed(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    path = GgufEdit.read(tiny_files.speech).reshape("talker.codec_head.weight", [1088, 32]).write(tmp_path / "x.gguf")
    refused(load(worker, path), "x.gguf", "talker.codec_head.weight", "[32, 1088]", "[1088, 32]")


def test_tensor_too_many(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.tensors.append(Tensor("talker.model.layers.9.extra", [32], Q.F32, bytes(128)))
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", "talker.model.layers.9.extra", "1 tensor")


@pytest.mark.parametrize("type_", [Q.I8, Q.I16, Q.I32, Q.I64, Q.F64, Q.Q8_K, Q.Q8_1])
@pytest.mark.parametrize("name", ["talker.codec_head.weight", "code2wav.decoder.1.block.1.conv.weight"])
def test_tensor_of_a_useless_type(worker: Worker, tiny_files: Files, tmp_path: Path, name: str, type_: Q) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    tensor = edit.tensor(name)
    tensor.type, tensor.data = type_, bytes(4 * len(tensor.data))
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", name)


@pytest.mark.parametrize("name", ["talker.model.norm.weight", "code2wav.decoder.1.block.1.conv.weight"])
def test_rows_that_blocks_do_not_divide(worker: Worker, tiny_files: Files, tmp_path: Path, name: str) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    tensor = edit.tensor(name)
    tensor.type = Q.Q4_K
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", name, "256")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [*SOME_TENSORS[1:], "talker.model.norm.weight", "code2wav.decoder.3.alpha"])
def test_weights_not_finite(worker: Worker, tiny_files: Files, tmp_path: Path, name: str, value: float) -> None:
    """The text table is not read then: its rows are checked when they are used (`test_lazy_loading.py`)."""
    edit = GgufEdit.read(tiny_files.speech)
    values = edit.values(name)
    values[-1] = value
    refused(load(worker, edit.put(name, values).write(tmp_path / "x.gguf")), "x.gguf", name, "NaN")


@pytest.mark.parametrize(
    ("type_", "block", "scales"),
    [(Q.F16, 2, [0]), (Q.BF16, 2, [0]), (Q.Q8_0, 34, [0]), (Q.Q4_0, 18, [0]), (Q.Q4_1, 20, [0, 2]), (Q.Q5_1, 24, [2])],
)
def test_quantized_weights_not_finite(
    worker: Worker, tiny_files: Files, tmp_path: Path, type_: Q, block: int, scales: list[int]
) -> None:
    name = "talker.codec_head.weight"
    for scale in scales:
        edit = GgufEdit.read(tiny_files.speech).retype(name, type_)
        data = bytearray(edit.tensor(name).data)
        data[3 * block + scale : 3 * block + scale + 2] = b"\xff\x7f"
        edit.tensor(name).data = bytes(data)
        refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", name, "NaN")


@pytest.mark.parametrize("thinker", [False, True])
def test_overflow_is_reported(worker: Worker, tiny_files: Files, tmp_path: Path, thinker: bool) -> None:
    """Finite weights whose products are not: refused where they are computed, and nothing hides the NaN."""
    files = list(tiny_files)
    edit = GgufEdit.read(files[thinker])
    name = "blk.0.ffn_gate_inp.weight" if thinker else "talker.model.layers.0.mlp.gate.weight"
    other = "blk.1.attn_q.weight" if thinker else "talker.model.layers.1.self_attn.v_proj.weight"
    for tensor in (name, other):
        edit.put(tensor, np.full_like(edit.values(tensor), 3e38))
    files[thinker] = edit.write(tmp_path / "x.gguf")
    refused(use(worker, *files), "x.gguf", error="NumericError")


def test_vocoder_overflow_is_reported(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    for name in ("code2wav.decoder.0.conv.weight", "code2wav.decoder.1.block.1.conv.weight"):
        edit.put(name, np.full_like(edit.values(name), 3e38))
    outcome = use(worker, edit.write(tmp_path / "x.gguf"))
    refused(outcome, "code2wav", error="NumericError")


# --- odd, and all right -----------------------------------------------------------------------------------------------

TYPES = [kind for kind in Q if kind not in (Q.I8, Q.I16, Q.I32, Q.I64, Q.F64, Q.Q8_K, Q.Q8_1, Q.F32)]


@pytest.mark.parametrize("type_", TYPES, ids=lambda kind: kind.name)
def test_every_type_runs_or_is_refused(worker: Worker, tiny_files: Files, tmp_path: Path, type_: Q) -> None:
    """Every tensor whose rows the type's blocks divide, the code embedding and convolutions included."""
    edit = GgufEdit.read(tiny_files.speech)
    block = GGML_QUANT_SIZES[type_][0]
    for tensor in edit.tensors:
        if tensor.ne[0] % block == 0:
            edit.retype(str(tensor.name), type_)
    outcome = use(worker, edit.write(tmp_path / "x.gguf"))
    if outcome.error:
        refused(outcome, "x.gguf")
    else:
        assert outcome.value[1] <= 3


def test_all_experts_are_used(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    path = GgufEdit.read(tiny_files.speech).set(S + "talker.num_experts_per_tok", 4).write(tmp_path / "x.gguf")
    assert use(worker, path).error == ""


def test_as_many_experts_as_there_can_be(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    """The largest graph that the metadata can ask for."""
    edit = GgufEdit.read(tiny_files.speech)
    for layer in range(2):
        p = f"talker.model.layers.{layer}.mlp."
        edit.reshape(p + "gate.weight", [32, 1500])
        for name in ("gate_proj", "up_proj", "down_proj"):
            edit.reshape(p + f"experts.{name}.weight", [32, 32, 1500])
    edit.set(S + "talker.num_experts", 1500).set(S + "talker.num_experts_per_tok", 1024)
    assert use(worker, edit.write(tmp_path / "x.gguf")).error == ""


def test_as_many_groups_as_there_can_be(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    for group in range(3, 255):
        for name in ("model.codec_embedding", "lm_head"):
            edit.tensors.append(Tensor(f"talker.code_predictor.{name}.{group}.weight", [32, 64], Q.F32, bytes(8192)))
    edit.reshape("code2wav.code_embedding.weight", [32, 64 * 256])
    edit.set(S + "code_predictor.num_code_groups", 256).set(S + "code2wav.num_quantizers", 256)
    outcome = use(worker, edit.write(tmp_path / "x.gguf"))
    assert outcome.error == "" and outcome.value[1] == 3


@pytest.mark.parametrize(
    ("value", "type_", "said"),
    [("nosuch", V.STRING, '"nosuch"'), (5, V.UINT32, "default_speaker")],
    ids=["unknown", "number"],
)
def test_a_default_speaker_that_is_none(
    worker: Worker, tiny_files: Files, tmp_path: Path, value: object, type_: int, said: str
) -> None:
    edit = GgufEdit.read(tiny_files.speech).set(S + "talker.default_speaker", value, type_)
    refused(use(worker, edit.write(tmp_path / "x.gguf")), said)


def test_one_speaker_and_a_strange_name(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.set(S + "talker.speaker_names", ["a\nb\0c"]).set(S + "talker.speaker_ids", [317])
    outcome = worker.run(
        f"model = {LOAD}\nmodel.speak('x', max_frames=1)\nmodel.speak('x', speaker='none')",
        speech=str(edit.write(tmp_path / "x.gguf")),
        thinker=None,
    )
    refused(outcome, '"none"', "a?b?c", error="InputError")


def test_speaker_name_no_utf8(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech).set(S + "talker.speaker_names", [b"\xff", b"a", b"b"])
    refused(load(worker, edit.write(tmp_path / "x.gguf")), "x.gguf", S + "talker.speaker_names", "UTF-8")


def test_other_metadata_may_be_anything(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    edit = GgufEdit.read(tiny_files.speech)
    edit.set("general.name", b"\xff\xfe\0\n", V.STRING).append("x" * 300, "y", V.STRING).append(b"\xff", 1, V.UINT8)
    path = edit.write(tmp_path / "x.gguf")
    code = f"result = {LOAD}.metadata['general.name']"
    assert worker.run(code, speech=str(path), thinker=None).value == "\ufffd\ufffd\0\n"


def test_one_sample_a_frame(worker: Worker, tiny_files: Files, tmp_path: Path) -> None:
    """A decoder without upsampling: the first frame has no samples yet."""
    edit = GgufEdit.read(tiny_files.speech)
    edit.set(S + "code2wav.upsampling_ratios", [1]).set(S + "code2wav.upsample_rates", [2, 1])
    edit.reshape("code2wav.upsample.0.0.conv.weight", [1, 32, 32])
    edit.reshape("code2wav.decoder.1.block.1.conv.weight", [4, 16, 32])
    edit.reshape("code2wav.decoder.2.block.1.conv.weight", [2, 8, 16])
    outcome = worker.run(
        f"model = {LOAD}\nresult = [[len(model.code2wav([[1] * n] * 4, chunk_frames=1)), model.n_samples(n)]"
        " for n in (0, 1, 2, 3, 40)]",
        speech=str(edit.write(tmp_path / "x.gguf")),
        thinker=None,
    )
    assert outcome.value == [[0, 0], [0, 0], [1, 1], [3, 3], [77, 77]], outcome
