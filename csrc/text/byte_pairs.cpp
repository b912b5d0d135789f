#include "text/byte_pairs.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <queue>

namespace omni {

namespace {

// Pieces up to this long are searched for the next merge again and again; longer ones keep a queue.
constexpr size_t k_short = 48;

constexpr uint64_t k_no_pair = std::numeric_limits<uint64_t>::max();
constexpr int32_t  k_no_rank = std::numeric_limits<int32_t>::max();

uint64_t pair_of(int32_t left, int32_t right) {
    return (uint64_t) (uint32_t) left << 32 | (uint32_t) right;
}

size_t hash_of(uint64_t pair) {
    const uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
    return (size_t) (mixed ^ mixed >> 32);
}

}  // namespace

BytePairs::BytePairs(const std::array<int32_t, 256> & bytes, const std::vector<Merge> & merges) : bytes_(bytes) {
    size_t size = 16;
    while (size < merges.size() * 2) {
        size *= 2;
    }
    slots_.resize(size, { k_no_pair, k_no_rank, 0 });
    for (size_t rank = 0; rank < merges.size(); ++rank) {
        const uint64_t pair = pair_of(merges[rank].left, merges[rank].right);
        size_t         at   = hash_of(pair) & (size - 1);
        while (slots_[at].pair != k_no_pair && slots_[at].pair != pair) {
            at = (at + 1) & (size - 1);
        }
        slots_[at] = { pair, (int32_t) rank, merges[rank].whole };
    }
}

const BytePairs::Slot * BytePairs::find(int32_t left, int32_t right) const {
    const uint64_t pair = pair_of(left, right);
    for (size_t at = hash_of(pair) & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
        if (slots_[at].pair == pair) {
            return &slots_[at];
        }
        if (slots_[at].pair == k_no_pair) {
            return nullptr;
        }
    }
}

void BytePairs::encode(std::string_view piece, std::vector<int32_t> & out) const {
    const size_t first = out.size();
    for (const char byte : piece) {
        out.push_back(bytes_[(unsigned char) byte]);
    }
    if (piece.size() <= k_short) {
        out.resize(first + merge_short(out.data() + first, piece.size()));
    } else {
        out.resize(first + merge_long(out.data() + first, piece.size()));
    }
}

size_t BytePairs::merge_short(int32_t * tokens, size_t n) const {
    std::array<const Slot *, k_short> merges{};  // of each token and the next
    for (size_t i = 0; i + 1 < n; ++i) {
        merges[i] = find(tokens[i], tokens[i + 1]);
    }
    while (n > 1) {
        size_t  best = n;
        int32_t rank = k_no_rank;
        for (size_t i = 0; i + 1 < n; ++i) {
            if (merges[i] != nullptr && merges[i]->rank < rank) {
                best = i;
                rank = merges[i]->rank;
            }
        }
        if (best == n) {
            break;
        }
        tokens[best] = merges[best]->whole;
        std::copy(tokens + best + 2, tokens + n, tokens + best + 1);
        std::copy(merges.begin() + (std::ptrdiff_t) best + 1, merges.begin() + (std::ptrdiff_t) n - 1,
                  merges.begin() + (std::ptrdiff_t) best);
        --n;
        if (best > 0) {
            merges[best - 1] = find(tokens[best - 1], tokens[best]);
        }
        merges[best] = best + 1 < n ? find(tokens[best], tokens[best + 1]) : nullptr;
    }
    return n;
}

size_t BytePairs::merge_long(int32_t * tokens, size_t n) const {
    struct Candidate {
        int32_t rank;
        size_t  left, right;
        int32_t left_token, right_token;

        bool operator>(const Candidate & other) const {
            return rank != other.rank ? rank > other.rank : left > other.left;
        }
    };

    constexpr int32_t                                                      k_gone = -1;
    std::vector<size_t>                                                    next(n), previous(n);  // n: none
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;

    const auto consider = [&](size_t left, size_t right) {
        const Slot * merge = find(tokens[left], tokens[right]);
        if (merge != nullptr) {
            queue.push({ merge->rank, left, right, tokens[left], tokens[right] });
        }
    };
    for (size_t i = 0; i < n; ++i) {
        next[i]     = i + 1;
        previous[i] = i > 0 ? i - 1 : n;
        if (i + 1 < n) {
            consider(i, i + 1);
        }
    }
    while (!queue.empty()) {
        const Candidate top = queue.top();
        queue.pop();
        if (tokens[top.left] != top.left_token || tokens[top.right] != top.right_token || next[top.left] != top.right) {
            continue;  // one of the two is part of another by now
        }
        tokens[top.left]  = find(top.left_token, top.right_token)->whole;
        tokens[top.right] = k_gone;
        next[top.left]    = next[top.right];
        if (next[top.left] < n) {
            previous[next[top.left]] = top.left;
            consider(top.left, next[top.left]);
        }
        if (previous[top.left] < n) {
            consider(previous[top.left], top.left);
        }
    }
    return (size_t) (std::remove(tokens, tokens + n, k_gone) - tokens);
}

}  // namespace omni
