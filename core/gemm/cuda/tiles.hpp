// The tiles that kernels are compiled for: one row per kernel of a family, by scale mode, ascending in
// tokens. Kernels (sm80_kernels.cuh) and the plan table (plan.cpp) both read this.
//
// Chosen by shared memory and registers: n8 to n32 leave room for three or more blocks on an
// sm_80 multiprocessor, which keeps 32 KB and more of weights under way; n128 has 32 rows x 64 tokens a
// warp, so that ldmatrix keeps up with mma; 223 registers are the most (group, n128).
#pragma once

#include "core/gemm/cuda/params.hpp"

namespace fp6llm::cuda {

//                                         tokens, row_units, token_warps, stages
constexpr TileShape kRowTiles[] = {TileShape{8, 1, 1, 6},   TileShape{16, 1, 1, 5},
                                   TileShape{32, 1, 1, 5},  TileShape{64, 2, 1, 3},
                                   TileShape{128, 2, 2, 3}, TileShape{256, 1, 2, 2}};
constexpr TileShape kGroupTiles[] = {TileShape{8, 1, 1, 6}, TileShape{16, 1, 1, 5},
                                     TileShape{32, 1, 1, 5}, TileShape{64, 1, 1, 4},
                                     TileShape{128, 2, 2, 3}};
constexpr TileShape kGroupK8Tiles[] = {TileShape{16, 1, 1, 5}};

}  // namespace fp6llm::cuda
