"""What a file says of the types in it as a whole, for programs that show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import prod

from gguf import GGML_QUANT_VERSION, LlamaFileType

from omniggml.gguf.metadata import Metadata, count
from omniggml.gguf.output_header import OutputTensor
from omniggml.gguf.type_names import PLAIN

_FILE_TYPES = {
    "F32": LlamaFileType.ALL_F32,
    "F16": LlamaFileType.MOSTLY_F16,
    "BF16": LlamaFileType.MOSTLY_BF16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q6_K": LlamaFileType.MOSTLY_Q6_K,
    "Q5_K": LlamaFileType.MOSTLY_Q5_K_M,
    "Q4_K": LlamaFileType.MOSTLY_Q4_K_M,
    "Q3_K": LlamaFileType.MOSTLY_Q3_K_M,
    "Q2_K": LlamaFileType.MOSTLY_Q2_K,
    "Q5_1": LlamaFileType.MOSTLY_Q5_1,
    "Q5_0": LlamaFileType.MOSTLY_Q5_0,
    "Q4_1": LlamaFileType.MOSTLY_Q4_1,
    "Q4_0": LlamaFileType.MOSTLY_Q4_0,
    "IQ4_NL": LlamaFileType.MOSTLY_IQ4_NL,
    "IQ4_XS": LlamaFileType.MOSTLY_IQ4_XS,
}


def type_entries(tensors: Iterable[OutputTensor]) -> Metadata:
    """`general.file_type`, of the type that most values have, and the quantizers' version where it matters."""
    sizes: Counter[str] = Counter()
    for tensor in tensors:
        sizes[tensor.type] += prod(tensor.shape)
    most = sizes.most_common(1)[0][0] if sizes else "F32"
    entries: Metadata = {"general.file_type": count(int(_FILE_TYPES.get(most, LlamaFileType.MOSTLY_F16)))}
    if any(type_ not in PLAIN for type_ in sizes):
        entries["general.quantization_version"] = count(GGML_QUANT_VERSION)
    return entries
