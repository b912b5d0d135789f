#include "capi/loading.h"

#include <atomic>

#include "capi/status.h"
#include "kernels/needed_instructions.h"

namespace omni {

namespace {

void check_cpu() {
    const std::string said = refusal();
    if (!said.empty()) {
        throw Error(ErrorKind::internal, said);
    }
}

// Where the program brings ggml, it may be another than the one whose headers this was compiled with.
void check_ggml() {
    const std::string running = ggml_version();
    if (running != OMNIGGML_GGML_VERSION) {
        throw Error(ErrorKind::internal, "the program runs ggml " + running + ", and omniggml was compiled against " +
                                             OMNIGGML_GGML_VERSION + ": build both with the same");
    }
}

}  // namespace

omni_status load_file(const char * path, const omni_model_params * params,
                      const std::function<void(const LoadRequest &)> & load) {
    std::atomic<bool> stopped{ false };
    const omni_status status = guarded([&] {
        check_cpu();
        check_ggml();
        required(path, "the path");
        const omni_model_params chosen = checked_params(params, omni_model_default_params());
        LoadRequest request{ std::make_shared<GgufFile>(path), chosen.device != nullptr ? chosen.device : "auto",
                             chosen.mmap, nullptr };
        if (chosen.progress != nullptr) {
            request.progress = [&](double part) {
                const bool goes_on = chosen.progress((float) part, chosen.progress_data);
                stopped            = stopped || !goes_on;
                return goes_on;
            };
        }
        load(request);
        return OMNI_OK;
    });
    return status != OMNI_OK && stopped ? OMNI_ERROR_STOPPED : status;
}

}  // namespace omni
