#include "models/encoder_file.h"

#include "core/fastest_conv.h"
#include "kernels/cpu_features.h"
#include "models/llama_names.h"

namespace omni {

void require_projector(const GgufFile & file, const std::string & part, const std::string & kind) {
    const std::string own   = "clip." + part + ".projector_type";
    const std::string found = file.string(file.find(own) != nullptr ? own : "clip.projector_type");
    if (found != kind) {
        file.fail("has the " + part + " encoder of the kind \"" + found + "\"; Qwen3-Omni's is \"" + kind + "\"");
    }
}

int64_t encoder_extent(const GgufFile & file, const std::string & part, const std::string & name, size_t axis,
                       int64_t high) {
    const std::string  stored = llama_encoder_name(name);
    const GgufTensor * tensor = file.find_tensor(stored);
    if (tensor == nullptr) {
        file.fail("lacks tensor " + stored + "; it holds no " + part + " encoder");
    }
    if (tensor->ne[axis] > high) {
        file.fail("has tensor " + stored + " with " + std::to_string(tensor->ne[axis]) +
                  " entries along an axis; up to " + std::to_string(high) + " can be run");
    }
    return tensor->ne[axis];
}

ConvForm encoder_form(ggml_backend_dev_t device, bool plain) {
    const bool on_cpu = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
    // Where there are no kernels of ours, ggml's are better than a plain loop.
    return on_cpu && !plain && best_simd() != Simd::generic ? faster_form(conv_times()) : ConvForm::plain;
}

}  // namespace omni
