"""Tokenizer files of a checkpoint -> the `tokenizer.*` metadata of a GGUF file, as llama.cpp lays it out.

Read are `vocab.json` and `merges.txt` (the published checkpoint) or `tokenizer.json` (what transformers 5 saves), with
the added tokens from every file that has some, and the chat template from whichever holds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omniggml.errors import ConversionError
from omniggml.files.json_object import read_json_object
from omniggml.gguf.metadata import Metadata, count, flag, signed, text, texts
from omniggml.plain_file import read_text
from omniggml.printable import shown
from omniggml.spec.model_config import SpecialTokens
from omniggml.spec.token_type import TokenType

PRE_TOKENIZER = "qwen2"
"""llama.cpp's name for the rule that splits text before merging; `omniggml.tokenizer` knows the same name."""

_FROM = "from the model that this one was made of"
_KNOWN_CLASSES = ("Qwen2Tokenizer", "Qwen2TokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend")
_QWEN2_MARK = r"|\p{N}|"  # What tells Qwen2's expression from its relatives: digits are split one by one.


Added = dict[int, tuple[str, bool]]
"""Id -> text, and whether it is special."""


@dataclass(frozen=True)
class TokenizerFiles:
    """A checkpoint's tokenizer."""

    vocabulary: dict[str, int]
    merges: list[str]
    added: Added
    pad_token: str | None
    chat_template: str | None

    def tokens(self) -> list[str]:
        """Texts by id, "" where there is none."""
        ids = self.vocabulary | {token: index for index, (token, _) in self.added.items()}
        found = [""] * (1 + max(ids.values(), default=0))
        for token, index in ids.items():
            found[index] = token
        return found


def tokenizer_metadata(directory: Path, vocab_size: int, tokens: SpecialTokens) -> Metadata:
    """The `tokenizer.*` keys; ids without a token up to `vocab_size` are filled with unused `[PAD<id>]`.

    Raises ConversionError when a file is missing or damaged, an id passes `vocab_size`, an id that `config.json`
    names has no token, or text is split by another rule than Qwen2's.
    """
    files = read_tokenizer_files(directory)
    names, types = _token_list(directory, files, vocab_size)
    for field, index in vars(tokens).items():
        if types[index] == TokenType.UNUSED:
            lacking = ("tokenizer_config.json", "tokenizer.json", "added_tokens.json")
            further = (
                ""
                if any((directory / name).exists() for name in lacking)
                else (f": there is no {lacking[0]}, which lists such tokens; copy it {_FROM}")
            )
            raise ConversionError(
                f"{directory}: config.json gives {index} for {field}, the tokenizer has no such token{further}"
            )
    entries: Metadata = {
        "tokenizer.ggml.model": text("gpt2"),
        "tokenizer.ggml.pre": text(PRE_TOKENIZER),
        "tokenizer.ggml.tokens": texts(names),
        "tokenizer.ggml.token_type": signed(types),
        "tokenizer.ggml.merges": texts(files.merges),
        "tokenizer.ggml.eos_token_id": count(tokens.im_end),
        "tokenizer.ggml.padding_token_id": count(_padding(files, tokens)),
        "tokenizer.ggml.add_bos_token": flag(False),
    }
    if files.chat_template:
        entries["tokenizer.chat_template"] = text(files.chat_template)
    return entries


def read_tokenizer_files(directory: Path) -> TokenizerFiles:
    """Read whichever set of tokenizer files is there. Raises ConversionError when neither is complete."""
    config_path = directory / "tokenizer_config.json"
    config = read_json_object(config_path) if config_path.exists() else {}
    name = config.get("tokenizer_class")
    if name is not None and name not in _KNOWN_CLASSES:
        raise ConversionError(f"{config_path}: tokenizer_class is {shown(name)}, expected Qwen2Tokenizer")
    both = (directory / "tokenizer.json").exists(), (directory / "vocab.json").exists()
    if not any(both):
        raise ConversionError(
            f"{directory} holds neither vocab.json nor tokenizer.json: it has no tokenizer; copy tokenizer.json, or "
            f"vocab.json, merges.txt and tokenizer_config.json, {_FROM}"
        )
    added = _from_added_tokens(directory / "added_tokens.json") | _from_config(config_path, config)
    if both[0]:
        vocabulary, merges, further = _from_tokenizer_json(directory / "tokenizer.json")
        added |= further
    if both[1]:  # the older set counts where both are there, as it is what other programs were made from
        vocabulary, merges = _from_vocab_json(directory)
    pad = config.get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    template = _chat_template(directory, config)
    return TokenizerFiles(vocabulary, merges, added, pad if isinstance(pad, str) else None, template)


