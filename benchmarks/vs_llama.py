"""The thinker beside llama.cpp's, in turn in one process, from the same file: reading a prompt and writing tokens.

    python benchmarks/vs_llama.py --type q4_0 q4_k q8_0

The file has layers of the published geometry, as many as `--layers`, random blocks for weights, and the built-in
thinker's vocabulary. llama.cpp is PyPI's `xllamacpp`, with its own choice of everything but the number of threads.
Tokens a second are the median of the repetitions; the ratio is the median of those of one repetition, above 1 where the
engine is ahead. Needs the test extra.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from math import prod
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import xllamacpp

from omniggml import _native
from omniggml.conversion.output_tensors import thinker_file_outputs
from omniggml.gguf.header import read_header
from omniggml.gguf.output_header import OutputTensor, header_bytes, offsets
from omniggml.gguf.type_names import nbytes_of
from omniggml.loading import BUILT_IN
from omniggml.spec import thinker_file
from omniggml.spec.policy import read_policy
from omniggml.spec.published import PUBLISHED

Bytes = npt.NDArray[np.uint8]
SIZE = 0.02
"""Of a typical weight."""
SCALES = {
    "Q8_0": (0, SIZE / 74),
    "Q4_0": (0, SIZE / 4.6),
    "IQ4_NL": (0, SIZE / 70),
    "Q4_K": (0, SIZE / 150),
    "Q5_K": (0, SIZE / 300),
    "Q6_K": (208, SIZE / 1400),
    "IQ4_XS": (0, SIZE / 1300),
}
"""Where in a block its scale lies, and one that makes random codes weights of that size."""
LEAST = {"Q4_K": (2, SIZE * 7.5 / 150), "Q5_K": (2, SIZE * 15.5 / 300)}
TYPES = [name.lower() for name in SCALES]


def random_blocks(type_: str, count: int, rng: np.random.Generator) -> Bytes:
    """Values of a type, [count / values of a block, bytes of a block]."""
    values, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[type_]]
    blocks = rng.integers(0, 256, (count // values, size), dtype=np.uint8)
    for at, scale in (SCALES[type_], *([LEAST[type_]] if type_ in LEAST else [])):
        blocks[:, at : at + 2] = np.full((len(blocks), 1), scale, np.float16).view(np.uint8)
    return blocks


def write_thinker(path: Path, type_: str, layers: int) -> None:
    """Stacks of experts repeat the blocks of their first ones."""
    voice = read_header(BUILT_IN.with_name("voice-thinker.gguf"))
    rows = voice.tensors["token_embd.weight"].shape[0]
    thinker = dataclasses.replace(PUBLISHED.thinker, vocab_size=rows, num_hidden_layers=layers)
    shapes = [(one.name, one.shape) for one in thinker_file_outputs(thinker, read_policy("f32"))]
    types = ["F32" if len(shape) == 1 or "gate_inp" in name else type_.upper() for name, shape in shapes]
    outputs = [
        OutputTensor(name, shape, kind, nbytes_of(kind, prod(shape)))
        for (name, shape), kind in zip(shapes, types, strict=True)
    ]
    metadata = thinker_file.thinker_metadata(dataclasses.replace(PUBLISHED.language_model, thinker=thinker))
    del metadata["qwen3omni.accept_hidden_layer"]
    metadata |= {key: entry for key, entry in voice.entries().items() if key.startswith("tokenizer.")}
    header = header_bytes(thinker_file.ARCHITECTURE, metadata, outputs)
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        file.write(header)
        for one, place in zip(outputs, offsets(header, outputs), strict=False):
            file.seek(place)
            if one.type == "F32":
                values = rng.standard_normal(one.shape) * SIZE if len(one.shape) > 1 else np.ones(one.shape)
                file.write(values.astype(np.float32).tobytes())
                continue
            count = prod(one.shape)
            part = random_blocks(one.type, min(count, 8 * prod(one.shape[-2:])), rng).tobytes()
            for _ in range(one.nbytes // len(part)):
                file.write(part)


class Ours:
    """Seconds that the engine takes."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _native.ThinkerSession(_native.Thinker(str(path), "CPU"), threads, None)

    def run(self, prompt: list[int], tokens: int) -> tuple[float, float]:
        """To read the prompt, and to write each of so many tokens."""
        self._session.truncate(0)
        start = time.perf_counter()
        logits, _ = self._session.forward(np.array(prompt, np.int32), all_logits=False)
        read = time.perf_counter()
        for _ in range(tokens):
            logits, _ = self._session.forward(np.array([logits[-1].argmax()], np.int32), all_logits=False)
        return read - start, (time.perf_counter() - read) / tokens


class Theirs:
    """Seconds that llama.cpp takes, by its own clock."""

    def __init__(self, path: Path, threads: int) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel, parameters.warmup = 2048, 1, True
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        self._server = xllamacpp.Server(parameters)

    def run(self, prompt: list[int], tokens: int) -> tuple[float, float]:
        request = {"prompt": prompt, "n_predict": tokens + 1, "temperature": 0, "cache_prompt": False}
        timings = self._server.handle_completions({**request, "ignore_eos": True})["timings"]
        assert timings["prompt_n"] == len(prompt), timings
        return timings["prompt_ms"] / 1000, timings["predicted_per_token_ms"] / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--type", nargs="+", choices=TYPES, default=["q4_0", "q4_k", "q8_0"])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompts", default="16,256", metavar="N,N", help="tokens")
    parser.add_argument("--tokens", type=int, default=32, help="that are written")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    print(f"{args.layers} layers of the published geometry, {args.threads} threads, load {os.getloadavg()[0]:.1f}\n")
    print("| weights | prompt, tokens | read, tokens/s | llama.cpp | ratio | write, tokens/s | llama.cpp | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for type_ in args.type:
        with tempfile.TemporaryDirectory(dir=".") as directory:
            path = Path(directory) / f"{type_}.gguf"
            write_thinker(path, type_, args.layers)
            engines = (Ours(path, args.threads), Theirs(path, args.threads))
            for count in map(int, args.prompts.split(",")):
                prompt = [int(token) for token in np.random.default_rng(count).integers(10, 400, count)]
                for engine in engines:
                    engine.run(prompt, 2)
                runs = [[engine.run(prompt, args.tokens) for engine in engines] for _ in range(args.repetitions)]
                cells = []
                for what, amount in ((0, count), (1, 1)):
                    ours, theirs = ([run[who][what] for run in runs] for who in (0, 1))
                    ratio = statistics.median(t / o for o, t in zip(ours, theirs, strict=True))
                    cells += [f"{amount / statistics.median(each):.1f}" for each in (ours, theirs)] + [f"{ratio:.2f}"]
                print(f"| {type_} | {count} | {' | '.join(cells)} |", flush=True)
            del engines


if __name__ == "__main__":
    sys.exit(main())
