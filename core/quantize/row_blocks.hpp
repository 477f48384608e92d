// The cut of a matrix into blocks of whole rows, each one task. It follows from the shape alone, so
// that sums over blocks are the same for any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/common/math.hpp"
#include "core/common/parallel.hpp"

namespace fp6llm {

class RowBlocks {
  public:
    /// No columns, no blocks: such a matrix may have any number of rows.
    RowBlocks(int64_t rows, int64_t cols) noexcept
        : rows_(cols > 0 ? rows : 0),
          per_block_(std::max<int64_t>(1, kElements / std::max<int64_t>(1, cols))) {}

    int64_t count() const noexcept { return ceil_div(rows_, per_block_); }
    IndexRange operator[](int64_t block) const noexcept {
        return {block * per_block_, std::min(rows_, (block + 1) * per_block_)};
    }

  private:
    static constexpr int64_t kElements = 65536;  ///< some tens of microseconds of work

    int64_t rows_;
    int64_t per_block_;
};

}  // namespace fp6llm
