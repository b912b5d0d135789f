#include "models/decoder_session.h"

#include <algorithm>

#include "core/finite.h"
#include "error/error.h"

namespace omni {

namespace {

constexpr int64_t k_window_step   = 64;
constexpr int64_t k_first_slots   = 256;
constexpr int64_t k_largest_batch = 1024;

}  // namespace

void GrowingCache::reserve(int64_t n_positions, const std::function<void()> & before_moving) {
    if (cache_ && cache_->capacity() >= n_positions) {
        return;
    }
    int64_t capacity = cache_ ? cache_->capacity() : k_first_slots;
    while (capacity < n_positions) {
        capacity *= 2;
    }
    before_moving();
    cache_ =
        cache_ ? std::make_unique<KvCache>(cache_->grown(backends_, capacity))
               : std::make_unique<KvCache>(backends_, geometry_.n_layers, geometry_.kv_width(), capacity, n_sequences_);
}

int64_t GrowingCache::window(int64_t n_positions) const {
    return std::min(cache_->capacity(), (n_positions + k_window_step - 1) / k_window_step * k_window_step);
}

void for_each_stretch(int64_t n, const std::function<void(int64_t first, int64_t count)> & step) {
    for (int64_t first = 0; first < n; first += k_stretch) {
        step(first, std::min(k_stretch, n - first));
    }
}

void refuse_id(int32_t id, int64_t size, const std::string & what, const std::string & where) {
    throw Error(ErrorKind::input,
                what + " " + std::to_string(id) + where + " is outside of 0 to " + std::to_string(size - 1));
}

void check_ids(const std::vector<int32_t> & ids, int64_t size, const std::string & what) {
    for (int32_t id : ids) {
        if (!is_id(id, size)) {
            refuse_id(id, size, what);
        }
    }
}

void check_room(int64_t n_positions, const DecoderGeometry & g, const std::string & part, const std::string & what) {
    if (n_positions > g.context) {
        throw Error(ErrorKind::input, what + " needs " + std::to_string(n_positions) + " positions; the " + part +
                                          "'s context holds " + std::to_string(g.context) + "; use a shorter text");
    }
}

int64_t checked_batch(int64_t n_sequences) {
    if (n_sequences < 1 || n_sequences > k_largest_batch) {
        throw Error(ErrorKind::input, "a batch holds 1 to " + std::to_string(k_largest_batch) + " speeches");
    }
    return n_sequences;
}

void check_logits(const float * logits, size_t n, const std::string & part, const GgufFile & file) {
    if (!all_finite(logits, n)) {
        throw Error(ErrorKind::numeric, "the " + part + "'s logits are NaN or infinite; the weights of " + file.path() +
                                            " are damaged or overflow");
    }
}

}  // namespace omni
