"""omniggml.h from C: compiled as C99 and as C++, every function called, from programs outside of the tree."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import omniggml
from conftest import Files
from omniggml import c_interface

ROOT = Path(__file__).parent.parent
HERE = Path(__file__).parent
TEXT = "Good morning, what's new? 3 cats."
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or sys.platform == "win32", reason="needs a C compiler as Unix has it"
)


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)  # ty
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return str(done.stdout)


def config(*options: str) -> list[str]:
    return shlex.split(
        run(sys.executable, "-c", "import sys; from omniggml.c_interface import config; config(sys.argv[1:])", *options)
    )


@pytest.mark.parametrize(
    "compiler", [["cc", "-std=c99", "-x", "c"], ["c++", "-std=c++17", "-x", "c++"]], ids=["c99", "c++17"]
)
def test_the_header_compiles_alone(compiler: list[str], tmp_path: Path) -> None:
    (tmp_path / "alone.c").write_text("#include <omniggml.h>\nint main(void) { return OMNI_OK; }\n")
    run(*compiler, *STRICT, f"-I{omniggml.get_include()}", "-fsyntax-only", tmp_path / "alone.c")


def declared() -> list[str]:
    header = (omniggml.get_include() / "omniggml.h").read_text()
    return sorted(re.findall(r"^OMNI_API [^;(]*?\b(omni_\w+)\(", header, re.MULTILINE))


def test_the_installed_header_is_the_one_of_the_tree() -> None:
    assert (omniggml.get_include() / "omniggml.h").read_text() == (ROOT / "csrc" / "capi" / "omniggml.h").read_text()


def test_every_function_says_its_threads() -> None:
    header = (omniggml.get_include() / "omniggml.h").read_text()
    comments = re.findall(r"/\*((?:(?!\*/).)*)\*/\n(?:typedef [^;]*;\n)?((?:OMNI_API [^;]*;\n)+)", header, re.DOTALL)
    said = {name for comment, functions in comments if re.match(r"\s*\[(any|one)\]", comment)
            for name in re.findall(r"\b(omni_\w+)\(", functions)}  # fmt: skip
    # The two whose callback's type stands between.
    assert set(declared()) - said <= {"omni_log_set", "omni_speech_read_all"}


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("nm") is None, reason="needs nm")
def test_nothing_else_is_exported() -> None:
    """The list is committed: a name that goes is a program that breaks."""
    listed = (HERE / "data" / "exported_symbols.txt").read_text().split()
    assert listed == declared()
    library = c_interface.get_library() / "libomniggml.so"
    shown = {line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()}
    assert sorted(shown) == listed
    module = {line.split()[-1] for line in run("nm", "-D", "--defined-only", omniggml._native.__file__).splitlines()}
    assert module == {"PyInit__native"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("c") / "every_function"
    source = HERE / "c" / "every_function.c"
    run("cc", "-std=c99", *STRICT, "-O1", source, *config("--cflags", "--libs"), "-o", path)
    return path


def test_the_program_calls_every_function() -> None:
    source = (HERE / "c" / "every_function.c").read_text()
    assert {name for name in declared() if f"{name}(" not in source} == set()


def test_every_function(program: Path, tiny_files: Files, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(tiny_files.speech.read_bytes()[:100_000])
    said = run(program, tiny_files.speech, tiny_files.thinker, damaged, TEXT, tmp_path, cwd="/")
    assert "every function was called" in said

    model = omniggml.load(tiny_files.speech, thinker=tiny_files.thinker, n_threads=1, vocoder_precision="f32")
    assert list(map(int, (tmp_path / "tokens.txt").read_text().split())) == model.tokenizer.encode(TEXT)
    geometry = model.geometry["code2wav"]
    codes = np.arange(geometry["num_quantizers"] * 24).reshape(-1, 24) * 31 % geometry["codebook_size"]
    decoded = np.fromfile(tmp_path / "decoded.f32", np.float32)
    assert np.array_equal(decoded, model.code2wav(codes))
    spoken = model.speak(TEXT, seed=7, max_frames=20, split="never")
    assert np.array_equal(np.fromfile(tmp_path / "speech.f32", np.float32), spoken.samples)


# --- programs that find the installation by themselves ----------------------------------------------------------------


def wav(path: Path) -> np.ndarray:
    import soundfile

    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 24000
    return np.asarray(samples)


def as_int16(samples: np.ndarray) -> np.ndarray:
    scaled = samples.astype(np.float32) * np.float32(32767)
    return (scaled + np.where(scaled < 0, np.float32(-0.5), np.float32(0.5))).astype(np.int16)


SAID = "the dog runs in the garden and the cat sees the bird"


@pytest.fixture(scope="module")
def said() -> np.ndarray:
    """What Python says; the voice writes figures out, which this text has none of."""
    return as_int16(omniggml.load().speak(SAID, split="never").samples)


def test_the_example_by_cmake(said: np.ndarray, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    source = shutil.copytree(ROOT / "examples" / "embed-c", tmp_path / "source")
    run("cmake", "-S", source, "-B", tmp_path / "build", f"-Domniggml_DIR={config('--cmakedir')[0]}")
    run("cmake", "--build", tmp_path / "build")
    voice = Path(config("--voicedir")[0]) / "voice-speech.gguf"
    told = run(tmp_path / "build" / "speak", voice, tmp_path / "said.wav", cwd="/", input=SAID)
    assert told.endswith("s of speech\n")
    assert np.array_equal(wav(tmp_path / "said.wav"), said)
    refused = subprocess.run(
        [tmp_path / "build" / "speak", ROOT / "README.md", tmp_path / "x.wav"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1 and "README.md" in refused.stderr and refused.stderr.count("\n") == 1


def test_another_minor_version_is_not_found(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    for version, found in (("0.1", True), ("0.2", False), ("1.0", False)):
        (tmp_path / "CMakeLists.txt").write_text(
            f"cmake_minimum_required(VERSION 3.21)\nproject(x NONE)\nfind_package(omniggml {version} CONFIG QUIET)\n"
            'message(STATUS "found: ${omniggml_FOUND}")\n'
        )
        out = run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-Domniggml_DIR={config('--cmakedir')[0]}")
        assert f"found: {int(found)}" in out, out


def test_pkg_config(tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("needs pkg-config")
    (tmp_path / "x.c").write_text(
        "#include <omniggml.h>\n#include <stdio.h>\nint main(void) { puts(omni_version()); return 0; }\n"
    )
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "omniggml"],
        env={"PKG_CONFIG_PATH": config("--pkgconfigdir")[0]}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    directory = subprocess.run(
        ["pkg-config", "--variable=libdir", "omniggml"],
        env={"PKG_CONFIG_PATH": config("--pkgconfigdir")[0]}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    run("cc", tmp_path / "x.c", *shlex.split(flags.stdout), f"-Wl,-rpath,{directory}", "-o", tmp_path / "x")
    assert run(tmp_path / "x").strip() == omniggml.__version__


def test_the_page_s_program(tmp_path: Path, tiny_files: Files) -> None:
    page = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```c\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        (tmp_path / "x.c").write_text(program)
        run("cc", "-std=c99", *STRICT, tmp_path / "x.c", *config("--cflags", "--libs"), "-o", tmp_path / "x")
        told = run(tmp_path / "x", Path(config("--voicedir")[0]) / "voice-speech.gguf")
        samples = sum(int(line.split()[0]) for line in told.splitlines())
        assert samples == len(omniggml.load().speak("hello world").samples)


def test_config_that_is_not_asked_anything() -> None:
    with pytest.raises(SystemExit) as left:
        c_interface.config([])
    assert left.value.code == 2


# --- two ggml in one process ------------------------------------------------------------------------------------------

BOTH = """
import sys
order, thinker, text = sys.argv[1:]
if order == "ours first":
    import omniggml
