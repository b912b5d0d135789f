"""What a GGUF file will hold: each tensor's name, shape, type, and the checkpoint tensors it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

from omniggml.files.families import Layout
from omniggml.gguf.output_header import OutputTensor
from omniggml.gguf.type_names import nbytes_of
from omniggml.spec.expected_tensors import Named, stack_experts, thinker_tensors
from omniggml.spec.llama_names import llama_name
from omniggml.spec.model_config import ModelConfig, ThinkerConfig
from omniggml.spec.policy import Policy
from omniggml.spec.speech_file import short_name, speech_file_tensors


@dataclass(frozen=True)
class StackedTensor:
    """One tensor of a file. `shape` is PyTorch's; several `sources` are stacked along a new first axis. `layout`: what
    the file has in the place of the checkpoint's values."""

    name: str
    shape: tuple[int, ...]
    type: str
    sources: tuple[str, ...]
    layout: Layout = Layout.SAME

    def as_output(self) -> OutputTensor:
        """The tensor as the file's header lists it."""
        return OutputTensor(self.name, self.shape, self.type, nbytes_of(self.type, prod(self.shape)))


def speech_file_outputs(config: ModelConfig, policy: Policy) -> list[StackedTensor]:
    """Tensors of a speech file: checkpoint names, experts stacked, types by `policy`."""
    return _outputs(speech_file_tensors(config), policy, short_name)


def thinker_file_outputs(thinker: ThinkerConfig, policy: Policy) -> list[StackedTensor]:
    """Tensors of a thinker file under llama.cpp's names, experts stacked, types by `policy`."""
    return _outputs(thinker_tensors(thinker), policy, llama_name)


def _outputs(tensors: Iterable[Named], policy: Policy, rename: Callable[[str], str]) -> list[StackedTensor]:
    return [
        StackedTensor(rename(name), stack.shape, policy.type_of(name, stack.shape), stack.sources)
        for name, stack in stack_experts(tensors).items()
    ]
