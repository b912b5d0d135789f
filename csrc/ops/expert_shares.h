// Which rows of which experts a thread takes, of experts that lie one behind the other: each thread reads long
// stretches, rather than a share of every expert. A row costs what reading it does, and what its columns do.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/block_product.h"
#include "kernels/share.h"

namespace omni {

class ExpertShares {
  public:
    // `columns`: of all experts together.
    ExpertShares(int64_t rows, int64_t experts, int64_t columns, int part, int parts) :
        rows_(rows),
        begin_(rows * (experts * k_reading + columns) * part / parts),
        end_(rows * (experts * k_reading + columns) * (part + 1) / parts) {}

    // Rows of the next expert, which has so many columns.
    Share next(int64_t columns) {
        const int64_t row  = k_reading + columns;
        const Share   mine = { row_at(begin_ - done_, row), row_at(end_ - done_, row) };
        done_ += rows_ * row;
        return mine;
    }

  private:
    static constexpr int64_t k_reading = 4;  // columns

    // In whole steps: only the last may end inside a step.
    int64_t row_at(int64_t cost, int64_t row) const {
        if (cost >= rows_ * row) {
            return rows_;
        }
        return std::min(rows_, (std::max<int64_t>(0, cost) / row + k_block_rows / 2) / k_block_rows * k_block_rows);
    }

    int64_t rows_, begin_, end_;
    int64_t done_ = 0;
};

}  // namespace omni
