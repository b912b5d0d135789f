"""Arguments that can't be used, through the Python interface and the sessions below it: each is refused in one
sentence. Everything runs in a process of its own, so that an abort fails its test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import Files
from omniggml import errors
from sentences import one_sentence
from worker import Worker

SETUP = """
import builtins, warnings
import numpy as np
warnings.simplefilter("error")
from omniggml import _native
model = omniggml.load(speech, thinker=thinker, n_threads=1)
native, text_model = model._speech, model._thinker.loaded()
header = model._conversation([{"role": "user", "content": "hi"}])
user = list(header)
audio_id = native.text_tokens["audio"]
heard = [*header[:2], audio_id, *header[2:]]
answer = model.tokenizer.encode("hello")
prompt = model.talker_prompt(header, answer)
TextOptions, SpeechOptions, Prompt = omniggml.TextOptions, omniggml.SpeechOptions, omniggml.TalkerPrompt
talker = lambda n=1: _native.TalkerSession(native, n, 1, None)
predictor = lambda n=1: _native.CodePredictorSession(native, n, 1, None)
vocoder = lambda: _native.Code2WavSession(native, 1, None)
thinking = lambda: _native.ThinkerSession(text_model, 1, None)
engine = _native.SpeechEngine(native, n_threads=1)
begin = lambda **given: engine.begin(
    given.pop("params", native.default_params()), **{"conversation": header, "speaker": 317, **given}
)
builtins.saved = dict(globals())
"""

# Restores the names above; what cases change is made anew.
BEFORE = """
import builtins; globals().update(builtins.saved)
good, params = np.zeros((4, 5), np.int32), native.default_params()
"""


@pytest.fixture(scope="module")
def prepared(worker: Worker, tiny_files: Files) -> Iterator[Worker]:
    """A worker with a model of width 32, 4 groups, 64 codes, 400 tokens, a context of 4096."""
    fresh = Worker()
    assert fresh.run(SETUP, speech=str(tiny_files.speech), thinker=str(tiny_files.thinker)).error == ""
    yield fresh
    fresh.close()


def refused(worker: Worker, code: str, *parts: str, error: str = "InputError") -> None:
    outcome = worker.run(BEFORE + code)
    # By its name, of which it may be a kind.
    assert issubclass(getattr(errors, outcome.error, type(None)), getattr(errors, error)), outcome
    one_sentence(outcome.message, *parts)


CODES = [
    ("model.code2wav(good.T)", "[5, 4]; expected [4, frames]"),
    ("model.code2wav(np.zeros((5, 4), int))", "transposed"),
    ("model.code2wav(np.zeros(4, int))", "shape [4]"),
    ("model.code2wav(np.zeros((1, 4, 5), int))", "shape [1, 4, 5]"),
    ("model.code2wav(5)", "shape []"),
    ("model.code2wav([])", "shape [0]"),
    ("model.code2wav([[1, 2], [3]])", "codes"),
    ("model.code2wav(None)", "codes"),
    ("model.code2wav('abc')", "codes"),
    ("model.code2wav(good.astype(float))", "float64"),
    ("model.code2wav(good.astype(bool))", "bool"),
    ("model.code2wav(good.astype(complex))", "complex"),
    ("model.code2wav(good.astype(object))", "object"),
    ("model.code2wav(np.full((4, 5), np.nan))", "float64"),
    ("model.code2wav(good - 1)", "20 of 20 codes are outside of 0 to 63, the first -1 in group 0, frame 0"),
    ("good[2, 3] = 64; model.code2wav(good)", "64 in group 2, frame 3"),
    ("good[2, 3] = 2**31 - 1; model.code2wav(good)", "group 2, frame 3"),
    ("model.code2wav(good.astype(np.int64) + 2**32)", "outside of 0 to 63"),
    ("model.code2wav(np.full((4, 5), 2**64 - 1, np.uint64))", "outside of 0 to 63"),
    ("model.code2wav([[2**70]] * 4)", "object"),
    ("model.code2wav(good, chunk_frames=0)", "chunk_frames"),
    ("model.code2wav(good, chunk_frames=-5)", "chunk_frames"),
    ("model.code2wav(good, chunk_frames=2.5)", "chunk_frames"),
]

IDS = [
    ("model.thinker([])", "no tokens"),
    ("model.thinker([400])", "400", "vocabulary"),
    ("model.thinker([-1])", "between 0"),
    ("model.thinker([2**31])", "2^31"),
    ("model.thinker([2**70])", "token ids"),
    ("model.thinker([1.0])", "float64"),
    ("model.thinker([True])", "bool"),
    ("model.talker_prompt(header, answer, speaker='')", "speaker"),
    ("import copy; copy.deepcopy(model)", "pickled or copied"),
    ("import pickle; pickle.dumps(model)", "pickled or copied"),
    ("model.thinker(['a'])", "token ids"),
    ("model.thinker([[1, 2]])", "shape [1, 2]"),
    ("model.thinker([[1], [2, 3]])", "token ids"),
    ("model.thinker(None)", "tokens is None"),
    ("model.thinker(range(500))", "400", "vocabulary"),
    ("model.thinker([1] * 4097)", "4097", "4096"),
    ("model.generate_text([1] * 4097)", "4097", "4096"),
    ("model.generate_text([])", "no tokens"),
    ("model.talker_prompt(header, [])", "no text"),
    ("model.talker_prompt([], answer)", "header of the answer"),
    ("model.talker_prompt(header[:-1], answer)", "header of the answer"),
    ("model.talker_prompt(header, [400])", "400"),
    ("model.talker_prompt([5, *header], [1.5])", "float64"),
    ("model.talker_prompt(header, [-5])", "between"),
    ("model.talker_prompt([*header[:2], 400, *header[2:]], answer)", "400"),
    ("model.talker_prompt(heard, answer)", "hidden states", "64"),
    ("model.talker_prompt(heard, answer, thinker_hidden=np.zeros((3, 64)))", "hidden states"),
    ("model.talker_prompt(heard, answer, thinker_hidden=np.zeros((64, len(heard))))", "shape"),
    ("model.talker_prompt(heard, answer, thinker_hidden=np.zeros(len(heard) * 64))", "shape"),
    ("model.talker_prompt(heard, answer, thinker_hidden=np.full((len(heard), 64), np.nan))", "NaN"),
    ("model.talker_prompt(heard, answer, thinker_hidden=np.full((len(heard), 64), 1e300))", "infinity"),
    ("model.talker_prompt(heard, answer, thinker_hidden=[[1], [2, 3]])", "thinker_hidden"),
    ("model.talker_prompt(heard, answer, thinker_hidden='abc')", "thinker_hidden"),
    ("model.talker_prompt(header, answer, speaker='nobody')", '"nobody"', "aiden, chelsie, ethan"),
    ("list(model.stream_answer(header, answer, speaker='nobody'))", "nobody"),
    ("model.tokenizer.decode([400])", "400"),
]

TEXTS = [
    ("model.speak('')", "no text"),
    ("model.speak(' \\n\\t')", "no text"),
    ("model.speak(5)", "text is 5"),
    ("model.speak(None)", "text is None"),
    ("model.speak(b'hello')", "text is b'hello'"),
    ("model.speak('\\ud800')", "Unicode"),
    ("model.speak('a\\0b')", "zero byte"),
    ("model.chat('a\\0b')", "zero byte"),
    ("model.chat(' ')", "empty"),
    ("model.chat([{'role': 'user', 'content': []}])", "empty"),
    ("model.chat([{'role': 'wizard', 'content': 'hi'}])", "no role 'wizard'"),
    ("model.chat([{'role': 'user', 'content': [{'type': 'smell', 'smell': 'tea'}]}])", "a part"),
    ("model.chat([{'role': 'user', 'content': ['hi']}])", "a part"),
    ("model.chat([{'role': 'user', 'content': [{'type': 'text'}]}])", "has to have a text"),
    ("model.speak('hello', split='words')", "auto, sentence, never"),
    ("model.speak('hello', longest_span=0)", "longest_span"),
    ("model.speak('hello', prompt='\\ud800')", "Unicode"),
    ("model.speak('hello', speaker='nobody')", '"nobody"', "aiden, chelsie, ethan"),
    ("model.speak('hello', speaker=5)", "speaker"),
    ("model.speak('hello', speaker='\\ud800')", "speaker"),
    ("model.speak('word ' * 5000, split='never')", "4096", "shorter text"),
    ("model.speak('hello', prompt='word ' * 5000)", "4096", "shorter prompt"),
    ("model.speak('hello', prompt='word ' * 500_000)", "4096", "bytes", "shorter prompt"),
    ("model.speaking(prompt='word ' * 5000)", "4096", "shorter prompt"),
    ("model.speaking(prompt='word ' * 500_000)", "4096", "bytes", "shorter prompt"),
    ("model.chat('word ' * 5000)", "4096"),
    ("model.chat([])", "messages"),
    ("model.chat([{'role': 'user'}])", "content"),
    ("model.chat([5])", "message"),
    ("model.chat('\\ud800')", "Unicode"),
    ("model.probe('code2wav.\\ud800').__enter__()", "pattern", "Unicode"),
    ("model.probe('a\\0b').__enter__()", "pattern", "zero byte"),
    ("model.probe(replace={'\\ud800': [1.0]}).__enter__()", "replacement", "Unicode"),
    ("omniggml.Model(model.path).chat('hi')", "without a thinker"),
    ("omniggml.Model(model.path).thinker([1])", "without a thinker"),
]

OPTIONS = [
    ("model.speak('a', temprature=1)", "temprature", "temperature"),
    ("model.speak('a', temperature=0)", "temperature", "above 0"),
    ("model.speak('a', temperature=-1)", "temperature"),
    ("model.speak('a', temperature=float('nan'))", "temperature"),
    ("model.speak('a', temperature=float('inf'))", "temperature"),
    ("model.speak('a', temperature=1e300)", "temperature"),
    ("model.speak('a', temperature='hot')", "temperature", "hot"),
    ("model.speak('a', top_k=-1)", "top_k"),
    ("model.speak('a', top_k=2.5)", "top_k"),
    ("model.speak('a', top_k=2**70)", "top_k"),
    ("model.speak('a', top_p=0)", "top_p"),
    ("model.speak('a', top_p=1.1)", "top_p"),
    ("model.speak('a', top_p=float('nan'))", "top_p"),
    ("model.speak('a', repetition_penalty=0)", "repetition_penalty"),
    ("model.speak('a', predictor_temperature=0)", "temperature"),
    ("model.speak('a', predictor_top_k=-1)", "top_k"),
    ("model.speak('a', predictor_top_p=2)", "top_p"),
    ("model.speak('a', seed=-1)", "seed"),
    ("model.speak('a', seed=2**64)", "seed"),
    ("model.speak('a', seed=1.5)", "seed"),
    ("model.speak('a', seed='x')", "seed"),
    ("model.speak('a', seed=None)", "seed"),
    ("model.speak('a', seed=float('nan'))", "seed"),
    ("model.speak('a', max_frames=-1)", "max_frames"),
    ("model.speak('a', max_frames=1.5)", "max_frames"),
    ("model.speak('a', max_frames=2**63)", "max_frames"),
    ("model.speak('a', chunk_frames=0)", "chunk_frames"),
    ("model.speak('a', chunk_frames=True)", "chunk_frames"),
    ("model.speak('a', prompt=5)", "prompt"),
    ("TextOptions(max_tokens=-1)", "max_tokens"),
    ("TextOptions(max_tokens=None)", "max_tokens"),
    ("TextOptions(seed=-1)", "seed"),
    ("model.generate_text([1], TextOptions(temperature=0))", "temperature"),
    ("model.generate_text([1], TextOptions(top_p=5))", "top_p"),
    ("model.generate_text([1], TextOptions(top_k='many'))", "top_k"),
    ("omniggml.load(model.path, n_threads=-1)", "n_threads"),
    ("omniggml.load(model.path, n_threads=513)", "n_threads", "512"),
    ("omniggml.load(model.path, n_threads=1.5)", "n_threads"),
    ("omniggml.load(model.path, device='gpu7')", '"gpu7"', "CPU"),
    ("omniggml.load(model.path, device='host:99999')", "99999"),
    ("omniggml.load(model.path, device='host:0')", "port"),
]

STAGES = [
    ("model.talker(Prompt(prompt.inputs.T, prompt.trailing, prompt.pad))", "inputs", "[n, 32]"),
    ("model.talker(Prompt(prompt.inputs.ravel(), prompt.trailing, prompt.pad))", "inputs"),
    ("model.talker(Prompt(prompt.inputs[:0], prompt.trailing, prompt.pad))", "n > 0"),
    ("model.talker(Prompt(prompt.inputs, prompt.trailing[:, :31], prompt.pad))", "trailing"),
    ("model.talker(Prompt(prompt.inputs, prompt.trailing, prompt.trailing[:0]))", "pad"),
    ("model.talker(Prompt(prompt.inputs * np.nan, prompt.trailing, prompt.pad))", "inputs", "NaN"),
    ("model.talker(Prompt(prompt.inputs, prompt.trailing, prompt.pad + np.inf))", "pad", "infinity"),
    ("model.talker(Prompt(prompt.inputs, prompt.trailing, 'abc'))", "pad"),
    ("model.talker(Prompt(np.zeros((4097, 32)), prompt.trailing, prompt.pad))", "4096"),
    ("model.talker(Prompt(np.zeros((4000, 32)), np.zeros((97, 32)), prompt.pad))", "4097", "4096"),
]

SESSIONS = [
    ("talker().frame(np.zeros((1, 4), np.int32), np.zeros((1, 32)))", "without a prompt"),
    ("s = talker(2); s.prompt(0, prompt.inputs); s.frame(good[:2, :4], np.zeros((2, 32)))", "without a prompt"),
    ("talker().prompt(1, prompt.inputs)", "prompt"),
    ("talker().prompt(-1, prompt.inputs)", "prompt"),
    ("talker().prompt(0, prompt.inputs[:0])", "n > 0"),
    ("talker().prompt(0, prompt.inputs[:, :31])", "[n, 32]"),
    ("talker().prompt(0, np.zeros((4097, 32)))", "4096"),
    ("s = talker(); s.prompt(0, prompt.inputs); s.frame(good[:1, :4] - 1, np.zeros((1, 32)))", "code -1 of group 0"),
    ("s = talker(); s.prompt(0, prompt.inputs); s.frame(good[:1, :3], np.zeros((1, 32)))", "[n, 4]"),
    ("s = talker(); s.prompt(0, prompt.inputs); s.frame(good[:2, :4], np.zeros((1, 32)))", "sequences"),
    ("s = talker(); s.prompt(0, np.zeros((4096, 32))); s.frame(good[:1, :4], np.zeros((1, 32)))", "4097", "4096"),
    ("talker(0)", "1 to 1024"),
    ("talker(1025)", "1 to 1024"),
    ("talker().project_text([400])", "400"),
    ("talker().embed_codec([1088])", "1088"),
    ("talker().project_hidden(np.zeros((2, 63)))", "[n, 64]"),
    ("predictor(0)", "1 to 1024"),
    ("predictor().next([1])", "no frame yet"),
    ("predictor().start(np.zeros((1, 32)), [])", "1 code"),
    ("predictor().start(np.zeros((1, 32)), [1088])", "0 to 1087"),
    ("predictor().start(np.zeros((1, 31)), [1])", "hidden states"),
    ("s = predictor(); s.start(np.zeros((1, 32)), [1]); s.next([64])", "0 to 63"),
    ("s = predictor(); s.start(np.zeros((1, 32)), [1]); s.next([1, 2])", "1 code"),
    ("s = predictor(); s.start(np.zeros((1, 32)), [1]); s.next([1]); s.next([1]); s.next([1])", "next frame"),
    ("vocoder().decode(good[:3])", "[4, frames]"),
    ("vocoder().decode(good[0])", "two axes"),
    ("vocoder().decode(good + 64)", "outside of 0 to 63"),
    ("thinking().forward(np.zeros(0, np.int32))", "no tokens"),
    ("thinking().truncate(1)", "position 1 of 0"),
    ("thinking().truncate(-1)", "position -1"),
    ("begin(text=[])", "no text to speak"),
    ("begin(text=[], finished=False).finish()", "no text to speak"),
    ("begin(text=answer).feed(answer)", "the text of this speech is finished"),
    ("begin(text=answer, finished=False).feed([10**6])", "vocabulary token id 1000000"),
    ("begin(text=answer, finished=False).feed([1] * 5000)", "speak a shorter text"),
    ("begin(text=[1] * 5000)", "speak a shorter text"),
    ("begin(text=[10**6])", "vocabulary token id 1000000"),
    ("begin(text=answer, speaker=None)", "no speaker"),
    ("begin(text=answer, speaker=-1)", "codec id -1"),
    ("begin(text=answer, speaker=1088)", "codec id 1088"),
    ("begin(text=answer, piece_frames=[])", "1 frame or more"),
    ("begin(text=answer, piece_frames=[0])", "1 frame or more"),
    ("begin(text=answer, buffered_frames=-1)", "0 or more are buffered"),
    ("begin(text=answer, thinker_hidden=np.zeros((2, 3)))", "thinker hidden states"),
    ("begin(prompt=(prompt.inputs, prompt.trailing[:, 1:], prompt.pad))", "trailing"),
    ("begin(prompt=(prompt.inputs[:0], prompt.trailing, prompt.pad))", "n > 0"),
    ("params.max_frames = -1; begin(params=params, text=answer)", "frame limit"),
    ("begin(conversation=user[:-2], text=answer)", "header of the answer"),
    ("_native.SpeechEngine(native, n_threads=-1)", "number of threads"),
    ("_native.SpeechEngine(native, n_slots=0)", "1 to 1024"),
    ("native.find_speaker('no:one')", "no mixture"),
    ("native.find_speaker('ethan:-1,chelsie:2')", "weights above 0"),
    ("native.speaker_of_vector(np.zeros(3))", "a vector of"),
    ("native.speaker_of_vector(np.full(prompt.inputs.shape[1], np.nan))", "finite numbers"),
    ("_native.Code2WavSession(native, 1000, None)", "number of threads"),
    ("_native.draw(np.zeros(0), _native.SamplingParams(), [], 0.5)", "no logits"),
    ("_native.draw(np.zeros(3), _native.SamplingParams(), [3], 0.5)", "id 3"),
]

PROBES = [
    ("with model.probe(replace={'code2wav': np.zeros((2, 1, 57))}): model.code2wav(good)", "code2wav", "[2, 1, 57]"),
    ("with model.probe(replace={'code2wav': np.zeros(3)}): model.code2wav(good)", "code2wav", "shape [3]"),
    ("with model.probe(replace={'code2wav': np.zeros((1, 1, 3))}): model.code2wav(good)", "code2wav", "3 positions"),
    ("with model.probe(replace={'code2wav': 'abc'}): pass", "code2wav"),
    ("with model.probe(replace={'code2wav': [[1], [2, 3]]}): pass", "code2wav"),
    ("with model.probe(5): pass", "pattern"),
]


def cases(table: list[tuple[str, ...]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("code", "parts"), [(row[0], row[1:]) for row in table], ids=lambda v: str(v)[:70])


@cases(CODES)
def test_codes(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@cases(IDS)
def test_ids(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@cases(TEXTS)
def test_texts(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@cases(OPTIONS)
def test_options(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@cases(STAGES)
def test_stages(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@cases(SESSIONS)
def test_sessions(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@cases(PROBES)
def test_probes(prepared: Worker, code: str, parts: tuple[str, ...]) -> None:
    refused(prepared, code, *parts)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("result = len(model.code2wav(np.zeros((4, 0), int)))", 0),
        ("result = len(model.code2wav([[], [], [], []]))", 0),
        ("result = len(model.code2wav(np.asfortranarray(good)))", 105),
        ("result = len(model.code2wav(good.astype(np.uint8)[:, ::-1]))", 105),
        ("result = model.speak('a', max_frames=0).codes.shape[1]", 0),
        ("result = model.speak('a', max_frames=0).stop_reason", "frame_limit"),
        ("result = model.speak('a', max_frames=2, top_k=10**9, speaker='ETHAN').codes.shape[1]", 2),
        ("result = model.speak('a', max_frames=2, seed=2**64 - 1).codes.shape[1]", 2),
        ("result = model.speak('a\\x1b[2J', max_frames=2).codes.shape[1]", 2),
        ("result = len(model.generate_text([1], TextOptions(max_tokens=0))[0])", 0),
        ("result = model.talker(Prompt(prompt.inputs, prompt.trailing[:0], prompt.pad), max_frames=2).shape[1]", 2),
        ("result = model.n_samples(0)", 0),
    ],
    ids=lambda value: str(value)[:60],
)
def test_extremes_that_are_all_right(prepared: Worker, code: str, value: object) -> None:
    outcome = prepared.run(BEFORE + code)
    assert outcome.error == "" and outcome.value == value, outcome


def test_speech_to_the_end_of_the_context(prepared: Worker) -> None:
    """A speech that finds no end stops where the context does, with all it said, and says why."""
    outcome = prepared.run(
        BEFORE
        + """
inputs = np.repeat(prompt.inputs[:1], 4090, axis=0)
s = engine.begin(params, prompt=(inputs, prompt.trailing[:0], prompt.pad), piece_frames=[100])
samples, codes, stop = s.read()
result = [codes.shape[1], stop]
"""
    )
    assert outcome.error == "" and outcome.value == [7, "context_full"], outcome


def test_a_failed_call_leaves_the_model_whole(prepared: Worker) -> None:
    outcome = prepared.run(
        BEFORE
        + """
before = model.speak("hello", max_frames=3).samples
for wrong in (lambda: model.code2wav(good + 64), lambda: model.speak("a", speaker="nobody")):
    try:
        wrong()
    except omniggml.InputError:
        pass
result = bool((model.speak("hello", max_frames=3).samples == before).all())
"""
    )
    assert outcome.value is True, outcome