import xllamacpp
import omniggml

def ours():
    return omniggml.load().speak(text, max_frames=8).samples

def theirs():
    parameters = xllamacpp.CommonParams()
    parameters.model.path = thinker
    parameters.n_ctx, parameters.n_parallel = 512, 1
    parameters.cpuparams.n_threads = 1
    server = xllamacpp.Server(parameters)
    answer = server.handle_completions({"prompt": "<|im_start|>user\\nhello<|im_end|>\\n<|im_start|>assistant\\n",
                                        "temperature": 0, "max_tokens": 8})
    return answer["choices"][0]["text"]

before = ours()
said = theirs()
assert (ours() == before).all() and theirs() == said and said
print(said)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="xllamacpp's wheels")
def test_another_ggml_beside_ours() -> None:
    pytest.importorskip("xllamacpp")
    thinker = Path(config("--voicedir")[0]) / "voice-thinker.gguf"
    said = {run(sys.executable, "-c", BOTH, order, thinker, SAID) for order in ("ours first", "theirs first")}
    assert len(said) == 1


# --- llama.cpp in one process, on one ggml ----------------------------------------------------------------------------


@pytest.mark.slow
def test_llama_cpp_writes_and_omniggml_speaks(tmp_path: Path) -> None:
    """Builds llama.cpp's library: minutes, once a build directory."""
    if shutil.which("cmake") is None or not (ROOT / "examples").exists():
        pytest.skip("needs cmake")
    build = ROOT / "build" / "llama-cpp-voice"
    run("cmake", "-S", ROOT / "examples" / "llama-cpp-voice", "-B", build, "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build, "--target", "llama-cpp-voice", "--parallel", "2")
    voice = Path(config("--voicedir")[0])
    question = "what is the opposite of small"
    program = build / "llama-cpp-voice"
    text = run(program, voice / "voice-thinker.gguf", voice / "voice-speech.gguf", tmp_path / "a.wav", question)
    model = omniggml.load()
    reply = model.chat(question, text_options=omniggml.TextOptions(greedy=True), split="never")
    assert text.strip() == reply.text
    assert np.array_equal(wav(tmp_path / "a.wav"), as_int16(reply.audio.samples))
