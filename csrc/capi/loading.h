// What loading a speech file and loading a thinker have in common.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "capi/omniggml.h"
#include "core/weights.h"
#include "gguf/gguf_file.h"

namespace omni {

struct LoadRequest {
    std::shared_ptr<const GgufFile> file;
    std::string                     device;
    bool                            map;
    LoadProgress                    progress;
};

// Opens the file and calls `load`. OMNI_ERROR_STOPPED where the program's callback stopped it.
omni_status load_file(const char * path, const omni_model_params * params,
                      const std::function<void(const LoadRequest &)> & load);

}  // namespace omni
