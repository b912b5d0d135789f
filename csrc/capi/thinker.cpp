#include "models/thinker.h"

#include "capi/handles.h"
#include "capi/loading.h"
#include "capi/status.h"
#include "speech/text_generator.h"

struct omni_thinker {
    std::shared_ptr<const omni::Thinker> model;
};

struct omni_answer {
    omni::TextGenerator generator;
};

namespace {

omni::TextParams text_params(const omni_answer_params & params) {
    omni::TextParams out;
    out.sampling   = { params.temperature != 0.0f, params.temperature != 0.0f ? params.temperature : 1.0f, params.top_k,
                       params.top_p, params.repetition_penalty };
    out.seed       = params.seed;
    out.max_tokens = params.max_tokens;
    for (size_t i = 0; i < params.n_stop_tokens; ++i) {
        out.stop_tokens.insert((&omni::required(params.stop_tokens, "the list of stop tokens"))[i]);
    }
    return out;
}

}  // namespace

extern "C" {

omni_status omni_thinker_load(const char * path, const omni_model_params * params, omni_thinker ** thinker) {
    return omni::load_file(path, params, [&](const omni::LoadRequest & request) {
        omni::required(thinker, "the place of the thinker") = nullptr;
        *thinker = new omni_thinker{ std::make_shared<const omni::Thinker>(request.file, request.device, request.map,
                                                                           request.progress) };
    });
}

void omni_thinker_free(omni_thinker * thinker) {
    delete thinker;
}

omni_answer_params omni_answer_default_params(const omni_thinker * thinker) {
    const omni::SamplingParams sampling =
        thinker != nullptr ? thinker->model->geometry().sampling : omni::SamplingParams{};
    omni_answer_params params{};
    params.abi_version        = OMNI_ABI_VERSION;
    params.max_tokens         = omni::TextParams{}.max_tokens;
    params.temperature        = sampling.sample ? sampling.temperature : 0.0f;
    params.top_k              = (int32_t) sampling.top_k;
    params.top_p              = sampling.top_p;
    params.repetition_penalty = sampling.repetition_penalty;
    return params;
}

omni_status omni_answer_begin(const omni_thinker * thinker, const int32_t * prompt, size_t n_prompt,
                              const omni_answer_params * params, omni_answer ** answer) {
    return omni::guarded([&] {
        omni::required(answer, "the place of the answer") = nullptr;
        const auto & model                                = omni::required(thinker, "the thinker").model;
        const auto   chosen = omni::checked_params(params, omni_answer_default_params(thinker));
        if (n_prompt == 0) {
            throw omni::Error(omni::ErrorKind::input, "the prompt is empty");
        }
        const std::vector<int32_t> ids(&omni::required(prompt, "the prompt"), prompt + n_prompt);
        auto session = std::make_shared<omni::ThinkerSession>(model, chosen.n_threads, omni::probe_of(chosen.probe));
        *answer      = new omni_answer{ omni::TextGenerator(std::move(session), ids, text_params(chosen)) };
        return OMNI_OK;
    });
}

omni_status omni_answer_next(omni_answer * answer, int32_t * id) {
    return omni::guarded([&] {
        omni::required(id, "the place of the token") = omni::required(answer, "the answer").generator.next();
        return *id < 0 ? OMNI_END : OMNI_OK;
    });
}

void omni_answer_free(omni_answer * answer) {
    delete answer;
}
}
