#include "models/speech_model.h"

#include "error/error.h"

namespace omni {

namespace {

constexpr int64_t k_format_version = 1;

std::unique_ptr<Weights> open_weights(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map) {
    const std::string arch = file->string("general.architecture");
    if (arch != k_speech_arch) {
        file->fail("has the architecture \"" + arch + "\"; a speech file is \"" + k_speech_arch + "\"");
    }
    file->integer(k_speech_prefix + "format_version", k_format_version, k_format_version);
    return std::make_unique<Weights>(std::move(file), device, map);
}

ConvForm vocoder_form(const Weights & weights, ggml_backend_dev_t device, VocoderPrecision precision) {
    if (precision == VocoderPrecision::plain) {
        return ConvForm::plain;
    }
    const bool     on_cpu    = ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU;
    const bool     automatic = precision == VocoderPrecision::automatic;
    const bool     stored    = automatic && weights.stored_type("code2wav.decoder.0.conv.weight") == GGML_TYPE_F32;
    const ConvForm form      = choose_conv_form(on_cpu, stored || precision == VocoderPrecision::f32);
    if (precision == VocoderPrecision::bf16 && form != ConvForm::bf16) {
        throw Error(ErrorKind::input,
                    "this device has no fast bfloat16 products; let the vocoder's precision be \"auto\"");
    }
    return form;
}

}  // namespace

SpeechModel::SpeechModel(const std::string & path, const std::string & device, VocoderPrecision precision, bool map) :
    SpeechModel(std::make_shared<GgufFile>(path), device, precision, map) {}

SpeechModel::SpeechModel(std::shared_ptr<const GgufFile> file, const std::string & device, VocoderPrecision precision,
                         bool map) :
    SpeechModel(std::move(file), find_device(device), precision, map) {
    weights_->load();
}

void SpeechModel::check(std::shared_ptr<const GgufFile> file) {
    SpeechModel(std::move(file), find_device("CPU"), VocoderPrecision::automatic, false).weights_->check();
}

SpeechModel::SpeechModel(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, VocoderPrecision precision,
                         bool map) :
    device_(device),
    weights_(open_weights(std::move(file), device_, map)),
    talker_(*weights_),
    predictor_(*weights_),
    code2wav_(*weights_, vocoder_form(*weights_, device_, precision)) {
    check_parts_agree();
}

void SpeechModel::check_parts_agree() const {
    const GgufFile & f         = file();
    const auto &     talker    = talker_.geometry();
    const auto &     predictor = predictor_.geometry();
    const auto &     vocoder   = code2wav_.geometry();
    if (talker.decoder.hidden != predictor.decoder.hidden) {
        f.fail("has a talker of width " + std::to_string(talker.decoder.hidden) + " and a code predictor of width " +
               std::to_string(predictor.decoder.hidden) + "; they must be equal");
    }
    if (predictor.n_groups != vocoder.n_groups) {
        f.fail("predicts " + std::to_string(predictor.n_groups) + " code groups, but its code2wav reads " +
               std::to_string(vocoder.n_groups));
    }
    if (talker.vocab - talker.suppressed_tail > vocoder.codebook_size || predictor.vocab > vocoder.codebook_size) {
        f.fail("can speak codes up to " +
               std::to_string(std::max(talker.vocab - talker.suppressed_tail, predictor.vocab) - 1) +
               ", but its code2wav has a codebook of " + std::to_string(vocoder.codebook_size));
    }
}

}  // namespace omni
