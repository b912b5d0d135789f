"""CONTRIBUTING.md's recipes, followed on a copy of the package: the files that they name are those that it takes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

import omniggml
from conftest import Files
from gguf_edit import GgufEdit
from omniggml.synthetic.random_checkpoint import write_random_checkpoint

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = "python/omniggml/"


def recipe(title: str) -> str:
    found = re.search(rf"^### {re.escape(title)}.*?\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def named(title: str) -> set[str]:
    """The files that a recipe tells to change."""
    return {path for path in re.findall(r"`([\w./-]+/[\w.-]*)`", recipe(title)) if "margins.json" not in path}


@dataclass
class Copy:
    """The package and the pages elsewhere; `touched` are the files that were changed there."""

    root: Path
    touched: set[str] = field(default_factory=set)

    def edit(self, path: str, before: str, after: str) -> None:
        text = (self.root / path).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{path}: {before!r} stands there {text.count(before)} times"
        (self.root / path).write_text(text.replace(before, after), encoding="utf-8")
        self.touched.add(path)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        code = f"import sys; sys.path.insert(0, {str(self.root / 'python')!r})\n"
        code += "sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__]\n"
        code += "from omniggml.cli import main; sys.exit(main(sys.argv[1:]))"
        return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    from omniggml import _native

    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python", tmp_path / "python", ignore=ignored)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    native = Path(_native.__file__)
    (tmp_path / PACKAGE / native.name).symlink_to(native)
    return Copy(tmp_path)


def test_recipes_name_files_that_are_there() -> None:
    titles = re.findall(r"^### (.*?)(?::.*)?$", PAGE, re.MULTILINE)
    assert len(titles) == 3
    for title in titles:
        assert [path for path in named(title) if not (ROOT / path).exists()] == [], title


def in_the_copy(paths: Iterable[str]) -> set[str]:
    """Tests, benchmarks and C++ aren't copied: this file stands for the first two."""
    return {path for path in paths if path.startswith(("python/", "docs/"))}


# --- a check of the doctor --------------------------------------------------------------------------------------------

HUM = """

def _check_hum(report: Report, audio: Recorded, x: Samples) -> None:
    power = np.abs(np.fft.rfft(x)) ** 2
    at = np.fft.rfftfreq(len(x), 1 / audio.rate)
    share = float(power[(at > 49) & (at < 51)].sum() / power.sum())
    if bounds.HUM.above(share):
        report.find("audio.hum", f"{share:.0%} of its power is at 50 Hz.", share=share)
"""
ROW = "| `audio.hum` | suspicious | It hums. | Take the mains out of the recording. |\n"


