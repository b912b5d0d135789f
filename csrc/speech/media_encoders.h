// An mmproj file: the encoders that turn audio and images into rows for the thinker.
//
// The one file that knows which encoders there are.
#pragma once

#include <memory>
#include <string>

#include "models/audio_encoder.h"
#include "models/vision_encoder.h"

namespace omni {

class MediaEncoders {
  public:
    // `map`: see Weights. `plain`: ordinary ggml nodes on the CPU, too.
    MediaEncoders(std::shared_ptr<const GgufFile> file, const std::string & device, bool map, bool plain);

    // Throws what loading would throw, short of reading values. Allocates next to nothing.
    static void check(std::shared_ptr<const GgufFile> file);

    const GgufFile & file() const { return weights_->file(); }

    // Null where the file holds none.
    const std::shared_ptr<const AudioEncoder> & audio() const { return audio_; }

    const std::shared_ptr<const VisionEncoder> & vision() const { return vision_; }

    // Whether all of it is computed by this machine's CPU.
    bool on_cpu() const { return ggml_backend_dev_type(weights_->device()) == GGML_BACKEND_DEVICE_TYPE_CPU; }

    // Bytes of weights.
    size_t nbytes() const { return weights_->nbytes(); }

  private:
    MediaEncoders(std::shared_ptr<const GgufFile> file, ggml_backend_dev_t device, bool map, bool plain);

    std::shared_ptr<Weights>             weights_;
    std::shared_ptr<const AudioEncoder>  audio_;
    std::shared_ptr<const VisionEncoder> vision_;
};

}  // namespace omni
