"""Mutated files of every family, through recognition, geometry, planning, loading and a little speech: each runs or is
refused in one sentence. The short sister of scripts/fuzz.sh, which has sanitizers and 200,000 files."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path

import pytest

import omniggml
from fuzz_seeds import write_seeds
from native_module import internals
from test_split_files import split
from worker import Worker

MUTANTS = 40
"""Of each seed."""

USE = """
import resource, warnings
import numpy as np
warnings.simplefilter("ignore")
result = []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in paths:
    try:
        omniggml.inspect(path)
        thinks, sounds = role in ("thinker", "merged"), role in ("code2wav", "mtmd-gen")
        perceives = role.startswith("mmproj")
        given = {"thinker": path} if thinks else {"code2wav": path} if sounds else {}
        given = {"thinker": thinker, "mmproj": path} if perceives else given
        whole = role in ("all-in-one", "bundled", "mtp-talker")
        if whole:
            settings = {"talker.num_experts_per_tok": 2, "thinker.num_experts_per_tok": 2, "code2wav.head_dim": 16}
            settings |= {"talker.accept_hidden_layer": 1}
            other = {"tokenizer": speech} if role == "all-in-one" else {"thinker": thinker}
            other |= {"code2wav": code2wav} if role == "mtp-talker" else {}
            given = {"overrides": settings, **other}
        model = omniggml.load(speech if given and not whole else path, n_threads=1, **given)
        model.speak("hi", max_frames=1)
        if perceives and role != "mmproj-eyes":
            model.listen(np.zeros(800, np.float32))
        if perceives and role != "mmproj-ears":
            model.look(np.zeros((8, 8, 3), np.uint8))
        if thinks:
            model.generate_text([1, 2], omniggml.TextOptions(max_tokens=1))
        result.append([path, ""])
    except omniggml.OmniError as error:
        result.append([path, str(error)])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, f"{path} took {grown} KB"
"""

BESIDE = {"speech": "speech-q8_0", "thinker": "thinker", "code2wav": "code2wav"}
"""What a seed that is no whole model is opened with."""

INTERESTING = [0, 1, 2, 31, 33, 255, 2**16, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_seeds(tmp_path_factory.mktemp("seeds"))


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The same with one to three things wrong, mostly in the header."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        end = min(len(changed), rng.choice([64, 4096, 20_000, len(changed)]))
        at = rng.randrange(max(1, end - 8))
        kind = rng.randrange(5)
        if kind == 0:
            changed = changed[: rng.choice([at, len(changed) - at])]
        elif kind == 1:
            size = rng.choice([1, 4, 8])
            changed[at : at + size] = struct.pack("<Q", rng.choice(INTERESTING))[:size]
        elif kind == 2:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            other, size = rng.randrange(max(1, end - 8)), rng.choice([4, 8, 32])
            changed[at : at + size] = changed[other : other + size]
        else:
            del changed[at : at + rng.choice([1, 8, 32])]
    return bytes(changed)


def test_seeds_are_what_they_should_be(seeds: list[Path]) -> None:
    families = {path.stem: omniggml.inspect(path).family for path in seeds}
    assert families == {
        "speech-q8_0": "speech",
        "speech-q4_k": "speech",
        "speech-odd": "speech",
        "thinker": "thinker",
        "all-in-one": "all-in-one",
        "bundled": "bundled",
        "code2wav": "code2wav",
        "merged": "thinker",
        "mtp-talker": "mtp-talker",
        "mtmd-gen": "mtmd-gen",
        "mmproj-both": "mmproj",
        "mmproj-ears": "mmproj",
        "mmproj-eyes": "mmproj",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer's file in memory is Linux's")
def test_the_fuzzer_gets_to_the_end_with_them(seeds: list[Path]) -> None:
    """What scripts/fuzz.sh mutates is spoken, written, heard and seen as long as nothing is wrong with it."""
    done = {path.stem: internals().done_with(path.read_bytes()) for path in seeds}
    for name in ("speech-q8_0", "speech-q4_k", "speech-odd"):
        assert done[name] == ["spoken", "planned"]
    for name in ("mmproj-both", "mmproj-ears", "mmproj-eyes"):
        assert done[name] == ["perceived", "planned"]
    assert done["thinker"] == ["written", "planned"]
    assert all("planned" in works for works in done.values())
    assert internals().done_with(b"") == []


def test_mutants(worker: Worker, seeds: list[Path], tmp_path: Path) -> None:
    rng = random.Random(20)
    by_name = {path.stem: path for path in seeds}
    refused = 0
    for path in seeds:
        content = path.read_bytes()
        paths = [path]
        for number in range(MUTANTS):
            paths.append(tmp_path / f"{path.stem}-{number}.gguf")
            paths[-1].write_bytes(mutated(content, rng))
        names = {name: str(by_name[stem]) for name, stem in BESIDE.items()}
        names["role"] = path.stem
        outcome = worker.run(USE, paths=[str(p) for p in paths], **names)
        assert outcome.error == "", outcome
        (_, original), *others = outcome.value
        assert original == "", (path.stem, original)
        for mutant, message in others:
            assert "\n" not in message and len(message) < 1000, (mutant, message)
        refused += sum(message != "" for _, message in others)
    assert refused > len(seeds) * MUTANTS // 2


def test_mutants_of_split_files(worker: Worker, seeds: list[Path], tmp_path: Path) -> None:
    """One member mutated beside a sound one, opened from either."""
    rng = random.Random(21)
    source = next(path for path in seeds if path.stem == "speech-q8_0")
    members = split(source, tmp_path, 2)
    paths = [members[1]]
    for number in range(2 * MUTANTS):
        directory = tmp_path / str(number)
        directory.mkdir()
        for i, member in enumerate(members):
            content = member.read_bytes()
            (directory / member.name).write_bytes(mutated(content, rng) if i == number % 2 else content)
        paths.append(directory / members[number % 3 % 2].name)
    names = {"speech": str(source), "thinker": "", "role": "speech"}
    outcome = worker.run(USE, paths=[str(path) for path in paths], **names)
    assert outcome.error == "", outcome
    assert outcome.value[0][1] == ""
    messages = [message for _, message in outcome.value[1:]]
    assert all("\n" not in message and len(message) < 1000 for message in messages)
    assert sum(message != "" for message in messages) > MUTANTS