def test_a_check_of_the_doctor(copy: Copy, tiny_files: Files, tmp_path: Path) -> None:
    doctor = f"{PACKAGE}doctor/"
    noise = '    "audio.noise": Kind('
    kind = '    "audio.hum": Kind(_SUSPICIOUS, "It hums.", "Take the mains out of the recording."),\n'
    copy.edit(f"{doctor}catalogue.py", noise, kind + noise)
    table = "TABLE = {bound.name"
    bound = 'HUM = Threshold("audio.hum", 0.3, "share", "power at 50 Hz", ("audio.hum",))\n'
    copy.edit(f"{doctor}thresholds.py", table, f"{bound}\n{table}")
    copy.edit(
        f"{doctor}checks/audio.py",
        "    _check_limits(report, x)\n",
        "    _check_limits(report, x)\n    _check_hum(report, audio, x)\n",
    )
    text = (copy.root / doctor / "checks" / "audio.py").read_text(encoding="utf-8")
    (copy.root / doctor / "checks" / "audio.py").write_text(text + HUM, encoding="utf-8")
    first = next(
        line
        for line in (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8").splitlines(True)
        if line.startswith("| `audio.noise`")
    )
    copy.edit("docs/doctor.md", first, ROW + first)
    assert copy.touched == in_the_copy(named("A check of the doctor"))

    time = np.arange(48000) / 24000
    speech = np.random.default_rng(0).normal(0, 0.05, 48000) * (np.sin(7 * time) > 0)
    for name, samples, expected in (
        ("hum", speech + 0.1 * np.sin(2 * np.pi * 50 * time), True),
        ("sound", speech, False),
    ):
        soundfile.write(tmp_path / f"{name}.wav", samples, 24000)
        found = copy.run(
            "doctor", str(tiny_files.speech), "--audio", str(tmp_path / f"{name}.wav"), "--json", "--threads", "1"
        )
        ids = {finding["id"] for finding in json.loads(found.stdout)["findings"]}
        assert ("audio.hum" in ids) is expected, found.stderr


# --- a family of files ------------------------------------------------------------------------------------------------

FAMILY = """
CAPITALS = Family(
    "capitals",
    "a speech file in capitals",
    ("THINKER.{n}",),
    ("text table", "talker", "code predictor", "code2wav"),
    tuple(Alias(f"THINKER.{number}", name) for number, name in enumerate(NAMES)),
)

"""


def test_a_family_of_files(copy: Copy, tiny_files: Files, tmp_path: Path) -> None:
    """A file whose tensors are numbered: our speech file under names that say nothing."""
    edit = GgufEdit.read(tiny_files.speech)
    names = [tensor.name for tensor in edit.tensors]
    families = f"{PACKAGE}files/families.py"
    copy.edit(families, "FAMILIES = (SPEECH,", f"NAMES = {names!r}\n{FAMILY}FAMILIES = (SPEECH, CAPITALS,")
    told = f"{PACKAGE}files/told_settings.py"
    copy.edit(
        told,
        "    BUNDLED.name: _TALKER,\n",
        '    "capitals": {"THETA": "talker.rope_theta"},\n    BUNDLED.name: _TALKER,\n',
    )
    copy.touched.add("docs/files.md")
    assert copy.touched == in_the_copy(named("A family of files"))

    for number, name in enumerate(names):
        edit.rename(name, f"THINKER.{number}")
    theta = omniggml.load(tiny_files.speech, n_threads=1).metadata["qwen3omni-speech.talker.rope_theta"]
    edit.metadata = [(key, entry) for key, entry in edit.metadata if not key.startswith(("qwen3omni", "general.arch"))]
    edit.append("general.architecture", "capitals", 8)
    edit.append("capitals.THETA", theta, 6)
    edit.write(tmp_path / "capitals.gguf")
    inspected = json.loads(copy.run("inspect", str(tmp_path / "capitals.gguf"), "--json").stdout)
    found = inspected[0] if isinstance(inspected, list) else inspected
    assert found["family"] == "capitals" and found["missing"] in ([], ()) and found["unknown"] in ([], ())
    assert "talker.rope_theta" not in found["assumed"]


# --- a sibling model --------------------------------------------------------------------------------------------------


def test_a_sibling_of_the_same_parts(copy: Copy, tmp_path: Path) -> None:
    """Omni's successor, were it of the same parts under another `model_type`."""
    checkpoint = write_random_checkpoint("tiny", tmp_path / "checkpoint")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"model_type": "qwen4_omni"}))
    arguments = ("convert", str(checkpoint), "-o", str(tmp_path / "models"), "--type", "f32", "--name", "next")
    refused = copy.run(*arguments)
    assert refused.returncode == 1 and "model_type is 'qwen4_omni', expected 'qwen3_omni_moe'" in refused.stderr

    reader = f"{PACKAGE}conversion/config_json.py"
    copy.edit(reader, '    "qwen3_omni_moe": _omni,\n', '    "qwen3_omni_moe": _omni,\n    "qwen4_omni": _omni,\n')
    assert copy.touched <= named("A sibling model")
    assert copy.run(*arguments).returncode == 0
    spoken = omniggml.load(tmp_path / "models" / "next-speech.gguf", n_threads=1).speak("hello", max_frames=3)
    assert spoken.codes.shape[1] == 3
