// The tiles that kernels are compiled for: one row per kernel of a family, by scale mode, ascending in
// tokens. Kernels (sm80_kernels.cuh) and plans (plan.cpp) both read this.
//
// Chosen by shared memory and registers: n8 to n32 leave room for two or three blocks on an sm_80
// multiprocessor, n8 and n16 for two on an sm_86, sm_89 or sm_120 one (100 KB), which keeps more than
// 32 KB of weights under way; from n64 on a warp has 32 rows or 64 tokens, so that ldmatrix keeps up
// with mma. In n256 it only just does, with 16 rows a warp (32 rows of 128 tokens spill): the plan
// takes n128 in its place until a GPU says otherwise. `min_blocks` is a promise to the compiler: so
// many blocks fit into the registers of a multiprocessor.
#pragma once

#include "core/gemm/cuda/params.hpp"

namespace fp6llm::cuda {

//                                         tokens, row_units, token_warps, stages, min_blocks
constexpr TileShape kRowTiles[] = {TileShape{8, 1, 1, 6, 3},   TileShape{16, 1, 1, 4, 3},
                                   TileShape{32, 1, 1, 5, 2},  TileShape{64, 2, 1, 3, 2},
                                   TileShape{128, 2, 2, 3, 1}, TileShape{256, 1, 2, 2, 1}};
constexpr TileShape kGroupTiles[] = {TileShape{8, 1, 1, 6, 3}, TileShape{16, 1, 1, 4, 3},
                                     TileShape{32, 1, 1, 5, 2}, TileShape{64, 1, 1, 4, 2},
                                     TileShape{128, 2, 2, 3, 1}};
constexpr TileShape kGroupK8Tiles[] = {TileShape{16, 1, 1, 4, 3}};

}  // namespace fp6llm::cuda
