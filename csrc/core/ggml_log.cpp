#include "core/ggml_log.h"

#include <cstdio>
#include <cstring>
#include <mutex>

namespace omni {

namespace {

struct Listener {
    std::mutex        mutex;
    ggml_log_callback callback = nullptr;
    void *            data     = nullptr;
};

Listener & listener() {
    static auto * const one = new Listener;  // outlives every thread that may still log
    return *one;
}

// The newest error with its reason; lines that follow it say where it was.
thread_local char newest[256] = "";

void read_along(ggml_log_level level, const char * text, void * /*data*/) {
    if (level == GGML_LOG_LEVEL_ERROR && std::strstr(text, " error: ") != nullptr) {
        std::snprintf(newest, sizeof(newest), "%s", text);
    }
    ggml_log_callback callback = nullptr;
    void *            data     = nullptr;
    {
        std::lock_guard<std::mutex> lock(listener().mutex);
        callback = listener().callback;
        data     = listener().data;
    }
    callback(level, text, data);
}

}  // namespace

void read_along_with_ggml() {
    std::lock_guard<std::mutex> lock(listener().mutex);
    ggml_log_callback           callback = nullptr;
    void *                      data     = nullptr;
    ggml_log_get(&callback, &data);
    if (callback != read_along) {
        listener().callback = callback;
        listener().data     = data;
        ggml_log_set(read_along, nullptr);
    }
}

void listen_to_ggml(ggml_log_callback callback, void * data) {
    ggml_log_set(callback, data);  // which puts its own in the place of none
    read_along_with_ggml();
}

const char * error_logged(const char * what) {
    static thread_local char asked_for[sizeof(newest)];
    const size_t             length = std::strlen(what);
    std::snprintf(asked_for, sizeof(asked_for), "%.*s", (int) std::strcspn(newest, "\r\n"), newest);
    newest[0] = '\0';
    return std::strncmp(asked_for, what, length) == 0 && asked_for[length] == ':' ? asked_for : "";
}

}  // namespace omni
