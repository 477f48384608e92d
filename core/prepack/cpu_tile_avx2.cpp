#define FP6LLM_TILE_PACKING kAvx2TilePacking
#include "core/prepack/cpu_tile_impl.hpp"
