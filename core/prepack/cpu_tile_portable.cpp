#define FP6LLM_TILE_PACKING kPortableTilePacking
#include "core/prepack/cpu_tile_impl.hpp"
