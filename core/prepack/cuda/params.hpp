// What the host hands to the kernels that fill and empty L3 units: plain data, shared by host and
// device code.
#pragma once

#include <cstdint>

#include "core/prepack/blob.hpp"
#include "core/prepack/cuda/held_codes.hpp"

namespace fp6llm::cuda {

/// Units of a weight and where else its codes are. `packed` is plain codes or a published layout.
struct UnitParams {
    uint8_t* units;  ///< [row_blocks][k_units][kUnitBytes]
    int64_t row_blocks, k_units;
    int64_t rows, cols;
    L3Tag tag;
    Holding holding;
    int32_t bits;  ///< of a plain code
    uint8_t* packed;
    int64_t row_bytes;    ///< plain: of a row; SPLIT_4_2: of a row of the first plane
    int64_t last_offset;  ///< SPLIT_4_2, TC_FPX: where the second plane begins
};

/// Scales of a weight, plain [rows][groups] and as units have them (weight.hpp).
struct UnitScaleParams {
    uint8_t* held;
    uint8_t* plain;
    int64_t row_blocks, k_units;
    int64_t rows;
    int64_t groups;
    int32_t type;  ///< of the plain scales
    int32_t mx;
};

/// Codes of rows being quantized, straight to units.
struct UnitOutputParams {
    uint8_t* units;
    uint8_t* scales;
    int64_t row_blocks, k_units;
    Holding holding;
};

/// A blob's header and the zeros at its end, by parameter: a captured launch keeps them.
struct FrameParams {
    uint8_t* blob;
    int64_t scales_end, total_bytes;
    BlobHeader header;
};

}  // namespace fp6llm::cuda
