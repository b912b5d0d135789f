"""A model of several files of which one is damaged: what is said names that one."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import omniggml
from foreign_files import write_all_in_one, write_bundled, write_code2wav, write_mtp_talker
from fuzz_seeds import smallest
from gguf_edit import Entry, GgufEdit, Tensor
from omniggml import convert
from omniggml.errors import OmniError
from omniggml.synthetic.random_checkpoint import write_random_checkpoint
from sentences import one_sentence

Group = dict[str, Path]
"""Option of `load` -> file; "speech" is its first argument."""

DAMAGES = 24
"""Of each file of each group."""

_STRING = int(gguf.GGUFValueType.STRING)
_NUMBERS = (-1, 0, 1, 3, 7, 2**31 - 1)
_TALKER_TOLD = {"talker.num_experts_per_tok": 2, "thinker.num_experts_per_tok": 2, "talker.accept_hidden_layer": 1}


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Group]:
    root = tmp_path_factory.mktemp("groups")
    checkpoint = write_random_checkpoint(smallest("tiny", (2, 2, 2, 2)), root / "tiny")
    speech, thinker = convert(checkpoint, root, type="f32", name="tiny")
    (generated,) = convert(checkpoint, root, type="f32", name="tiny", layout="mtmd-gen")
    other = root / "other-speech.gguf"
    other.write_bytes(speech.read_bytes())
    vocoder = write_code2wav(root / "code2wav.gguf", speech)
    return {
        "two": {"speech": speech, "thinker": thinker},
        "code2wav": {"speech": speech, "code2wav": vocoder},
        "speech as code2wav": {"speech": speech, "code2wav": other},
        "mtmd-gen": {"speech": speech, "code2wav": generated},
        "bundled": {"speech": write_bundled(root / "bundled.gguf", speech), "thinker": thinker},
        "mtp-talker": {
            "speech": write_mtp_talker(root / "mtp.gguf", speech), "thinker": thinker, "code2wav": vocoder,
        },
        "all-in-one": {
            "speech": write_all_in_one(root / "all.gguf", speech, thinker, tokenizer=False), "tokenizer": other,
        },
    }  # fmt: skip


def damages(rng: random.Random) -> Iterator[tuple[str, Callable[[GgufEdit], object]]]:
    """What is done to a file, and its words."""

    def tensor(edit: GgufEdit) -> Tensor:
        return rng.choice(edit.tensors)

    def not_a_number(edit: GgufEdit) -> object:
        one = tensor(edit)
        values = np.frombuffer(one.data, np.float32).copy()
        values[rng.randrange(len(values))] = np.nan
        return edit.put(str(one.name), values) if one.type == 0 else None

    def longer(edit: GgufEdit) -> object:
        one = tensor(edit)
        return edit.reshape(str(one.name), [*one.ne[:-1], one.ne[-1] + 1])

    def scalar(edit: GgufEdit) -> Entry:
        plain = [entry for key, entry in edit.metadata if entry.type not in (_STRING, int(gguf.GGUFValueType.ARRAY))]
        return rng.choice(plain or [Entry(_STRING, "")])

    def number(edit: GgufEdit) -> object:
        entry = scalar(edit)
        if entry.type != _STRING:
            entry.type, entry.value = int(gguf.GGUFValueType.INT64), rng.choice(_NUMBERS)
        return entry

    def word(edit: GgufEdit) -> object:
        entry = scalar(edit)
        entry.type, entry.value = _STRING, "x"
        return entry

    def fewer_tokens(edit: GgufEdit) -> object:
        lists = [entry for key, entry in edit.metadata if str(key).startswith("tokenizer.ggml.t")]
        if lists:
            lists[0].value = lists[0].value[:-5]
        return lists

    while True:
        yield "a tensor is missing", lambda edit: edit.drop(str(tensor(edit).name))
        yield "a tensor is longer", longer
        yield "a tensor is of integers", lambda edit: edit.retype(str(tensor(edit).name), 26)
        yield "a tensor has NaN", not_a_number
        yield "a key is missing", lambda edit: edit.remove(str(rng.choice(edit.metadata or [("", None)])[0]))
        yield "a key is another number", number
        yield "a key is a word", word
        yield "tokens are missing", fewer_tokens


def used(group: Group) -> None:
    """Load and use all of it."""
    options: dict[str, Any] = {key: path for key, path in group.items() if key != "speech"}
    if group["speech"].name in ("bundled.gguf", "all.gguf", "mtp.gguf"):
        options["overrides"] = {**_TALKER_TOLD, "code2wav.head_dim": 16}
    model = omniggml.load(group["speech"], n_threads=1, **options)
    model.speak("hi", max_frames=1)
    if model.has_thinker:
        model.generate_text([1, 2], omniggml.TextOptions(max_tokens=1))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("two", "speech"), ("two", "thinker"), ("code2wav", "speech"), ("code2wav", "code2wav"),
        ("speech as code2wav", "code2wav"), ("mtmd-gen", "code2wav"), ("bundled", "speech"), ("bundled", "thinker"),
        ("mtp-talker", "speech"), ("mtp-talker", "thinker"), ("mtp-talker", "code2wav"), ("all-in-one", "speech"),
        ("all-in-one", "tokenizer"),
    ],
)  # fmt: skip
def test_the_damaged_file_is_named(groups: dict[str, Group], name: str, option: str, tmp_path: Path) -> None:
    rng = random.Random(f"{name} {option}")
    damaged = tmp_path / f"damaged-{groups[name][option].name}"
    group = {**groups[name], option: damaged}
    if option == "speech":
        group = {"speech": damaged, **{key: path for key, path in group.items() if key != "speech"}}
    refused = 0
    for (what, damage), _ in zip(damages(rng), range(DAMAGES), strict=False):
        edit = GgufEdit.read(groups[name][option])
        damage(edit)
        edit.write(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                used(group)
        except OmniError as error:
            refused += 1
            one_sentence(str(error))
            # Two files that contradict each other are both named; and the one that lacks a tokenizer isn't at fault.
            both = str(damaged) in str(error) and "talker speaks" in str(error)
            assert str(error).startswith(str(damaged)) or both or "name a tokenizer" in str(error), (what, str(error))
    assert refused > 1
