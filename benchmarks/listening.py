"""The audio encoder of the published geometry against transformers on the CPU.

    pip install '.[reference]'
    python benchmarks/listening.py --threads 2 --seconds 30

The same log-mel features with the same number of threads in one run, in turn over the repetitions; printed are medians,
the median of the paired ratios, and how far the rows lie from those of transformers in float32, which has the same
random weights. Peaks of memory are of processes of their own, in which the engine loads and listens once. Takes 6 GB of
disk, in the user's cache directory, and some 8 GB of memory.
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
from omniggml.spec.encoder_tensors import AUDIO_POSITIONS, AUDIO_PREFIX
from omniggml.spec.llama_names import encoder_name
from omniggml.synthetic.ears import PUBLISHED_EARS
from omniggml.synthetic.random_encoders import EARS, write_random_encoders

FRAMES_A_SECOND = 100


def file_of(type_: str) -> Path:
    path = cache_directory() / f"random-real-{type_}-mmproj.gguf"
    return path if path.exists() else write_random_encoders(path, EARS, type_)


class Ears(Encoder):
    script = __file__

    def ours(self, type_: str, threads: int) -> Encode:
        encoders = _native.MediaEncoders(open_encoders(file_of(type_)).native, "cpu")
        return _native.AudioEncoderSession(encoders, threads, None).encode

    def theirs(self, dtype: str, threads: int) -> Encode:
        import gguf
        import torch
        from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeAudioEncoderConfig
        from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeAudioEncoder

        torch.set_num_threads(threads)
        config = Qwen3OmniMoeAudioEncoderConfig(**vars(PUBLISHED_EARS))
        config._attn_implementation = "sdpa"
        with torch.device("meta"):
            encoder = Qwen3OmniMoeAudioEncoder(config)
        encoder.to_empty(device="cpu")
        values = {tensor.name: tensor.data for tensor in gguf.GGUFReader(file_of("f32")).tensors}
        with torch.no_grad():
            for name, parameter in encoder.named_parameters():
                stored = values[encoder_name(AUDIO_PREFIX + name)]
                parameter.copy_(torch.from_numpy(np.array(stored)).reshape(parameter.shape))
            table = np.array(values[encoder_name(AUDIO_POSITIONS)])
            encoder.positional_embedding.positional_embedding.copy_(torch.from_numpy(table))
        encoder = encoder.to(getattr(torch, dtype)).eval()

        def encode(features: FloatArray) -> FloatArray:
            with torch.inference_mode():
                given = torch.from_numpy(features).to(getattr(torch, dtype))
                out: Any = encoder(given, feature_lens=torch.tensor([features.shape[1]]))
                rows: FloatArray = out.last_hidden_state.float().numpy()
                return rows

        return encode

    def given(self, args: argparse.Namespace) -> FloatArray:
        rng = np.random.default_rng(0)
        shape = (PUBLISHED_EARS.num_mel_bins, round(FRAMES_A_SECOND * args.seconds))
        return rng.normal(0, 0.7, shape).astype(np.float32)

    def describe(self, args: argparse.Namespace) -> tuple[str, list[str]]:
        return f"{args.seconds:g} s of audio", ["--seconds", str(args.seconds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0, help="of audio")
    measure(Ears(), parser)


if __name__ == "__main__":
    main()
