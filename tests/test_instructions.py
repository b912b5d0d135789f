"""A CPU that lacks what a build needs gets a sentence; which build that is, CMake says."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from native_module import internals


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="names of x86-64, told by Linux")
def test_instructions_are_judged_as_the_system_judges_them() -> None:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    flags = next(line for line in lines if line.startswith("flags")).split()
    # The system's names differ from the compilers' in these.
    named = {"sse4.2": "sse4_2", "bmi": "bmi1", "avxvnni": "avx_vnni", "lzcnt": "abm", "amx-tile": "amx_tile"} | {
        f"avx512{name}": f"avx512_{name}" for name in ("vbmi2", "vnni", "bitalg", "vpopcntdq", "bf16", "fp16")
    }
    plain = ["popcnt", "avx", "f16c", "fma", "avx2", "bmi2", "movbe", "gfni", "avx512f", "avx512bw", "avx512vbmi"]
    names = [*named, *plain]
    expected = [name for name in names if named.get(name, name) not in flags]
    assert internals().missing_instructions(names) == expected


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="an x86-64 build")
def test_a_lesser_cpu_gets_a_sentence() -> None:
    """Nehalem has no AVX, which every build for x86-64 needs."""
    command = ["qemu-x86_64", "-cpu", "Nehalem", sys.executable, "-m", "omniggml", "devices"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done
    (said,) = done.stderr.splitlines()
    assert said.startswith("omniggml: this build of omniggml needs instructions that this CPU does not have (")
    assert "avx2" in said and "OMNIGGML_PORTABLE" in said
