"""A CPU that lacks what a build needs gets a sentence; which build that is, CMake says."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from native_module import internals
from omniggml.c_interface import get_include, get_library
from omniggml.loading import BUILT_IN
from processes import SANITIZED


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
@pytest.mark.skipif(SANITIZED, reason="the sanitizer reserves terabytes")
@pytest.mark.parametrize("cpu", ["Nehalem", "core2duo"])
def test_a_lesser_cpu_gets_a_sentence(cpu: str) -> None:
    """They have no AVX, which every build for x86-64 needs; on the older one NumPy ends the process."""
    command = ["qemu-x86_64", "-cpu", cpu, sys.executable, "-m", "omniggml", "devices"]
    # Variables that choose OpenBLAS's kernels are for this machine's own CPU.
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 1, done
    (said,) = done.stderr.splitlines()
    assert said.startswith("omniggml: this build of omniggml needs instructions that this CPU does not have (")
    assert "avx2" in said and "no build runs without AVX2" in said


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="an x86-64 build")
@pytest.mark.skipif(SANITIZED, reason="the sanitizer reserves terabytes")
def test_a_lesser_cpu_gets_a_sentence_in_c_too(tmp_path: Path) -> None:
    (tmp_path / "load.c").write_text(
        "#include <omniggml.h>\n#include <stdio.h>\n"
        "int main(int n, char ** arguments) {\n"
        "    omni_model * model = NULL;\n"
        "    const omni_status status = omni_model_load(arguments[n - 1], NULL, &model);\n"
        "    puts(omni_last_error());\n"
        "    return status == OMNI_ERROR_INTERNAL && model == NULL ? 3 : 0;\n"
        "}\n"
    )
    options = [f"-I{get_include()}", f"-L{get_library()}", f"-Wl,-rpath,{get_library()}", "-lomniggml"]
    subprocess.run(["cc", tmp_path / "load.c", *options, "-o", tmp_path / "load"], check=True)
    command = ["qemu-x86_64", "-cpu", "Nehalem", tmp_path / "load", BUILT_IN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3, done
    assert "instructions that this CPU does not have (" in done.stdout and "avx2" in done.stdout
