// What the encoders for audio and images ask of an mmproj file, and of the machine, alike.
#pragma once

#include <cstdint>
#include <string>

#include "ggml-backend.h"
#include "gguf/gguf_file.h"
#include "ops/conv_op.h"

namespace omni {

// Throws Error(file) unless the encoder of a part ("audio", "vision") is of that kind. A file with one encoder says its
// kind for the whole file, one with two says it for each.
void require_projector(const GgufFile & file, const std::string & part, const std::string & kind);

// The extent along one axis of a tensor by its name in the checkpoint. Throws Error(file) where there is no such
// tensor, and so no encoder of that part, or where it has more than `high`.
int64_t encoder_extent(const GgufFile & file, const std::string & part, const std::string & name, size_t axis,
                       int64_t high);

// The form that weights are multiplied in on a device, where what they are stored in leaves a choice: the faster one on
// this CPU, plain where it has no kernels of ours, on other devices, and where `plain` wants it so.
ConvForm encoder_form(ggml_backend_dev_t device, bool plain);

}  // namespace omni
