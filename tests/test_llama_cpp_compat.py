"""The thinker's file in llama.cpp itself: the same tokens as transformers, greedily, in F32.

`data/thinker_greedy.json` holds what transformers answers, so that the test with llama.cpp (the xllamacpp package)
and the one with transformers need not be installed side by side.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import pytest

from omniggml import TextOptions, convert, load, quantize
from omniggml.synthetic.geometries import GEOMETRIES
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from omniggml.tokenizer import Tokenizer

GREEDY = Path(__file__).parent / "data" / "thinker_greedy.json"
NAMES = ["tiny", "mini", "odd", "grouped", "big-codebook", "long-window"]
MESSAGES = [{"role": "system", "content": "You are a small voice."}, {"role": "user", "content": "hello world"}]
TOKENS = 24
TEXTS = [
    "hello world, 2024",
    "They've gone... isn't it?\n\n ok",
    "Straße é 你好 🚀",
    "<think>a</think> <|im_start|>user\n",
]


@pytest.fixture(scope="module", params=NAMES)
def thinker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """(geometry, checkpoint, F32 thinker file)"""
    root = tmp_path_factory.mktemp("llama")
    checkpoint = write_random_checkpoint(request.param, root / request.param)
    return request.param, checkpoint, convert(checkpoint, root, type="f32", only="thinker")[0]


def tokenizer_of(path: Path) -> Tokenizer:
    fields = gguf.GGUFReader(path).fields

    def value(key: str) -> Any:
        return fields[f"tokenizer.{key}"].contents()

    return Tokenizer(
        value("ggml.tokens"),
        value("ggml.token_type"),
        value("ggml.merges"),
        value("ggml.eos_token_id"),
        value("ggml.padding_token_id"),
        value("ggml.pre"),
        value("chat_template"),
    )


@contextmanager
def llama_server(path: Path, mmproj: Path | None = None) -> Iterator[str]:
    """Address of llama.cpp's server with this model, and an mmproj file for it."""
    xllamacpp = pytest.importorskip("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    if mmproj is not None:
        parameters.mmproj.path = str(mmproj)
    parameters.n_ctx = 256
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 2
    parameters.warmup = False
    parameters.fit_params = False
    parameters.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(parameters)
    yield server.listening_address
    del server


def post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.load(response)
    assert isinstance(answer, dict)
    return answer


def test_llama_cpp_answers_as_transformers(thinker: tuple[str, Path, Path]) -> None:
    name, _, path = thinker
    tokenizer = tokenizer_of(path)
    prompt = tokenizer.encode_chat(MESSAGES)
    with llama_server(path) as address:
        for text in TEXTS:
            body = {"content": text, "add_special": True, "parse_special": True}
            assert post(address, "/tokenize", body)["tokens"] == tokenizer.encode(text, parse_special=True)
        body = {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "return_tokens": True, "cache_prompt": False}
        tokens = post(address, "/completion", body)["tokens"]
    assert [token for token in tokens if token != tokenizer.eos_id] == json.loads(GREEDY.read_text())[name]


@pytest.mark.parametrize("type_", ["f16", "bf16", "q8_0", "q8_0-all", "q6_k", "q4_k"])
def test_llama_cpp_reads_every_type(tmp_path: Path, type_: str) -> None:
    """And our tokens are its, of the same file."""
    pytest.importorskip("xllamacpp")
    checkpoint = write_random_checkpoint("mini", tmp_path / "mini")
    (plain,) = convert(checkpoint, tmp_path, type="f32", only="thinker")
    path = quantize(plain, tmp_path / "x-thinker.gguf", policy=type_).path
    asked = {"prompt": [1, 2, 3], "n_predict": 4, "temperature": 0, "return_tokens": True, "cache_prompt": False}
    with llama_server(path) as address:
        theirs = post(address, "/completion", asked)["tokens"]
    ours = load(thinker=path, n_threads=1).generate_text([1, 2, 3], TextOptions(greedy=True, max_tokens=4))[0]
    assert theirs[0] == ours[0]


@pytest.mark.reference
def test_recorded_answers_are_those_of_transformers(thinker: tuple[str, Path, Path]) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    name, checkpoint, path = thinker
    tokenizer = tokenizer_of(path)
    model = transformers.Qwen3OmniMoeForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32).eval()
    prompt = torch.tensor([tokenizer.encode_chat(MESSAGES)])
    answer = model.thinker.generate(
        input_ids=prompt, max_new_tokens=TOKENS, do_sample=False, eos_token_id=tokenizer.eos_id
    )
    tokens = answer[0, prompt.shape[1] :].tolist()
    assert [token for token in tokens if token != tokenizer.eos_id] == json.loads(GREEDY.read_text())[name]


def test_every_geometry_has_a_recorded_answer() -> None:
    recorded = json.loads(GREEDY.read_text())
    assert sorted(recorded) == sorted(NAMES)
    assert all(recorded[name] and max(recorded[name]) < GEOMETRIES[name].thinker.vocab_size for name in NAMES)
