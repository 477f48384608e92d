// Import and export of published packed layouts: plain codes <-> TC_FPX and SPLIT_4_2. The contract
// pages with bit diagrams are docs/layouts.md.
#pragma once

#include "core/common/parallel.hpp"
#include "core/common/types.hpp"
#include "core/formats/format.hpp"

namespace fp6llm {

/// Bytes of a layout; throws NOT_SUPPORTED, saying what is supported, for a format or shape that the
/// layout cannot hold, INVALID_VALUE if the size overflows.
size_t packed_layout_bytes(PackedLayout layout, const FormatInfo& format, int64_t rows,
                           int64_t cols);

/// Plain codes [rows, row_bytes] -> layout. Preconditions: packed_layout_bytes() accepts the shape.
void pack_layout(PackedLayout layout, const FormatInfo& format, int64_t rows, int64_t cols,
                 const uint8_t* codes, uint8_t* packed, Executor& executor);

/// Layout -> plain codes.
void unpack_layout(PackedLayout layout, const FormatInfo& format, int64_t rows, int64_t cols,
                   const uint8_t* packed, uint8_t* codes, Executor& executor);

}  // namespace fp6llm
