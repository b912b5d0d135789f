#include "capi/handles.h"
#include "capi/loading.h"
#include "capi/status.h"
#include "core/device.h"

namespace omni {

LoadedModel::LoadedModel(std::shared_ptr<const SpeechModel> model) : model_(std::move(model)) {
    if (model_->speaks()) {
        for (const auto & [name, id] : model_->talker()->geometry().speakers) {
            speakers_.push_back(name);
        }
        default_speaker_ = model_->default_speaker();
    }
}

std::shared_ptr<const TextTokenizer> LoadedModel::tokenizer() const {
    std::lock_guard<std::mutex> lock(mutex_);
    if (tokenizer_ == nullptr) {
        tokenizer_ = std::make_shared<TextTokenizer>(read_vocabulary(model_->file()));
    }
    return tokenizer_;
}

namespace {

VocoderPrecision precision_of(int32_t precision) {
    switch (precision) {
        case OMNI_PRECISION_AUTO: return VocoderPrecision::automatic;
        case OMNI_PRECISION_F32: return VocoderPrecision::f32;
        case OMNI_PRECISION_BF16: return VocoderPrecision::bf16;
        case OMNI_PRECISION_PLAIN: return VocoderPrecision::plain;
        default: throw Error(ErrorKind::input, "there is no precision " + std::to_string(precision));
    }
}

void refuse_foreign(const GgufFile & file) {
    if (!SpeechModel::is_speech_file(file)) {
        file.fail("is no speech file of omniggml's; other families open in Python, and `omniggml convert` or `omniggml "
                  "quantize` writes what the C interface loads");
    }
}

const Code2WavGeometry & geometry_of(const omni_model * model) {
    return model->loaded->model()->code2wav()->geometry();
}

}  // namespace

}  // namespace omni

extern "C" {

uint32_t omni_abi_version(void) {
    return OMNI_ABI_VERSION;
}

const char * omni_version(void) {
    return OMNIGGML_VERSION;
}

const char * omni_ggml_version(void) {
    return ggml_version();
}

const char * omni_device_name(int32_t index) {
    static const std::vector<omni::DeviceInfo> devices = [] {
        std::vector<omni::DeviceInfo> found;
        omni::guarded([&] {
            found = omni::list_devices();
            return OMNI_OK;
        });
        return found;
    }();
    return index >= 0 && (size_t) index < devices.size() ? devices[(size_t) index].name.c_str() : nullptr;
}

omni_model_params omni_model_default_params(void) {
    omni_model_params params{};
    params.abi_version = OMNI_ABI_VERSION;
    params.precision   = OMNI_PRECISION_AUTO;
    params.mmap        = true;
    return params;
}

omni_status omni_model_load(const char * path, const omni_model_params * params, omni_model ** model) {
    return omni::load_file(path, params, [&](const omni::LoadRequest & request) {
        omni::required(model, "the place of the model") = nullptr;
        omni::refuse_foreign(*request.file);
        const auto precision = omni::precision_of(params != nullptr ? params->precision : OMNI_PRECISION_AUTO);
        auto loaded = std::make_shared<const omni::SpeechModel>(request.file, request.device, precision, request.map,
                                                                request.progress);
        *model      = new omni_model{ std::make_shared<const omni::LoadedModel>(std::move(loaded)) };
    });
}

void omni_model_free(omni_model * model) {
    delete model;
}

bool omni_model_speaks(const omni_model * model) {
    return model != nullptr && model->loaded->model()->speaks();
}

const char * omni_model_speaker(const omni_model * model, int32_t index) {
    if (model == nullptr || index < 0 || (size_t) index >= model->loaded->speakers().size()) {
        return nullptr;
    }
    return model->loaded->speakers()[(size_t) index].c_str();
}

const char * omni_model_default_speaker(const omni_model * model) {
    return omni_model_speaks(model) ? model->loaded->default_speaker().c_str() : nullptr;
}

int32_t omni_model_sample_rate(const omni_model * model) {
    return model != nullptr ? (int32_t) omni::geometry_of(model).sample_rate : 0;
}

int32_t omni_model_n_groups(const omni_model * model) {
    return model != nullptr ? (int32_t) omni::geometry_of(model).n_groups : 0;
}

int32_t omni_model_codebook_size(const omni_model * model) {
    return model != nullptr ? (int32_t) omni::geometry_of(model).codebook_size : 0;
}

int64_t omni_model_n_samples(const omni_model * model, int64_t n_frames) {
    return model != nullptr && n_frames > 0 ? omni::geometry_of(model).n_samples(n_frames) : 0;
}

uint64_t omni_model_nbytes(const omni_model * model) {
    return model != nullptr ? model->loaded->model()->nbytes() : 0;
}
}