def _from_vocab_json(directory: Path) -> tuple[dict[str, int], list[str]]:
    vocabulary = _checked_vocabulary(directory / "vocab.json", read_json_object(directory / "vocab.json"))
    path = directory / "merges.txt"
    if not path.exists():
        raise ConversionError(f"{directory} holds vocab.json without merges.txt: copy it {_FROM}")
    try:
        lines = read_text(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path} can't be read: {error}") from error
    merges = [line for line in lines if line.strip() and not line.startswith("#version")]
    return vocabulary, _checked_merges(path, merges)


def _from_config(path: Path, config: dict[str, Any]) -> Added:
    decoder = config.get("added_tokens_decoder", {})
    try:
        return {int(index): (str(entry["content"]), bool(entry["special"])) for index, entry in decoder.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConversionError(f"{path}: added_tokens_decoder is damaged") from error


def _from_added_tokens(path: Path) -> Added:
    """Text -> id; which are special it doesn't say."""
    if not path.exists():
        return {}
    return {index: (token, False) for token, index in _checked_vocabulary(path, read_json_object(path)).items()}


def _from_tokenizer_json(path: Path) -> tuple[dict[str, int], list[str], Added]:
    content = read_json_object(path)
    try:
        if content["model"]["type"] != "BPE" or _QWEN2_MARK not in str(content["pre_tokenizer"]).replace("\\\\", "\\"):
            raise ConversionError(f"{path} is not a Qwen2 tokenizer: text is split by another rule")
        vocabulary = _checked_vocabulary(path, content["model"]["vocab"])
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
        added = {int(entry["id"]): (str(entry["content"]), bool(entry["special"])) for entry in content["added_tokens"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConversionError(f"{path} is damaged: {type(error).__name__} {error}") from error
    return vocabulary, _checked_merges(path, merges), added


def _checked_vocabulary(path: Path, vocabulary: dict[str, Any]) -> dict[str, int]:
    if not all(type(index) is int and index >= 0 for index in vocabulary.values()):
        raise ConversionError(f"{path}: a token's id is not a whole number")
    return vocabulary


def _checked_merges(path: Path, merges: list[str]) -> list[str]:
    if not merges:
        raise ConversionError(f"{path} holds no merges, so that text would be split into single bytes: copy it {_FROM}")
    for merge in merges:
        if merge.count(" ") != 1:
            raise ConversionError(f"{path}: the merge {shown(merge)} is not two tokens with a space between")
    return merges


def _chat_template(directory: Path, config: dict[str, Any]) -> str | None:
    jinja = directory / "chat_template.jinja"
    if jinja.exists():
        try:
            return read_text(jinja)
        except (OSError, UnicodeDecodeError) as error:
            raise ConversionError(f"{jinja} can't be read: {error}") from error
    path = directory / "chat_template.json"
    for source in (read_json_object(path) if path.exists() else {}, config):
        template = source.get("chat_template")
        if isinstance(template, list):  # several by name
            named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
            template = named.get("default")
        if isinstance(template, str):
            return template
    return None


def _token_list(directory: Path, files: TokenizerFiles, vocab_size: int) -> tuple[list[str], list[int]]:
    names = [f"[PAD{index}]" for index in range(vocab_size)]
    types = [int(TokenType.UNUSED)] * vocab_size
    entries = [(index, token, int(TokenType.NORMAL)) for token, index in files.vocabulary.items()]
    entries += [(index, token, _added_type(token, special)) for index, (token, special) in files.added.items()]
    for index, token, type_ in entries:
        if index >= vocab_size:
            raise ConversionError(
                f"{directory}: token {shown(token)} has id {index}, the model has {vocab_size} tokens"
            )
        if types[index] != TokenType.UNUSED and names[index] != token:
            raise ConversionError(
                f"{directory}: the tokens {shown(names[index])} and {shown(token)} share the id {index}"
            )
        names[index], types[index] = token, type_
    return names, types


def _added_type(token: str, special: bool) -> int:
    # Some checkpoints forget the flag on tokens that are plainly control tokens; llama.cpp looks at the brackets too.
    control = special or (token.startswith("<|") and token.endswith("|>"))
    return int(TokenType.CONTROL if control else TokenType.USER_DEFINED)


def _padding(files: TokenizerFiles, tokens: SpecialTokens) -> int:
    by_text = {token: index for index, (token, _) in files.added.items()}
    return by_text.get(files.pad_token or "", by_text.get("<|endoftext|>", tokens.im_end))
