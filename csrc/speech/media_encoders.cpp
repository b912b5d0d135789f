#include "speech/media_encoders.h"

#include "core/device.h"

namespace omni {

MediaEncoders::MediaEncoders(std::shared_ptr<const GgufFile> file, const std::string & device, bool map, bool plain) :
    MediaEncoders(std::move(file), find_device(device), map, plain) {
    weights_->load({});
}

void MediaEncoders::check(std::shared_ptr<const GgufFile> file) {
    MediaEncoders(std::move(file), find_device("CPU"), false, false).weights_->check();
}

MediaEncoders::MediaEncoders(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map, bool plain) :
    weights_(std::make_shared<Weights>(std::move(file), device, map)) {
    const GgufFile & f = weights_->file();
    if (f.boolean_or("clip.has_audio_encoder", false)) {
        audio_ = std::make_shared<AudioEncoder>(weights_, plain);
    }
    if (f.boolean_or("clip.has_vision_encoder", false)) {
        vision_ = std::make_shared<VisionEncoder>(weights_, plain);
    }
    if (audio_ == nullptr && vision_ == nullptr) {
        f.fail("holds no encoder of Qwen3-Omni's for audio or images");
    }
}

}  // namespace omni
