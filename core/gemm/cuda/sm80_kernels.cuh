// The kernels of one (activation type, tag, format), as the plan table (plan.cpp) knows them. A .cu
// file names its own and instantiates all tiles; names are <prefix>_<scaling>_n<tokens>.
#pragma once

#include "core/gemm/cuda/sm80_gemm.cuh"
#include "core/gemm/cuda/tiles.hpp"

#define FP6LLM_SM80_KERNEL(name, Activation, tag, format, scaling, tile)                        \
    extern "C" __global__ void __launch_bounds__((tile).threads(), (tile).min_blocks)           \
        name(const __grid_constant__ fp6llm::cuda::GemmParams params) {                         \
        using namespace fp6llm::cuda;                                                           \
        sm80_gemm<Sm80Config<Activation, tag, format, scaling, (tile).tokens, (tile).row_units, \
                             (tile).token_warps, (tile).stages>>(params);                       \
    }

#define FP6LLM_SM80_KERNELS(prefix, Activation, tag, format)                            \
    FP6LLM_SM80_KERNEL(prefix##_row_n8, Activation, tag, format, Scaling::kRow,         \
                       fp6llm::cuda::kRowTiles[0])                                      \
    FP6LLM_SM80_KERNEL(prefix##_row_n16, Activation, tag, format, Scaling::kRow,        \
                       fp6llm::cuda::kRowTiles[1])                                      \
    FP6LLM_SM80_KERNEL(prefix##_row_n32, Activation, tag, format, Scaling::kRow,        \
                       fp6llm::cuda::kRowTiles[2])                                      \
    FP6LLM_SM80_KERNEL(prefix##_row_n64, Activation, tag, format, Scaling::kRow,        \
                       fp6llm::cuda::kRowTiles[3])                                      \
    FP6LLM_SM80_KERNEL(prefix##_row_n128, Activation, tag, format, Scaling::kRow,       \
                       fp6llm::cuda::kRowTiles[4])                                      \
    FP6LLM_SM80_KERNEL(prefix##_row_n256, Activation, tag, format, Scaling::kRow,       \
                       fp6llm::cuda::kRowTiles[5])                                      \
    FP6LLM_SM80_KERNEL(prefix##_group_n8, Activation, tag, format, Scaling::kGroup,     \
                       fp6llm::cuda::kGroupTiles[0])                                    \
    FP6LLM_SM80_KERNEL(prefix##_group_n16, Activation, tag, format, Scaling::kGroup,    \
                       fp6llm::cuda::kGroupTiles[1])                                    \
    FP6LLM_SM80_KERNEL(prefix##_group_n32, Activation, tag, format, Scaling::kGroup,    \
                       fp6llm::cuda::kGroupTiles[2])                                    \
    FP6LLM_SM80_KERNEL(prefix##_group_n64, Activation, tag, format, Scaling::kGroup,    \
                       fp6llm::cuda::kGroupTiles[3])                                    \
    FP6LLM_SM80_KERNEL(prefix##_group_n128, Activation, tag, format, Scaling::kGroup,   \
                       fp6llm::cuda::kGroupTiles[4])                                    \
    FP6LLM_SM80_KERNEL(prefix##_group8_n16, Activation, tag, format, Scaling::kGroupK8, \
                       fp6llm::cuda::kGroupK8Tiles[0])
