// Keys and values of past positions, and the inputs by which a graph writes and reads them.
//
// Rows are written with ggml_set_rows at positions that are inputs, so one graph serves every position. Keys lie as
// [width, slot, sequence]; values lie transposed, [slot, width, sequence], since attention sums over slots. With a
// window the slots form a ring: position p lies in slot p mod capacity.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/device.h"
#include "core/graph.h"

namespace omni {

class KvCache {
  public:
    // width: key/value heads x head size. n_sequences share graphs but not positions.
    KvCache(const Backends & backends, int n_layers, int64_t width, int64_t capacity, int64_t n_sequences);

    ggml_tensor * keys(int layer) const { return keys_[(size_t) layer]; }

    ggml_tensor * values(int layer) const { return values_[(size_t) layer]; }

    int64_t capacity() const { return capacity_; }

    int64_t width() const { return width_; }

    size_t nbytes() const { return store_.nbytes(); }

    // A cache of more slots with the same content (no ring).
    KvCache grown(const Backends & backends, int64_t capacity) const;

    // Two sequences change places, as far as their first n positions (no ring).
    void exchange(const Backends & backends, int64_t a, int64_t b, int64_t n_positions) const;

    // Forgets what was computed from NaN: masked slots weigh 0, and 0 x NaN is NaN.
    void clear(int64_t sequence) const;

  private:
    int64_t                    width_;
    int64_t                    capacity_;
    int64_t                    n_sequences_;
    TensorStore                store_;
    std::vector<ggml_tensor *> keys_;
    std::vector<ggml_tensor *> values_;
};

// Which slots a run of `n_tokens` new positions a sequence writes, and which it sees.
class KvInputs {
  public:
    // The graph sees the first n_slots slots of n_sequences sequences from first_sequence on. `n_axes`: of a position,
    // 1 or, where positions rotate by axes of their own, 4.
    KvInputs(Graph & graph, const KvCache & cache, int64_t n_tokens, int64_t n_slots, int64_t first_sequence,
             int64_t n_sequences, int64_t n_axes = 1);

    // starts[s]: position of the first new token of sequence s. window 0: everything before is seen.
    void set(Graph & graph, const std::vector<int64_t> & starts, int64_t window) const;

    // The same with positions that rotate apart from the slots: [n_axes, n_sequences, n_tokens].
    void set(Graph & graph, const std::vector<int64_t> & starts, int64_t window,
             const std::vector<int32_t> & rotated) const;

    // New keys and values, [width, n_tokens, n_sequences], into the cache; then the seen part of it:
    // keys [width, n_slots, n_sequences], values [n_slots, width, n_sequences].
    ggml_tensor * write_keys(ggml_context * context, int layer, ggml_tensor * k) const;
    ggml_tensor * write_values(ggml_context * context, int layer, ggml_tensor * v) const;

    ggml_tensor * positions;  // I32 [n_tokens * n_sequences * n_axes]
    ggml_tensor * mask;       // F32 [n_slots, n_tokens, 1, n_sequences]
    int64_t       n_tokens;
    int64_t       n_slots;
    int64_t       n_sequences;
    int64_t       n_axes;

  private:
    const KvCache * cache_;
    int64_t         first_sequence_;
    ggml_tensor *   key_rows_;     // I32 [n_tokens, n_sequences]
    ggml_tensor *   value_cells_;  // I32 [n_tokens * width, n_sequences]
};

}  // namespace omni
