"""A loaded model: speak, chat, stream, and every stage alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from omniggml import _native
from omniggml.answer_text import AnswerText
from omniggml.arrays import as_array, axis_positions, finite_floats, token_ids, vector_of
from omniggml.audio import Audio
from omniggml.checked import checked
from omniggml.coming_text import ComingText
from omniggml.engine import MOST_SLOTS, MOST_WAITING, Speaking, SpeechEngine, SpeechSide
from omniggml.errors import ContextLengthError, InputError, ModelFileError
from omniggml.files.encoders import open_encoders
from omniggml.files.opening import open_files
from omniggml.in_turn import Plan, Planned, WithPauses, spoken_in_turn
from omniggml.late_thinker import LateThinker
from omniggml.media.audio_input import AudioLike
from omniggml.media.hearing import encode_audio
from omniggml.media.image_input import ImageLike
from omniggml.media.late_encoders import LateEncoders
from omniggml.media.parts import HeardPart, SeenPart, parted, text_alone
from omniggml.media.placing import Placed, placed
from omniggml.media.seeing import Eyes, Seen
from omniggml.media.sending import as_sent
from omniggml.options import (
    LoadOptions,
    PathLike,
    SpeakerLike,
    SpeechKeywords,
    SpeechOptions,
    TextOptions,
    check_integer,
)
from omniggml.printable import shown
from omniggml.probe import Reading, active, new_probe
from omniggml.spec import speech_file, thinker_file
from omniggml.spec.model_config import SAMPLE_RATE
from omniggml.spoken import spoken
from omniggml.streamed_reply import StreamedReply
from omniggml.text.normalization import AS_IT_IS, Normalization, normalization_of
from omniggml.text.soundness import check_text
from omniggml.text.spans import SpansInTurn, length_of
from omniggml.text.ssml import Passage, is_ssml, passages_of
from omniggml.text.written import warning_of
from omniggml.thinker_server import ThinkerServer
from omniggml.tokenizer import Tokenizer
from omniggml.vocoder import Vocoder
from omniggml.warning import warn
from omniggml.writing import Conversation, Writing

if TYPE_CHECKING:
    from typing_extensions import Unpack

# A first piece small enough to be heard soon, then fewer and larger ones.
_CHUNKS = (2, 4, 8, 16)
_LARGEST_CHUNK = 25
_SPEAK_CHUNK = 32
_BATCH_CHUNK = 16
_BUFFERED = 75  # frames that are spoken before they are listened to
_MOST_TOGETHER = 64
_MOST_FRAMES = 2**40
_FRAMES_AT_ONCE = 512  # of a speech whose codes are given

# Of UTF-8, in the longest token of any vocabulary; and what nearly every text has more tokens than.
_MOST_BYTES_A_TOKEN = 256
_SOME_LETTERS_A_TOKEN = 8
_LONGEST_SPAN, _SHARE_OF_CONTEXT = 512, 4
"""Tokens of text spoken in one go where the file doesn't say: at eight frames a token they fit the published model's
limit of 4096. Less where they would fill more than this part of the context."""

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Reply:
    """The thinker's answer: `text`, its `tokens`, why it ended ("eos", "token_limit", "context_full"), and the
    `audio` of it."""

    text: str
    audio: Audio
    tokens: tuple[int, ...]
    stop_reason: str


@checked
@dataclass(frozen=True)
class TalkerPrompt:
    """What the talker reads: `inputs` [n, hidden] before it speaks, one row of `trailing` [rows, hidden] with each
    frame, then `pad` [1, hidden] with every further one. float32; hidden is the talker's width. `positions`: of the
    inputs in time, height and width, int32 [3, n]; None for one after the other."""

    inputs: FloatArray
    trailing: FloatArray
    pad: FloatArray
    positions: IntArray | None = None


@dataclass(frozen=True)
class TalkerStates:
    """What the talker made of given codes: `logits` float32 [frames, vocabulary] of each frame's first code, and
    `hidden` float32 [frames, hidden], from which the predictor makes the others."""

    logits: FloatArray
    hidden: FloatArray


@dataclass(frozen=True)
class ThinkerOutput:
    """`logits` float32 [tokens, vocabulary]; `hidden` float32 [tokens, hidden], the entry of transformers'
    `hidden_states` that the talker's `hidden_projection` reads (`accept_hidden_layer`), or None where the file does
    not say which."""

    logits: FloatArray
    hidden: FloatArray | None


@checked
class Model:
    """Weights in memory. Immutable; any number of threads may use one at once, each call has a session of its own.
    `files`: what it was loaded from, and a tokenizer's directory; no output may be one of these.

    Make one with `omniggml.load`, which also finds the thinker beside a speech file.
    """

    def __init__(self, speech: PathLike | None, options: LoadOptions | None = None) -> None:
        """Without `speech` the options name a thinker, which then writes its answers and speaks none."""
        chosen = options or LoadOptions()
        self._n_threads = chosen.n_threads
        thinker = chosen.thinker or None
        opened = open_files(
            speech, thinker, code2wav=chosen.code2wav, tokenizer=chosen.tokenizer, overrides=chosen.overrides
        )
        first = opened.speech or opened.thinker
        assert first is not None
        self.path = Path(os.fspath(speech if speech is not None else first.native.path))
        self.files = (*([] if speech is None else [self.path]), *chosen.files)
        self._voice: _native.SpeechModel | None = None
        if opened.speech is not None:
            self._voice = _native.SpeechModel(
                first.native, chosen.device, vocoder_precision=chosen.precision, mmap=chosen.mmap
            )
        self._metadata = first.metadata
        self._tokenizer_path = str(first.tokenizer or self.path)
        self._assumed = first.assumed
        self._written = normalization_of(self._metadata, speech_file.TEXT_NORMALIZATION, str(self.path))
        self._asked = self._written
        self._thinker = None if opened.thinker is None else LateThinker(opened.thinker.native, chosen)
        if opened.thinker is not None and self._thinker is not None:
            self._check_vocabularies(self._thinker)
            path = opened.thinker.native.path
            self._asked = normalization_of(opened.thinker.metadata, thinker_file.TEXT_NORMALIZATION, path)
        self._encoders: LateEncoders | None = None
        if chosen.mmproj:
            self._encoders = LateEncoders(open_encoders(chosen.mmproj).native, chosen)
            self._check_width(self._encoders)

    def __reduce__(self) -> NoReturn:
        raise InputError("a model can't be pickled or copied; load it where it is wanted, its file's pages are shared")

    def _check_width(self, encoders: LateEncoders) -> None:
        if self._thinker is not None and encoders.width != self._thinker.width:
            raise ModelFileError(
                f"{encoders.path} makes rows of {encoders.width} values and the thinker of {self._thinker.path} reads "
                f"{self._thinker.width}; they belong to different models"
            )

    def _check_vocabularies(self, thinker: LateThinker) -> None:
        if self._voice is not None and thinker.vocab_size != self._voice.talker_geometry["text_vocab_size"]:
            raise ModelFileError(
                f"{thinker.path} has a vocabulary of {thinker.vocab_size} and {self.path} one of "
                f"{self._voice.talker_geometry['text_vocab_size']}; they belong to different models"
            )

    @property
    def _speech(self) -> _native.SpeechModel:
        if self._voice is None:
            raise InputError(f"{self.path} was loaded alone, and a thinker has no voice: name a speech file as well")
        return self._voice

    @cached_property
    def _vocoder(self) -> Vocoder:
        return Vocoder(self._speech, self._n_threads)

    # --- what it is -------------------------------------------------------------------------------------------------

    @property
    def speakers(self) -> list[str]:
        """Names of the speakers, sorted; none where the file holds code2wav alone, which can't speak."""
        return sorted(self._speech.talker_geometry["speakers"]) if self._speech.speaks else []

    @property
    def default_speaker(self) -> str:
        """The speaker used where none is named: the file's, else "ethan" as in the reference, or the first."""
        names: list[str] = sorted(self._speech.talker_geometry["speakers"])
        chosen = self._metadata.get(speech_file.DEFAULT_SPEAKER)
        if chosen in names:
            return str(chosen)
        return next((name for name in names if name.lower() == "ethan"), names[0])

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self._speech.code2wav_geometry["sample_rate"])

    @property
    def has_thinker(self) -> bool:
        return self._thinker is not None

    @property
    def has_ears(self) -> bool:
        """Whether an mmproj file was loaded through which audio in messages is heard."""
        return self._encoders is not None and self._encoders.hears

    @property
    def has_eyes(self) -> bool:
        """Whether an mmproj file was loaded through which images and videos in messages are seen."""
        return self._encoders is not None and self._encoders.sees

    @property
    def has_voice(self) -> bool:
        """False of a thinker that was loaded alone, which chats in text, and of code2wav alone, which decodes."""
        return self._voice is not None and self._voice.speaks

    @property
    def geometry(self) -> dict[str, dict[str, Any]]:
        """Sizes of each part, with the names of the Hugging Face configuration."""
        parts = {}
        if self._voice is not None and self._voice.speaks:
            parts["talker"] = self._voice.talker_geometry
            parts["code_predictor"] = self._voice.predictor_geometry
        if self._voice is not None:
            parts["code2wav"] = self._voice.code2wav_geometry
        if self._thinker is not None:
            parts["thinker"] = self._thinker.loaded().geometry
        if self.has_ears:
            parts["audio_encoder"] = self._media_encoders().loaded().audio_geometry or {}
        if self.has_eyes:
            parts["vision_encoder"] = self._media_encoders().loaded().vision_geometry or {}
        return parts

    @property
    def metadata(self) -> dict[str, Any]:
        """The speech file's metadata, key to value (`docs/gguf.md` lists them)."""
        return dict(self._metadata)

    @property
    def assumed(self) -> dict[str, Any]:
        """Settings that no file told, "section.name" to the published model's value that was taken."""
        return dict(self._assumed)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the speech file, which is the thinker's too."""
        rows = self._text_rows()
        tokenizer = tokenizer_from(self._metadata, self._tokenizer_path)
        if tokenizer.vocab_size > rows:
            whose = "" if self._tokenizer_path == str(self.path) else f"{self.path} "
            raise ModelFileError(
                f"{self._tokenizer_path} has {tokenizer.vocab_size} tokens and {whose}text embeddings for {rows}; "
                "convert the model again"
            )
        return tokenizer

    def written_out(self, text: str, *, ssml: bool | None = None) -> str:
        """The text as `speak` reads it, and nothing is spoken: with figures and signs as words where the model asks for
        that (`docs/python.md`). `ssml`: as in `SpeechOptions`. What there are no sounds for is named in a warning.

        Raises InputError for a text that is no valid Unicode or holds zero bytes, and for SSML that can't be read.
        """
        passages = self._passages(check_text("the text to speak", text), ssml)
        self._warn_of_what_is_left_out(passages)
        return " ".join(filter(None, (self._written.write(passage.text).text for passage in passages)))

    def _text_rows(self) -> int:
        if self._voice is not None:
            return int(self._voice.talker_geometry["text_vocab_size"])
        assert self._thinker is not None
        return int(self._thinker.vocab_size)

    def n_samples(self, n_frames: int) -> int:
        """Samples that n frames make: 1920 n - 555 with the published geometry."""
        check_integer("n_frames", n_frames, 0, _MOST_FRAMES)
        return self._speech.n_samples(n_frames)

    # --- speech -----------------------------------------------------------------------------------------------------

    def speak(self, text: str, **options: Unpack[SpeechKeywords]) -> Audio:
        """Speak exactly this text; needs no thinker. `options`: see `SpeechOptions`. A file whose model has only read
        words says how figures and signs are written out first (`docs/gguf.md`); what there are no sounds for is named
        in a warning. A text of any length is spoken in spans that the voice is good for, one after another;
        `audio.segments` says where each is.

        Raises InputError for a text without anything to say, one that is no valid Unicode or holds zero bytes, an
        unknown speaker, or, where `split` is "never", a text longer than the model's context.
        """
        options.setdefault("chunk_frames", _SPEAK_CHUNK)
        return Audio.join(list(self.stream(text, **options)))

    def stream(self, text: str, **options: Unpack[SpeechKeywords]) -> Iterator[Audio]:
        """As `speak`, but yields pieces of audio while the speech goes on. The last one has the stop reason, and the
        last one of each span its segment. Spans that come later cost no memory before their turn.

        Ctrl-C ends the speech within a frame: what was spoken is still yielded, then KeyboardInterrupt is raised.
        """
        chosen = SpeechOptions(**options)
        conversation, spans = self._verbatim(text, chosen)
        return self._in_turn(conversation, spans, chosen)

    def _in_turn(self, conversation: list[int], spans: Plan[Planned], options: SpeechOptions) -> Iterator[Audio]:
        def begin(span: Planned, max_frames: int | None) -> Iterator[Audio]:
            return self._stream_answer(conversation, span.tokens, replace(options, max_frames=max_frames))

        return spoken_in_turn(spans, begin, options.max_frames)

    def speak_batch(self, texts: Sequence[str], *, together: int = 4, **options: Unpack[SpeechKeywords]) -> list[Audio]:
        """Speak several texts, up to `together` at once: each read of the talker's weights serves them all, which is
        faster than one after the other. Every text sounds as `speak` with the same `options` makes it sound.

        Raises InputError as `speak` does, before anything is spoken, and for a `together` that is not 1 to 64.
        """
        chosen = SpeechOptions(**options)
        check_integer("together", together, 1, _MOST_TOGETHER)
        planned = [
            (conversation, plan.all()) for conversation, plan in (self._verbatim(text, chosen) for text in texts)
        ]
        spans = [(conversation, span) for conversation, spans in planned for span in spans]
        if not spans:
            return []
        engine = self._engine(min(together, len(spans)))
        speeches = [
            self._begin(engine, conversation, span.tokens, chosen, chunk_frames=_BATCH_CHUNK, buffered_frames=0)
            for conversation, span in spans
        ]
        said = iter(self._all_said(speeches))
        return [self._joined(spans, [next(said) for _ in spans], chosen.max_frames) for _, spans in planned]

    def _all_said(self, speeches: Sequence[_native.EngineSpeech]) -> list[Audio]:
        """An interruption ends them all."""
        said = []
        try:
            for speech in speeches:
                said.append(Audio.join(list(spoken(speech, self.sample_rate))))
        finally:
            for speech in speeches:
                speech.cancel(drop=True)
        return said

    def engine(self, *, slots: int = 4, queue: int = 16) -> SpeechEngine:
        """An engine that speaks up to `slots` texts side by side while up to `queue` more wait, for servers.

        Raises InputError for numbers that can't be, OutOfMemoryError.
        """
        check_integer("slots", slots, 1, MOST_SLOTS)
        check_integer("queue", queue, 0, MOST_WAITING)
        side = SpeechSide(
            self._begin, self._verbatim, self._coming, self._answered, self._speech.n_samples, self.sample_rate
        )
        return SpeechEngine(self._engine(slots, queue), side)

    def speaking(self, **options: Unpack[SpeechKeywords]) -> Speaking:
        """Speak a text while it is being written:

            with model.speaking(speaker="ethan") as voice:
                for words in anything_that_streams():
                    voice.feed(words)
                voice.finish()
                for piece in voice: ...

        or with `async with` and `async for`. It says what `speak` says of the whole, where that is spoken in one go.
        `options`: see `SpeechOptions`; SSML has to be complete.
        """
        return self.engine(slots=1).begin(**options)

    def _coming(self, options: SpeechOptions) -> tuple[list[int], ComingText]:
        """The tokens up to the header of the answer, and the text that comes."""
        if options.ssml:
            raise InputError("SSML can't be spoken while it is written: give the whole to `speak`")
        return self._prompted(options.prompt), self._coming_text(options, self._written)

    def _coming_text(self, options: SpeechOptions, written: Normalization) -> ComingText:
        @lru_cache(maxsize=256)
        def encoded(part: str) -> list[int]:
            said = written.write(check_text("the text to speak", part))
            coming.left_out.update(dict.fromkeys(said.left_out))
            return self.tokenizer.encode(said.text)

        coming = ComingText(
            encoded,
            self._longest(options),
            options.split,
            written_out=written is not AS_IT_IS,
            vocabulary=self.tokenizer,
            plain=written.plain,
            said=lambda part: written.write(part).text,
            ssml_is_text=options.ssml is False,
        )
        return coming

    def _joined(self, spans: list[Planned], spoken: list[Audio], max_frames: int | None) -> Audio:
        """The spans of one text as one speech, cut where `stream` would have cut it."""
        waiting = iter(spoken)

        def begin(span: Planned, left: int | None) -> Iterator[Audio]:
            audio = next(waiting)
            if left is not None and left < audio.codes.shape[1]:
                samples = audio.samples[: self.n_samples(left)]
                audio = replace(audio, samples=samples, codes=audio.codes[:, :left], stop_reason="frame_limit")
            return iter([audio])

        return Audio.join(list(spoken_in_turn(Plan(spans), begin, max_frames)))

    def _verbatim(self, text: str, options: SpeechOptions) -> tuple[list[int], Plan[Planned]]:
        """The tokens up to the header of the answer, and the spans that are spoken."""
        check_text("the text to speak", text)
        if not text.strip():
            raise InputError("there is no text to speak")
        if options.split == "never":
            self._check_length(text)
        conversation = self._prompted(options.prompt)
        passages = self._passages(text, options.ssml)
        plan = self._planned(passages, options)
        if options.split == "never":
            plan.all()
        if not plan.has(0):
            raise InputError(f"there is no text to speak in {shown(text)}: this model speaks English")
        self._warn_of_what_is_left_out(passages)
        return conversation, plan

    def _passages(self, text: str, ssml: bool | None) -> list[Passage]:
        """Of SSML, or of any other text the one that it is, without its markup."""
        if is_ssml(text) if ssml is None else ssml:
            return passages_of(text)
        return [Passage(self._written.plain(text))]

    def _warn_of_what_is_left_out(self, passages: Sequence[Passage]) -> None:
        """Each letter is looked at once: the text is written out while it is spoken."""
        letters = dict.fromkeys(letter for passage in passages for letter in passage.text if not letter.isascii())
        if left_out := self._written.write(" ".join(letters)).left_out:
            warn(warning_of(left_out))

    def _planned(self, passages: Sequence[Passage], options: SpeechOptions) -> Plan[Planned]:
        """Spans that say something. Where one is longer than the context, InputError is raised when it is its turn."""
        longest = self._longest(options)

        @lru_cache(maxsize=64)  # a sentence is measured before it is planned
        def encoded(part: str) -> list[int]:
            return self.tokenizer.encode(said(part))

        def length(part: str) -> int:
            return length_of(part, encoded, longest)

        def said(part: str) -> str:
            return self._written.write(part).text

        texts = [SpansInTurn(passage.text, length, longest, options.split, said) for passage in passages]
        coming = WithPauses(zip(passages, texts, strict=True), encoded, self._check_span)
        return Plan([], iter(coming), lambda: " ".join([coming.waiting, *(spans.rest() for spans in texts)]))

    def _check_span(self, tokens: Sequence[int]) -> None:
        if len(tokens) > self._context:
            raise InputError(self._too_long(f"{len(tokens)} tokens"))

    @property
    def longest_span(self) -> int:
        """Tokens of text that are spoken in one go: the file's, or else what its limits have room for."""
        known = self._metadata.get(speech_file.LONGEST_SPAN)
        if isinstance(known, int) and known > 0:
            return known
        return max(1, min(_LONGEST_SPAN, self._context // _SHARE_OF_CONTEXT))

    @property
    def _context(self) -> int:
        """Positions that the talker has for a text, its prompt and its pauses."""
        return int(self._speech.talker_geometry["context"])

    def _check_length(self, text: str) -> None:
        """Raises InputError where a text is longer than the context, as early as that can be told: by its bytes, then
        by the tokens of its beginning, since a megabyte takes seconds and gigabytes."""
        nbytes, context = len(text.encode(errors="surrogatepass")), self._context
        if nbytes > context * _MOST_BYTES_A_TOKEN:
            raise InputError(self._too_long(f"{nbytes} bytes"))
        some = context * _SOME_LETTERS_A_TOKEN
        if len(text) > some and len(self.tokenizer.encode(self._written.written(text[:some]).text)) > context + 1:
            raise InputError(self._too_long(f"more than {context} tokens in its first {some} letters"))

    def _prompted(self, prompt: str) -> list[int]:
        """The tokens up to the header of the answer to a prompt. Raises InputError for one longer than the context."""
        nbytes = len(prompt.encode())
        if nbytes > self._context * _MOST_BYTES_A_TOKEN:
            raise InputError(self._prompt_too_long(f"{nbytes} bytes"))
        conversation = self._conversation([{"role": "user", "content": prompt}])
        if len(conversation) > self._context:
            raise InputError(self._prompt_too_long(f"{len(conversation)} tokens"))
        return conversation

    def _prompt_too_long(self, length: str) -> str:
        return f"the prompt has {length} and the talker's context is {self._context} positions; give a shorter prompt"

    def _too_long(self, length: str) -> str:
        return (
            f"the text has {length} and the talker's context is {self._context} positions; speak a shorter text, or "
            'let it be split with split="auto"'
        )

    def chat(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        *,
        text_options: TextOptions | None = None,
        **options: Unpack[SpeechKeywords],
    ) -> Reply:
        """Let the thinker answer, and speak the answer; without a voice its audio is empty. `messages`: a question, or
        the turns of a conversation as [{"role": "system" | "user" | "assistant", "content": text}, ...], the last of
        them the user's. A content may be a list of parts, of which the user's can hold audio, images and videos:
        {"type": "text", "text": ...}, {"type": "audio", "audio": path, bytes or array}, {"type": "image", "image":
        ...}, {"type": "video", "video": ...}, {"type": "image_url", ...} and others (`docs/ears.md`, `docs/eyes.md`).

        `options`: see `SpeechOptions`; `text_options`: how the answer's text is drawn.
        Raises InputError without a thinker file or for a conversation longer than its context.
        """
        options.setdefault("chunk_frames", _SPEAK_CHUNK)
        answer = self.stream_chat(messages, text_options=text_options, **options)
        return Reply(answer.text, Audio.join(list(answer.pieces)), answer.tokens, answer.stop_reason)

    def stream_chat(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        *,
        text_options: TextOptions | None = None,
        written: Callable[[str], object] | None = None,
        thinker_url: str | ThinkerServer | None = None,
        **options: Unpack[SpeechKeywords],
    ) -> StreamedReply:
        """As `chat`, but the reply's `pieces` are yielded while it is written and spoken. `written` is called with each
        bit of the answer's text as it is written: while pieces are drawn, or the reply is asked for what is known at
        the end.

        `thinker_url`: the address of llama.cpp's server, or of any OpenAI-compatible one, which writes the answer in
        the place of the model's own thinker. Raises InputError where none answers there."""
        chosen = SpeechOptions(**options)
        answer = self.answer(messages, text_options, thinker_url=thinker_url)
        answer.ask()
        voice = self.engine(slots=1).begin_answer(answer, chosen) if self.has_voice else None
        return StreamedReply(answer, voice, written, self._silence)

    def answer(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        text_options: TextOptions | None = None,
        *,
        thinker_url: str | ThinkerServer | None = None,
    ) -> Writing:
        """The answer's text alone, bit by bit, by whoever writes it: as `stream_text`, or from a server as in
        `stream_chat`, which is asked when the first bit is drawn. `SpeechEngine.begin_answer` speaks it."""
        if thinker_url is None:
            return self.stream_text(messages, text_options)
        from omniggml.answer_at_url import AnswerAtUrl  # with what speaks HTTP

        server = thinker_url if isinstance(thinker_url, ThinkerServer) else ThinkerServer(thinker_url)
        turns = checked_turns(messages)
        # Its states of what is heard are the server's own: the talker reads what is written.
        conversation = Conversation(self._conversation(text_alone(turns)), words=False)
        return AnswerAtUrl(server, as_sent(turns), text_options or TextOptions(), self.tokenizer, conversation)

    def _answered(self, answer: Writing, options: SpeechOptions) -> ComingText:
        # What this model's thinker writes are words; what another's does is written out where the voice needs that.
        return self._coming_text(options, AS_IT_IS if answer.conversation.words else self._written)

    def _longest(self, options: SpeechOptions) -> int:
        return options.longest_span or self.longest_span

    def stream_text(
        self, messages: str | Sequence[Mapping[str, Any]], text_options: TextOptions | None = None
    ) -> AnswerText:
        """The thinker's answer in text alone, bit by bit as it is written. `messages` as in `chat`.

        Raises InputError without a thinker file or for a conversation longer than its context.
        """
        asked = self._placed(messages)
        generator = self._text_generator(asked.tokens, text_options, asked.media)
        conversation = Conversation(asked.tokens, generator.prompt_hidden, positions=asked.positions)
        return AnswerText(generator, self.tokenizer, conversation)

    def _placed(self, messages: str | Sequence[Mapping[str, Any]]) -> Placed:
        """A conversation's tokens, and what is heard and seen in it."""
        turns = parted(checked_turns(messages))
        conversation = self._conversation(turns.turns)
        if not turns.media:
            return Placed(conversation)
        encoders, context = self._media_encoders(), int(self._loaded_thinker().geometry["context"])
        return placed(conversation, self.tokenizer, turns.media, encoders, self._n_threads, context)

    def _media_encoders(self) -> LateEncoders:
        if self._encoders is None:
            raise InputError(
                f"{self.path} was loaded without an mmproj file, through which a thinker hears and sees; load it with "
                "mmproj=NAME-mmproj.gguf"
            )
        return self._encoders

    def stream_answer(
        self,
        conversation: Sequence[int],
        answer: Sequence[int],
        *,
        thinker_hidden: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
        **options: Unpack[SpeechKeywords],
    ) -> Iterator[Audio]:
        """Speak tokens that any program wrote. `conversation`: token ids up to and including the header of the answer;
        `answer`: its tokens. `thinker_hidden`: float32 [conversation, thinker hidden], needed where the conversation
        holds audio, image or video positions; `positions`: the thinker's, integers [3, conversation] in time, height
        and width, where it holds images or videos. `options`: see `SpeechOptions`.
        """
        chosen = SpeechOptions(**options)
        return self._stream_answer(conversation, answer, chosen, thinker_hidden, positions)

    def _conversation(self, turns: Sequence[Mapping[str, Any]]) -> list[int]:
        if not self.tokenizer.has_chat_template:
            raise ModelFileError(f"{self.path} holds no chat template; convert the model again")
        try:
            return self.tokenizer.encode_chat([self._as_asked(turn) for turn in turns])
        except ModelFileError as error:
            raise ModelFileError(f"{self.path}: {error}") from error

    def _as_asked(self, turn: Mapping[str, Any]) -> Mapping[str, Any]:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        if isinstance(content, str):
            return {**turn, "content": self._asked_as(content)}
        if not isinstance(content, (list, tuple)):
            return turn
        return {**turn, "content": [self._part_as_asked(part) for part in content]}

    def _part_as_asked(self, part: Any) -> Any:
        text = part.get("text") if isinstance(part, Mapping) else None
        return {**part, "text": self._asked_as(text)} if isinstance(text, str) else part

    def _asked_as(self, text: str) -> str:
        written = self._asked.written(text)
        if written.left_out:
            warn(warning_of(written.left_out))
        return written.text

    def _speaker(self, speaker: SpeakerLike | None) -> _native.Speaker:
        if speaker is not None and not isinstance(speaker, str):
            return self._speech.speaker_of_vector(np.array(vector_of("speaker", speaker), np.float32))
        name = self.default_speaker if speaker is None else speaker
        return self._speech.find_speaker(name.encode(errors="backslashreplace"))

    def _silence(self) -> Audio:
        if self._voice is None:
            return Audio(np.zeros(0, np.float32), SAMPLE_RATE, np.zeros((0, 0), np.int32), "no voice")
        groups = self._speech.predictor_geometry["num_code_groups"]
        return Audio(np.zeros(0, np.float32), self.sample_rate, np.zeros((groups, 0), np.int32), "empty")

    def _stream_answer(
        self,
        conversation: Sequence[int],
        answer: Sequence[int],
        options: SpeechOptions,
        thinker_hidden: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
    ) -> Iterator[Audio]:
        engine = self._engine()
        tokens = token_ids(conversation), token_ids(answer)
        speech = self._begin(engine, *tokens, options, thinker_hidden=thinker_hidden, positions=positions)
        return self._pieces(engine, speech)

    def _engine(self, n_slots: int = 1, queue: int = MOST_WAITING) -> _native.SpeechEngine:
        return _native.SpeechEngine(
            self._speech, n_slots=n_slots, n_threads=self._n_threads, queue_limit=queue, probe=active.get()
        )

    def _begin(
        self,
        engine: _native.SpeechEngine,
        conversation: Sequence[int],
        answer: Sequence[int],
        options: SpeechOptions,
        *,
        thinker_hidden: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
        chunk_frames: int | None = None,
        buffered_frames: int = _BUFFERED,
        ahead: bool = False,
        finished: bool = True,
        after: int = 0,
    ) -> _native.EngineSpeech:
        chunk = chunk_frames or options.chunk_frames
        return engine.begin(
            options.params(self._speech),
            conversation=conversation,
            text=answer,
            speaker=self._speaker(options.speaker),
            thinker_hidden=None if thinker_hidden is None else finite_floats("thinker_hidden", thinker_hidden),
            positions=axis_positions(positions),
            piece_frames=[chunk] if chunk else [*_CHUNKS, _LARGEST_CHUNK],
            # What is ahead of its turn is spoken to its end: a slot is for who speaks.
            buffered_frames=0 if ahead else buffered_frames,
            finished=finished,
            after=after,
        )

    def _pieces(self, engine: _native.SpeechEngine, speech: _native.EngineSpeech) -> Iterator[Audio]:
        try:
            yield from spoken(speech, self.sample_rate)
        finally:
            engine.stop()

    # --- stages -----------------------------------------------------------------------------------------------------

    def generate_text(self, conversation: Sequence[int], options: TextOptions | None = None) -> tuple[list[int], str]:
        """Tokens -> the thinker's answer: its tokens without the end of the turn, and why it ended.

        Raises InputError without a thinker file or for more tokens than its context holds.
        """
        generator = self._text_generator(conversation, options)
        return list(_generated(generator)), generator.stop_reason

    def _text_generator(
        self, conversation: Sequence[int], options: TextOptions | None, media: _native.ThinkerMedia | None = None
    ) -> _native.TextGenerator:
        options = options or TextOptions()
        thinker = self._loaded_thinker()
        tokens = np.array(token_ids(conversation), np.int32)
        if len(tokens) > (context := int(thinker.geometry["context"])):
            raise ContextLengthError(
                f"the conversation has {len(tokens)} tokens, and the thinker's context holds {context}; leave some out"
            )
        return _native.TextGenerator(
            _native.ThinkerSession(thinker, self._n_threads, active.get()),
            tokens,
            sampling=options.params(thinker),
            seed=options.seed,
            max_tokens=options.max_tokens,
            stop_tokens=self._stop_tokens(),
            media=media or _native.ThinkerMedia(),
            want_hidden=media is not None and self.has_voice,
        )

    def _stop_tokens(self) -> set[int]:
        voice = self._voice
        turn = {voice.text_tokens["im_end"]} if voice is not None and voice.speaks else set()
        return {self.tokenizer.eos_id} | turn

    def listen(self, audio: AudioLike, *, sampling_rate: int | None = None) -> FloatArray:
        """Audio -> what the thinker reads in its place, float32 [tokens, thinker hidden], about 13 tokens a second.

        `audio`: a file's path or its bytes, an `Audio`, or samples as an array [n], [n, channels] or [channels, n] of
        `sampling_rate`, 16 kHz where it isn't said. Raises InputError without an mmproj file, and for audio that can't
        be read.
        """
        return encode_audio(self._media_encoders(), HeardPart(audio, sampling_rate), self._n_threads, "the audio")

    def look(self, image: ImageLike, *, min_pixels: int | None = None, max_pixels: int | None = None) -> Seen:
        """An image -> what the thinker reads in its place, and what is added behind its first layers: one token for
        each 32 x 32 pixels with the published model.

        `image`: a file's path or its bytes, pixels uint8 [height, width, 3], or a `PIL.Image.Image`. `min_pixels`,
        `max_pixels`: bounds within which it is resized (`docs/eyes.md`). Raises InputError without an mmproj file that
        has an encoder for images, without Pillow, and for an image that can't be read.
        """
        eyes = Eyes(self._media_encoders(), self._n_threads)
        return eyes.see(eyes.image_patches(SeenPart(image, min_pixels, max_pixels), "the image"))

    def thinker(self, tokens: Sequence[int]) -> ThinkerOutput:
        """Tokens -> logits and hidden states of every position. Raises InputError without a thinker file."""
        thinker = self._loaded_thinker()
        session = _native.ThinkerSession(thinker, self._n_threads, active.get())
        known = thinker.geometry["accept_hidden_layer"] >= 0
        logits, hidden = session.forward(np.array(token_ids(tokens), np.int32), want_hidden=known)
        return ThinkerOutput(logits, hidden)

    def _loaded_thinker(self) -> _native.Thinker:
        if self._thinker is None:
            raise InputError(
                f"{self.path} was loaded without a thinker, which writes the answers; "
                "load it with thinker=NAME-thinker.gguf, or speak a given text"
            )
        return self._thinker.loaded()

    def spans(self, text: str, /, **options: Unpack[SpeechKeywords]) -> list[str]:
        """The spans in which `speak` says a text, one after the other, each as it was written. `options`: see
        `SpeechOptions`.

        Raises InputError where there is nothing to speak.
        """
        return [span.text for span in self._verbatim(text, SpeechOptions(**options))[1].all()]

    def talker_prompt(
        self,
        conversation: Sequence[int],
        answer: Sequence[int],
        *,
        speaker: SpeakerLike | None = None,
        thinker_hidden: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
    ) -> TalkerPrompt:
        """Tokens -> the talker's inputs. Arguments as in `stream_answer`."""
        session = _native.TalkerSession(self._speech, 1, self._n_threads, active.get())
        hidden = None if thinker_hidden is None else finite_floats("thinker_hidden", thinker_hidden)
        tokens = token_ids(conversation), token_ids(answer)
        places = axis_positions(positions)
        made = session.assemble_prompt(*tokens, self._speaker(speaker), thinker_hidden=hidden, positions=places)
        return TalkerPrompt(*made)

    def speaker_vector(self, speaker: str | None = None) -> FloatArray:
        """What stands for a speaker, or a mixture of them, in the talker's prompt: float32 [talker hidden]. Such a
        vector speaks where it is given as `speaker`. None: the default speaker. Raises InputError for an unknown one.
        """
        session = _native.TalkerSession(self._speech, 1, self._n_threads, active.get())
        return session.embed_speaker(self._speaker(speaker))

    def check_speaker(self, speaker: str) -> None:
        """Raises InputError for a name that is no speaker's, and for a mixture that is none."""
        self._speaker(speaker)

    def talker(self, prompt: TalkerPrompt, /, **options: Unpack[SpeechKeywords]) -> IntArray:
        """The talker's inputs -> codes int32 [groups, frames]. `options`: see `SpeechOptions`."""
        chosen = SpeechOptions(**options)
        engine = self._engine()
        speech = engine.begin(
            chosen.params(self._speech),
            prompt=(
                finite_floats("inputs", prompt.inputs),
                finite_floats("trailing", prompt.trailing),
                finite_floats("pad", prompt.pad),
            ),
            positions=axis_positions(prompt.positions),
            piece_frames=[_LARGEST_CHUNK],
            vocoded=False,
        )
        pieces = [piece.codes for piece in self._pieces(engine, speech)]
        return np.concatenate(pieces, axis=1)

    def talker_states(self, prompt: TalkerPrompt, codes: npt.ArrayLike) -> TalkerStates:
        """What the talker computes when it is made to say these codes, integers [groups, frames] (teacher forcing).

        Raises InputError for codes of another shape or outside the codebook.
        """
        checked = self._checked_codes(codes)
        session = _native.TalkerSession(self._speech, 1, self._n_threads, active.get())
        trailing, pad = finite_floats("trailing", prompt.trailing), finite_floats("pad", prompt.pad)
        places = axis_positions(prompt.positions)
        states = [session.prompt(0, finite_floats("inputs", prompt.inputs), positions=places)]
        for frame in range(checked.shape[1] - 1):
            text = trailing[frame : frame + 1] if frame < len(trailing) else pad
            states.append(session.frame(np.ascontiguousarray(checked[np.newaxis, :, frame]), text))
        logits, hidden = (np.concatenate(parts) for parts in zip(*states, strict=True))
        return TalkerStates(logits[: checked.shape[1]], hidden[: checked.shape[1]])

    def predictor_logits(self, hidden: npt.ArrayLike, codes: npt.ArrayLike) -> FloatArray:
        """What the predictor expects after given codes: `hidden` float32 [frames, hidden] of `talker_states` and the
        first n groups of codes, integers [n, frames] -> logits float32 [frames, m, codes] of groups 1 to m, m being n
        or, where all groups are given, one less.

        Raises InputError where shapes don't fit or codes are outside of the codebook.
        """
        states, given = finite_floats("hidden", hidden), as_array("codes", codes)
        groups = self._speech.predictor_geometry["num_code_groups"]
        if given.ndim != 2 or not 1 <= given.shape[0] <= groups or given.shape[1] != len(states):
            raise InputError(
                f"codes have the shape {list(given.shape)}; expected [1 to {groups}, {len(states)}], a frame a state"
            )
        # Frames are independent. A probe records one batch; without one they go in runs, which bounds memory.
        run = len(states) if active.get() is not None else _FRAMES_AT_ONCE
        parts = [
            self._predicted(states[at : at + run], given[: groups - 1, at : at + run])
            for at in range(0, max(1, len(states)), max(1, run))
        ]
        return np.concatenate(parts)

    def _predicted(self, states: FloatArray, codes: npt.NDArray[Any]) -> FloatArray:
        session = _native.CodePredictorSession(self._speech, len(states), self._n_threads, active.get())
        steps = [session.start(states, codes[0].tolist())]
        steps += [session.next(row.tolist()) for row in codes[1:]]
        return np.stack(steps, axis=1)

    def code2wav(self, codes: npt.ArrayLike, *, chunk_frames: int | None = None) -> FloatArray:
        """Codes, integers [groups, frames] -> float32 samples.

        The same as the reference's full forward for every `chunk_frames`. What a call computes in is kept for the next,
        until the model goes: up to 400 MiB in the published geometry. Raises InputError for another shape, for numbers
        that are no integers, and for codes outside the codebook.
        """
        checked = self._checked_codes(codes)
        if chunk_frames is not None:
            check_integer("chunk_frames", chunk_frames, 1)
        return self._vocoder.samples(checked, chunk_frames or _SPEAK_CHUNK)  # between pieces Python looks for Ctrl-C

    def _checked_codes(self, codes: npt.ArrayLike) -> IntArray:
        array = as_array("codes", codes)
        groups = self._speech.code2wav_geometry["num_quantizers"]
        if array.ndim != 2 or array.shape[0] != groups:
            hint = "; it looks transposed" if array.ndim == 2 and array.shape[1] == groups else ""
            raise InputError(f"codes have the shape {list(array.shape)}; expected [{groups}, frames]{hint}")
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"codes are {array.dtype}; expected integers")
        size = self._speech.code2wav_geometry["codebook_size"]
        outside = np.argwhere((array < 0) | (array >= size))
        if len(outside):
            group, frame = outside[0]
            raise InputError(
                f"{len(outside)} of {array.size} codes are outside of 0 to {size - 1}, "
                f"the first {array[group, frame]} in group {group}, frame {frame}"
            )
        return np.ascontiguousarray(array, dtype=np.int32)

    # --- probes -----------------------------------------------------------------------------------------------------

    @contextmanager
    def probe(self, *patterns: str, replace: Mapping[str, npt.ArrayLike] | None = None) -> Iterator[Reading]:
        """Capture what modules compute in this block, by Hugging Face module path; `*` stands for one part of a path,
        `**` for any number: `model.probe("talker.model.layers.*.mlp")`.

        `replace` puts arrays in the place of what the named modules compute, in the reference's axes, consumed along
        time. Only calls made in this block, in this thread, are seen; others run at full speed.

        Raises InputError where an array doesn't fit, and at the end of the block where no module took it.
        """
        native = new_probe(patterns, replace)
        token = active.set(native)
        try:
            yield Reading(native)
        finally:
            active.reset(token)
        unused = native.unused_replacements()
        if unused:
            raise InputError(f"nothing ran that computes {', '.join(unused)}, so the replacement was not used")


def checked_turns(messages: str | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The turns of a conversation; a question is one. Raises InputError for what is none."""
    if not isinstance(messages, (str, Sequence)):
        raise InputError(f"messages is {shown(messages)}; expected a question, or a list of turns")
    turns: list[Mapping[str, Any]] = (
        [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    )
    check_turns(turns)
    return turns


def check_turns(turns: Sequence[Any]) -> None:
    """Raises InputError for a turn in which nothing is said, and for text that is none."""
    for number, turn in enumerate(turns, 1):
        content = turn.get("content") if isinstance(turn, Mapping) else None
        parts = [content] if isinstance(content, str) else list(content) if isinstance(content, (list, tuple)) else [0]
        texts = [part.get("text") if isinstance(part, Mapping) and "text" in part else part for part in parts]
        for text in texts:
            if isinstance(text, str):
                check_text(f"message {number}", text)
        if not any(not isinstance(text, str) or text.strip() for text in texts):
            raise InputError(f"message {number} is empty; leave it out, or say something in it")


def _generated(generator: _native.TextGenerator) -> Iterator[int]:
    while (token := generator.next()) >= 0:
        yield token


def tokenizer_from(metadata: Mapping[str, Any], path: str) -> Tokenizer:
    """The tokenizer in a GGUF file's metadata. Raises ModelFileError where it is missing or damaged."""
    for key, (kind, element, required) in _TOKENIZER_KEYS.items():
        value = metadata.get(key)
        if value is None and required:
            raise ModelFileError(f"{path} lacks the metadata key {key}; convert the model again")
        if value is not None and not _is_of(value, kind, element):
            raise ModelFileError(
                f"{path} has a metadata key {key} of a type that a tokenizer does not have; convert the model again"
            )
    try:
        return Tokenizer(
            metadata["tokenizer.ggml.tokens"],
            metadata["tokenizer.ggml.token_type"],
            metadata["tokenizer.ggml.merges"],
            metadata["tokenizer.ggml.eos_token_id"],
            metadata.get("tokenizer.ggml.padding_token_id"),
            metadata.get("tokenizer.ggml.pre", "qwen2"),
            metadata.get("tokenizer.chat_template"),
        )
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from error


# Key -> type of the value, of its elements, and whether it must be there.
_TOKENIZER_KEYS: dict[str, tuple[type, type | None, bool]] = {
    "tokenizer.ggml.tokens": (list, str, True),
    "tokenizer.ggml.token_type": (list, int, True),
    "tokenizer.ggml.merges": (list, str, True),
    "tokenizer.ggml.eos_token_id": (int, None, True),
    "tokenizer.ggml.padding_token_id": (int, None, False),
    "tokenizer.ggml.pre": (str, None, False),
    "tokenizer.chat_template": (str, None, False),
}


def _is_of(value: Any, kind: type, element: type | None) -> bool:
    if isinstance(value, list):
        return kind is list and all(type(item) is element for item in value)
    return type(value) is kind
