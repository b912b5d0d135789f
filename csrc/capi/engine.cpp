#include "speech/engine.h"

#include "capi/engine_handles.h"
#include "capi/status.h"

extern "C" {

omni_engine_params omni_engine_default_params(void) {
    const omni::EngineParams defaults;
    omni_engine_params       params{};
    params.abi_version = OMNI_ABI_VERSION;
    params.n_slots     = (int32_t) defaults.n_slots;
    params.n_threads   = defaults.n_threads;
    params.queue_limit = (int32_t) defaults.queue_limit;
    return params;
}

omni_status omni_engine_new(const omni_model * model, const omni_engine_params * params, omni_engine ** engine) {
    return omni::guarded([&] {
        omni::required(engine, "the place of the engine") = nullptr;
        const auto &       loaded                         = omni::required(model, "the model").loaded;
        const auto         chosen                         = omni::checked_params(params, omni_engine_default_params());
        omni::EngineParams own;
        own.n_slots     = chosen.n_slots;
        own.n_threads   = chosen.n_threads;
        own.queue_limit = chosen.queue_limit;
        own.probe       = omni::probe_of(chosen.probe);
        *engine         = new omni_engine{ loaded, std::make_unique<omni::SpeechEngine>(loaded->model(), own) };
        return OMNI_OK;
    });
}

void omni_engine_free(omni_engine * engine) {
    omni::guarded([&] {
        delete engine;
        return OMNI_OK;
    });
}

int64_t omni_engine_n_speaking(const omni_engine * engine) {
    return engine != nullptr ? engine->engine->n_speaking() : 0;
}

int64_t omni_engine_n_waiting(const omni_engine * engine) {
    return engine != nullptr ? engine->engine->n_waiting() : 0;
}
}
