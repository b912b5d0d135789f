// A few values by number, those used last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <utility>

namespace omni {

// Graphs for a number of speeches are kept here: how many speak at once changes often, and building them takes longer
// than computing them.
template <typename Value> class RecentlyUsed {
  public:
    explicit RecentlyUsed(size_t most) : most_(most) {}

    // The value of that number, or nullptr.
    Value * find(int64_t number) {
        for (auto it = entries_.begin(); it != entries_.end(); ++it) {
            if (it->first == number) {
                entries_.splice(entries_.begin(), entries_, it);
                return &entries_.front().second;
            }
        }
        return nullptr;
    }

    // In the place of one that there may be of that number, or else of the one used longest ago.
    Value & keep(int64_t number, Value value) {
        entries_.remove_if([&](const auto & entry) { return entry.first == number; });
        entries_.emplace_front(number, std::move(value));
        if (entries_.size() > most_) {
            entries_.pop_back();
        }
        return entries_.front().second;
    }

    void clear() { entries_.clear(); }

  private:
    size_t                               most_;
    std::list<std::pair<int64_t, Value>> entries_;
};

}  // namespace omni
