// The front end of the audio encoder: samples [n] at 16 kHz -> log-mel features [mels, frames].
//
// Reference: WhisperFeatureExtractor as Qwen3-Omni's processor calls it: windows of 400 samples (periodic Hann) every
// 160, centred and reflected at both ends, power, Slaney's mel filters from 0 to 8000 Hz, log10 of at least 1e-10, the
// last frame left out, at least the clip's maximum less 8, then (x + 4) / 4. The maximum is the whole clip's, so that
// features of a part are not part of the features.
#pragma once

#include <cstdint>
#include <vector>

namespace omni {

constexpr int64_t k_mel_sample_rate = 16000;
constexpr int64_t k_mel_hop         = 160;
constexpr int64_t k_mel_window      = 400;

// Fewer can't be reflected by half a window.
constexpr int64_t k_least_samples = k_mel_window / 2 + 1;

// Frames of n samples: n / 160.
inline int64_t n_mel_frames(int64_t n_samples) {
    return n_samples / k_mel_hop;
}

// [mels, frames]. The same bits whatever the number of threads (0: as many as there are cores). Throws Error(input) for
// fewer than k_least_samples samples, for NaN and infinity, and for a number of mels that no model has.
std::vector<float> log_mel(const std::vector<float> & samples, int64_t n_mels, int n_threads);

}  // namespace omni
