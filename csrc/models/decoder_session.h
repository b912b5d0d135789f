// What the sessions of decoders share: a cache that grows with the text, attention windows that grow in steps, and the
// checks of what comes in and goes out.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/decoder.h"

namespace omni {

// A graph, and its inputs for a cache.
struct DecoderGraph {
    // The graph sees the first n_slots slots of n_sequences sequences from first_sequence on.
    DecoderGraph(const Backends & backends, Probe * probe, const KvCache & cache, int64_t n_tokens, int64_t n_slots,
                 int64_t first_sequence, int64_t n_sequences, int64_t n_axes = 1) :
        graph(backends, probe),
        kv(graph, cache, n_tokens, n_slots, first_sequence, n_sequences, n_axes) {}

    Graph    graph;
    KvInputs kv;
};

// A cache without a ring, as large as the longest sequence has needed so far.
class GrowingCache {
  public:
    // `backends` must outlive this.
    GrowingCache(const Backends & backends, const DecoderGeometry & geometry, int64_t n_sequences) :
        backends_(backends),
        geometry_(geometry),
        n_sequences_(n_sequences) {}

    // Makes room for n positions. Where that moves the cache, `before_moving` is called first, to drop the graphs over
    // the old one.
    void reserve(int64_t n_positions, const std::function<void()> & before_moving);

    // Slots that a graph sees which computes up to n positions: in steps, so that decoding reuses its graph.
    int64_t window(int64_t n_positions) const;

    // After the first `reserve`.
    const KvCache & cache() const { return *cache_; }

    // See KvCache.
    void exchange(int64_t a, int64_t b, int64_t n_positions) const {
        if (cache_ && n_positions > 0) {
            cache_->exchange(backends_, a, b, n_positions);
        }
    }

    void clear(int64_t sequence) const {
        if (cache_) {
            cache_->clear(sequence);
        }
    }

    size_t nbytes() const { return cache_ ? cache_->nbytes() : 0; }

  private:
    const Backends &         backends_;
    const DecoderGeometry &  geometry_;
    int64_t                  n_sequences_;
    std::unique_ptr<KvCache> cache_;
};

// How many sizes of batch a session keeps the graphs of.
constexpr size_t k_batch_sizes = 8;

// Tokens that are computed at once.
constexpr int64_t k_stretch = 512;

// Calls step(first, count) for each stretch of n tokens.
void for_each_stretch(int64_t n, const std::function<void(int64_t first, int64_t count)> & step);

inline bool is_id(int32_t id, int64_t size) {
    return id >= 0 && id < size;
}

// Throws Error(input): `what` ("code") `id` `where` (" of group 3") is outside of 0 to size - 1.
[[noreturn]] void refuse_id(int32_t id, int64_t size, const std::string & what, const std::string & where = "");

// Refuses the first that is none.
void check_ids(const std::vector<int32_t> & ids, int64_t size, const std::string & what);

// Throws Error(input) where `part` ("talker") can't hold so many positions. `what` needs them: "the speech".
void check_room(int64_t n_positions, const DecoderGeometry & geometry, const std::string & part,
                const std::string & what);

// Throws Error(input) for a number of sequences that no batch has; else returns it.
int64_t checked_batch(int64_t n_sequences);

// Throws Error(numeric) for NaN and infinity. `part` ("talker") made these logits.
void check_logits(const float * logits, size_t n, const std::string & part, const GgufFile & file);

}  // namespace omni
