#include <mutex>

#include "capi/omniggml.h"
#include "core/ggml_log.h"

namespace {

struct Listener {
    std::mutex        mutex;
    omni_log_callback callback  = nullptr;
    void *            user_data = nullptr;
};

Listener & listener() {
    static auto * const one = new Listener;  // outlives every thread that may still log
    return *one;
}

void pass_on(ggml_log_level level, const char * text, void * /*user_data*/) {
    std::lock_guard<std::mutex> lock(listener().mutex);
    if (listener().callback != nullptr) {
        listener().callback((int32_t) level, text, listener().user_data);
    }
}

}  // namespace

extern "C" {

void omni_log_set(omni_log_callback callback, void * user_data) {
    {
        std::lock_guard<std::mutex> lock(listener().mutex);
        listener().callback  = callback;
        listener().user_data = user_data;
    }
    omni::listen_to_ggml(callback != nullptr ? pass_on : nullptr, nullptr);
}
}
