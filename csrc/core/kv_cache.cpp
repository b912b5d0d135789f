#include "core/kv_cache.h"

#include <cmath>
#include <limits>
#include <utility>

#include "error/error.h"

namespace omni {

KvCache::KvCache(const Backends & backends, int n_layers, int64_t width, int64_t capacity, int64_t n_sequences) :
    width_(width),
    capacity_(capacity),
    n_sequences_(n_sequences),
    store_((size_t) n_layers * 2, "the key-value cache of " + std::to_string(capacity) + " positions") {
    // Cells are addressed by int32.
    if (width > std::numeric_limits<int32_t>::max() / capacity) {
        throw Error(ErrorKind::input, "a key-value cache of " + std::to_string(capacity) + " positions of width " +
                                          std::to_string(width) + " is too large; use a shorter text");
    }
    for (int i = 0; i < n_layers; ++i) {
        keys_.push_back(ggml_new_tensor_3d(store_.context(), GGML_TYPE_F32, width, capacity, n_sequences));
        values_.push_back(ggml_new_tensor_3d(store_.context(), GGML_TYPE_F32, capacity, width, n_sequences));
    }
    store_.allocate(backends.device_buffer_type(), GGML_BACKEND_BUFFER_USAGE_ANY);
    // Slots that were never written are masked, but 0 x garbage could still be NaN.
    store_.clear();
}

KvCache KvCache::grown(const Backends & backends, int64_t capacity) const {
    KvCache larger(backends, (int) keys_.size(), width_, capacity, n_sequences_);
    Graph   graph(backends, nullptr);
    for (size_t i = 0; i < keys_.size(); ++i) {
        ggml_context * c = graph.context();
        ggml_tensor *  k = larger.keys_[i];
        ggml_tensor *  v = larger.values_[i];
        graph.effect(ggml_cpy(c, keys_[i], ggml_view_3d(c, k, width_, capacity_, n_sequences_, k->nb[1], k->nb[2], 0)));
        graph.effect(
            ggml_cpy(c, values_[i], ggml_view_3d(c, v, capacity_, width_, n_sequences_, v->nb[1], v->nb[2], 0)));
    }
    graph.finish();
    graph.compute();
    return larger;
}

namespace {

// The first n positions of a sequence's keys [width, n] or values [n, width].
ggml_tensor * positions_of(ggml_context * c, ggml_tensor * x, int64_t sequence, int64_t n0, int64_t n1) {
    return ggml_view_2d(c, x, n0, n1, x->nb[1], (size_t) sequence * x->nb[2]);
}

}  // namespace

void KvCache::exchange(const Backends & backends, int64_t a, int64_t b, int64_t n_positions) const {
    const auto view = [&](ggml_context * c, size_t layer, bool keys, int64_t sequence) {
        return keys ? positions_of(c, keys_[layer], sequence, width_, n_positions)
                    : positions_of(c, values_[layer], sequence, n_positions, width_);
    };
    // Two computations, so that no order of nodes can matter: all is read before any is written.
    Graph                      reading(backends, nullptr);
    std::vector<ggml_tensor *> read;
    for (size_t i = 0; i < keys_.size(); ++i) {
        for (const bool keys : { true, false }) {
            for (const int64_t sequence : { a, b }) {
                ggml_context * c = reading.context();
                read.push_back(reading.output(ggml_cont(c, view(c, i, keys, sequence))));
            }
        }
    }
    reading.finish();
    reading.compute();
    Graph                      writing(backends, nullptr);
    std::vector<ggml_tensor *> written;
    for (size_t i = 0; i < keys_.size(); ++i) {
        for (const bool keys : { true, false }) {
            for (const int64_t sequence : { b, a }) {
                ggml_context * c  = writing.context();
                ggml_tensor *  to = view(c, i, keys, sequence);
                written.push_back(writing.input(GGML_TYPE_F32, { to->ne[0], to->ne[1] }));
                writing.effect(ggml_cpy(c, written.back(), to));
            }
        }
    }
    writing.finish();
    for (size_t i = 0; i < read.size(); ++i) {
        const auto values = reading.read(read[i]);
        writing.set(written[i], values.data(), values.size() * sizeof(float));
    }
    writing.compute();
}

void KvCache::clear(int64_t sequence) const {
    const std::vector<char> zeros((size_t) capacity_ * (size_t) width_ * sizeof(float), 0);
    for (const auto * tensors : { &keys_, &values_ }) {
        for (ggml_tensor * x : *tensors) {
            ggml_backend_tensor_set(x, zeros.data(), (size_t) sequence * x->nb[2], zeros.size());
        }
    }
}

KvInputs::KvInputs(Graph & graph, const KvCache & cache, int64_t tokens, int64_t slots, int64_t first_sequence,
                   int64_t sequences, int64_t axes) :
    positions(graph.input(GGML_TYPE_I32, { tokens * sequences * axes })),
    mask(graph.input(GGML_TYPE_F32, { slots, tokens, 1, sequences })),
    n_tokens(tokens),
    n_slots(slots),
    n_sequences(sequences),
    n_axes(axes),
    cache_(&cache),
    first_sequence_(first_sequence),
    key_rows_(graph.input(GGML_TYPE_I32, { tokens, sequences })),
    value_cells_(graph.input(GGML_TYPE_I32, { tokens * cache.width(), sequences })) {}

void KvInputs::set(Graph & graph, const std::vector<int64_t> & starts, int64_t window) const {
    std::vector<int32_t> at;
    for (const int64_t start : starts) {
        for (int64_t query = start; query < start + n_tokens; ++query) {
            at.push_back((int32_t) query);
        }
    }
    set(graph, starts, window, at);
}

void KvInputs::set(Graph & graph, const std::vector<int64_t> & starts, int64_t window,
                   const std::vector<int32_t> & rotated) const {
    const int64_t        capacity = cache_->capacity();
    const int64_t        width    = cache_->width();
    std::vector<int32_t> rows;
    std::vector<int32_t> cells;
    std::vector<float>   seen;
    seen.reserve((size_t) (n_slots * n_tokens * n_sequences));
    cells.reserve((size_t) (width * n_tokens * n_sequences));
    for (const int64_t start : starts) {
        const int64_t last = start + n_tokens - 1;
        for (int64_t query = start; query <= last; ++query) {
            const int64_t row = query % capacity;
            rows.push_back((int32_t) row);
            for (int64_t j = 0; j < width; ++j) {
                cells.push_back((int32_t) (j * capacity + row));
            }
            for (int64_t slot = 0; slot < n_slots; ++slot) {
                // The newest position that lies in this slot; negative: none was ever written.
                const int64_t held = last - ((last - slot) % capacity + capacity) % capacity;
                const bool    ok   = held >= 0 && held <= query && (window <= 0 || held > query - window);
                seen.push_back(ok ? 0.0f : -std::numeric_limits<float>::infinity());
            }
        }
    }
    graph.set(positions, rotated.data(), rotated.size() * sizeof(int32_t));
    graph.set(key_rows_, rows.data(), rows.size() * sizeof(int32_t));
    graph.set(value_cells_, cells.data(), cells.size() * sizeof(int32_t));
    graph.set(mask, seen.data(), seen.size() * sizeof(float));
}

ggml_tensor * KvInputs::write_keys(ggml_context * c, int layer, ggml_tensor * k) const {
    ggml_tensor * all  = cache_->keys(layer);
    ggml_tensor * mine = ggml_view_3d(c, all, all->ne[0], all->ne[1], n_sequences, all->nb[1], all->nb[2],
                                      (size_t) first_sequence_ * all->nb[2]);
    ggml_tensor * now  = ggml_set_rows(c, mine, k, key_rows_);
    return ggml_view_3d(c, now, all->ne[0], n_slots, n_sequences, all->nb[1], all->nb[2], 0);
}

ggml_tensor * KvInputs::write_values(ggml_context * c, int layer, ggml_tensor * v) const {
    ggml_tensor * all   = cache_->values(layer);
    const int64_t width = all->ne[1];
    // One cell a row: the transposed layout has no longer contiguous run.
    ggml_tensor * mine = ggml_view_3d(c, all, 1, all->ne[0] * width, n_sequences, all->nb[0], all->nb[2],
                                      (size_t) first_sequence_ * all->nb[2]);
    ggml_tensor * now  = ggml_set_rows(c, mine, ggml_reshape_3d(c, v, 1, n_tokens * width, n_sequences), value_cells_);
    return ggml_view_3d(c, now, n_slots, width, n_sequences, all->nb[1], all->nb[2], 0);
}

}  // namespace omni
