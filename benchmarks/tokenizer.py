"""The tokenizer beside the `tokenizers` library: equal on hostile strings, and as fast?

    python benchmarks/tokenizer.py [--strings 100000] [--ranks qwen.tiktoken]

The vocabulary is learned from the strings themselves, so that merges meet in every script; with `--ranks` it is the one
of a file in tiktoken's form, as Qwen publishes its own. Loading and encoding are timed in turn. Exits with 1 where a
string differs.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from hostile_strings import hostile_string
from omniggml import _native
from omniggml.spec.token_type import TokenType
from omniggml.synthetic.small_tokenizer import byte_letters
from tokenizers_library import library_tokenizer

USER_DEFINED = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<think>>", "ab")


def learned_vocabulary(texts: list[str], size: int) -> tuple[list[str], list[str]]:
    """Tokens and merges that the library learns from the texts, split as it splits."""
    import json

    from tokenizers import trainers

    backend = library_tokenizer([*byte_letters().values()], [1] * 256, [])
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=[*byte_letters().values()], show_progress=False)
    backend.train_from_iterator(texts, trainer)
    model = json.loads(backend.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return tokens, [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def published_vocabulary(path: Path) -> tuple[list[str], list[str]]:
    """Tokens and merges of a list of ranks: a token's merge is what the merges before it leave of its bytes."""
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in path.read_bytes().splitlines()}
    letters = byte_letters()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = []
    for token, rank in sorted(ranks.items(), key=lambda entry: entry[1]):
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            pairs = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
            best = min(range(len(pairs)), key=pairs.__getitem__)
            if pairs[best] >= rank:
                break
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        if len(parts) == 2:
            merges.append(f"{spelled(parts[0])} {spelled(parts[1])}")
    return [spelled(token) for token in sorted(ranks, key=ranks.__getitem__)], merges


def timed(call: Callable[[], Any], repetitions: int = 5) -> tuple[float, Any]:
    """Seconds of the fastest call, and what it returns."""
    best, value = float("inf"), None
    for _ in range(repetitions):
        start = time.perf_counter()
        value = call()
        best = min(best, time.perf_counter() - start)
    return best, value


def differing(theirs: Any, ours: _native.TextTokenizer, texts: list[str]) -> Iterator[str]:
    source = random.Random(1)
    for text in texts:
        ids = theirs.encode(text, add_special_tokens=False).ids
        stream, streamed, at = _native.TokenStream(ours), [], 0
        raw = text.encode()
        while at < len(raw):
            size = source.choice((1, 2, 5, 20, 1000))
            streamed += stream.feed(raw[at : at + size])
            at += size
        same_text = theirs.decode(ids, skip_special_tokens=False) == ours.decode(ids, skip_special=False)
        if not (ids == ours.encode(raw, parse_special=False) == streamed + stream.finish() and same_text):
            yield text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ranks", type=Path)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    texts = [hostile_string(source) for _ in range(arguments.strings)]
    tokens, merges = published_vocabulary(arguments.ranks) if arguments.ranks else learned_vocabulary(texts, 8000)
    own = [token for token in USER_DEFINED if token not in tokens]
    kinds = [int(TokenType.NORMAL)] * len(tokens) + [int(TokenType.USER_DEFINED)] * len(own)
    tokens += own
    print(f"{len(tokens)} tokens, {len(merges)} merges, {len(texts)} strings")
    load_theirs, theirs = timed(lambda: library_tokenizer(tokens, kinds, merges), 3)
    load_ours, ours = timed(lambda: _native.TextTokenizer(tokens, kinds, merges, "qwen2"), 3)
    print(f"load: tokenizers {load_theirs:.3f} s, omniggml {load_ours:.3f} s")
    prose = ("The quick answer is rarely the one that lasts, they've said; 31 days. " * 20 + "你好世界。\n") * 200
    for name, text in (("prose", prose), ("hostile", "".join(texts[:20_000])), ("a word", "x" * 100_000)):
        slow, expected = timed(lambda text=text: theirs.encode(text, add_special_tokens=False).ids, 3)
        raw = text.encode()
        fast, found = timed(lambda raw=raw: ours.encode(raw, parse_special=False), 3)
        assert found == expected
        print(f"{name}: {len(expected)} tokens, tokenizers {slow:.3f} s, omniggml {fast:.3f} s")
    wrong = list(differing(theirs, ours, texts))
    for text in wrong[:10]:
        print("differs:", ascii(text))
    print(f"{len(wrong)} of {len(texts)} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
