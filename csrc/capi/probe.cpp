#include "capi/handles.h"
#include "capi/status.h"

extern "C" {

omni_status omni_probe_new(const char * const * patterns, size_t n_patterns, omni_probe_callback callback,
                           void * user_data, omni_probe ** probe) {
    return omni::guarded([&] {
        omni::required(probe, "the place of the probe") = nullptr;
        if (callback == nullptr) {
            throw omni::Error(omni::ErrorKind::input, "a probe without a callback has nobody to tell");
        }
        std::vector<std::string> wanted;
        for (size_t i = 0; i < n_patterns; ++i) {
            wanted.emplace_back(&omni::required((&omni::required(patterns, "the list of patterns"))[i], "a pattern"));
        }
        auto made = std::make_shared<omni::Probe>(std::move(wanted));
        made->send_to([=](const std::string & name, omni::Axes, const omni::ProbeChunk & chunk) {
            const int64_t shape[4] = { chunk.batch, chunk.time, chunk.heads, chunk.channels / chunk.heads };
            callback(name.c_str(), shape, chunk.values.data(), user_data);
        });
        *probe = new omni_probe{ std::move(made) };
        return OMNI_OK;
    });
}

void omni_probe_free(omni_probe * probe) {
    delete probe;
}
}
