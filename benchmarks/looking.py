"""The vision encoder of the published geometry against transformers on the CPU.

    pip install '.[reference]'
    python benchmarks/looking.py --threads 2 --side 768

The same patches of one image with the same number of threads in one run, in turn over the repetitions; printed are
medians, the median of the paired ratios, and how far the rows, deepstack's included, lie from those of transformers in
float32, which has the same random weights. Peaks of memory are of processes of their own, in which the engine loads and
looks once. Takes 6 GB of disk, in the user's cache directory, and some 8 GB of memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from measured_encoders import Encode, Encoder, FloatArray, measure

from omniggml import _native
from omniggml.benchmark.made_model import cache_directory
from omniggml.files.encoders import open_encoders
from omniggml.spec.encoder_tensors import VISION_PREFIX
from omniggml.synthetic.eyes import PUBLISHED_EYES
from omniggml.synthetic.random_encoders import EYES, RandomEncoders, write_random_encoders

WIDTH = 3 * 2 * PUBLISHED_EYES.patch_size**2


def file_of(type_: str) -> Path:
    path = cache_directory() / f"random-real-{type_}-eyes-mmproj.gguf"
    return path if path.exists() else write_random_encoders(path, EYES, type_)


def grid_of(patches: FloatArray) -> tuple[int, int, int]:
    side = round(len(patches) ** 0.5)
    return 1, side, side


class Eyes(Encoder):
    script = __file__

    def ours(self, type_: str, threads: int) -> Encode:
        encoders = _native.MediaEncoders(open_encoders(file_of(type_)).native, "cpu")
        session = _native.VisionEncoderSession(encoders, threads, None)

        def encode(patches: FloatArray) -> FloatArray:
            rows, deepstack = session.encode(patches, list(grid_of(patches)))
            return np.stack([rows, *deepstack])

        return encode

    def theirs(self, dtype: str, threads: int) -> Encode:
        import torch
        from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeVisionEncoderConfig
        from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeVisionEncoder

        torch.set_num_threads(threads)
        config = Qwen3OmniMoeVisionEncoderConfig(**vars(PUBLISHED_EYES))
        config._attn_implementation = "sdpa"
        encoder = Qwen3OmniMoeVisionEncoder(config)
        values = RandomEncoders(EYES)
        with torch.no_grad():
            for name, parameter in encoder.named_parameters():
                flat = np.concatenate(list(values.blocks(VISION_PREFIX + name)))
                parameter.copy_(torch.from_numpy(flat).reshape(parameter.shape))
        encoder = encoder.to(getattr(torch, dtype)).eval()

        def encode(patches: FloatArray) -> FloatArray:
            with torch.inference_mode():
                given = torch.from_numpy(patches).to(getattr(torch, dtype))
                out: Any = encoder(given, grid_thw=torch.tensor([grid_of(patches)]))
                rows: FloatArray = torch.stack([out.pooler_output, *out.deepstack_features]).float().numpy()
                return rows

        return encode

    def given(self, args: argparse.Namespace) -> FloatArray:
        across = args.side // PUBLISHED_EYES.patch_size
        return np.random.default_rng(0).normal(0, 0.7, (across * across, WIDTH)).astype(np.float32)

    def describe(self, args: argparse.Namespace) -> tuple[str, list[str]]:
        return f"an image of {args.side} x {args.side} pixels", ["--side", str(args.side)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--side", type=int, default=768, help="pixels, a multiple of 32")
    measure(Eyes(), parser)


if __name__ == "__main__":
    main()
