// W6A16 on Tensor Cores, for sm_80 and later: mma.sync m16n8k16 with the weights as A, decoded from L3
// units in registers, and the tokens as N (FP6-LLM's TC-FPx, section 5, on the layout of
// core/prepack/cuda/l3.hpp; Stream-K, arXiv 2301.03598, for the split).
//
//   y[tokens, rows] = x[tokens, k] @ weight[rows, k].T
//
// A block owns tiles of 64 row_units x `tokens`, one k128 slab at a time:
//
//   global --cp.async--> ring of `stages` slabs in shared memory
//     weights      row_units units of 6144 bytes as they are: thread t reads plane p at 2048 p + 16 t
//     activations  `tokens` rows of 256 bytes; 16-byte chunk c of token t lies at c ^ (t & 7), so the
//                  eight rows that ldmatrix reads at once are in eight different bank groups
//   ring --ld.shared.v4, decode--> A registers --mma--> fp32 sums in registers
//
// Four warps split a unit's rows (16 each); `token_warps` groups of four split the tokens. With scales
// by group, sums of one group are multiplied by its scale in fp32 and added to the sums of all: the
// products stay exact.
#pragma once

#include "core/gemm/cuda/epilogue.cuh"
#include "core/gemm/cuda/l3_decode.cuh"

namespace fp6llm::cuda {

enum class Scaling {
    kRow,      ///< one scale per row, applied in the epilogue
    kGroup,    ///< group size a multiple of 32, or MX
    kGroupK8,  ///< any multiple of 8: one mma per eight columns
};

template <typename Activation_, L3Tag kTag_, L3Format kFormat_, Scaling kScaling_, int kTokens_,
          int kRowUnits_, int kTokenWarps_, int kStages_>
struct Sm80Config {
    using Activation = Activation_;
    static constexpr L3Tag kTag = kTag_;
    static constexpr L3Format kFormat = kFormat_;
    static constexpr Scaling kScaling = kScaling_;
    static constexpr TileShape kShape{kTokens_, kRowUnits_, kTokenWarps_, kStages_, 1};
    static constexpr int kTokens = kTokens_;
    static constexpr int kRowUnits = kRowUnits_;
    static constexpr int kStages = kStages_;
    static constexpr int kThreads = kShape.threads();
    static constexpr int kWarpTokens = kTokens_ / kTokenWarps_;
    static constexpr int kTokenMmas = kWarpTokens / 8;
    static constexpr int kWeightChunks = kRowUnits_ * kUnitBytes / 16;
    static constexpr int kStageBytes = kShape.stage_bytes();
    static constexpr int kSharedBytes = kShape.shared_bytes();
    static constexpr int kTileFloats = kShape.tile_floats();
    static_assert(kWarpTokens % 8 == 0 && kStages_ >= 2);
    static_assert(kTokens_ * 16 % kThreads == 0, "every thread copies the same number of chunks");
};

template <typename C>
class Sm80Gemm {
    using Activation = typename C::Activation;
    static constexpr int kMmas = C::kTokenMmas;
    static constexpr int kTokenTilesTogether = 8;
    static constexpr uint32_t kActivations = C::kRowUnits * kUnitBytes;  ///< offset in a stage

  public:
    __device__ __forceinline__ Sm80Gemm(const GemmParams& params, uint8_t* shared)
        : p(params), shared(shared), shared_base(shared_address(shared)) {
        const int warp = threadIdx.x / 32;
        lane = threadIdx.x % 32;
        row_warp = warp % 4;
        token_warp = warp / 4;
        begin = unit_begin(blockIdx.x);
        end = unit_begin(blockIdx.x + 1);

        // Offsets in a stage: where this thread's chunks go, and from where it multiplies. Chunk c of
        // token t lies at c ^ (t & 7).
        const uint32_t token = threadIdx.x / 16, chunk = threadIdx.x % 16, row = lane % 8;
        x_to = kActivations + token * 256 + (chunk ^ (token & 7)) * 16;
        weights_at = (32 * row_warp + lane) * 16;
        // ldmatrix: lane 8 i + r names row r of matrix i, which is chunk 4 triple + i of token r.
        x_at = kActivations + (token_warp * C::kWarpTokens + row) * 256 + ((lane / 8) ^ row) * 16;
        keep_in_register(x_to);
        keep_in_register(weights_at);
        keep_in_register(x_at);
    }

    __device__ __forceinline__ void run() {
        if (begin == end) return;
        clear(sums);
        if constexpr (C::kScaling != Scaling::kRow) clear(group_sums);
        load_tile = static_cast<int>(begin / p.k_units);
        load_slab = static_cast<int>(begin % p.k_units);
        int tile = load_tile, slab = load_slab;
        int left = static_cast<int>(end - begin), left_to_load = left;
        if (load_slab != 0) enter_tile();
#pragma unroll
        for (int stage = 0; stage < C::kStages - 1; ++stage) {
            if (left_to_load > 0) load_unit(stage * C::kStageBytes), --left_to_load;
            cp_async_commit();
        }
        if constexpr (C::kScaling != Scaling::kRow) enter_group(tile, slab);

        int stage = 0, next_stage = (C::kStages - 1) * C::kStageBytes;  // bytes
        bool starts_tile = slab == 0;
        for (; left > 0; --left) {
            // This thread's share of the slab is there; after the barrier everybody's is, and nobody
            // reads the slab before it any more, whose place the next load takes.
            cp_async_wait<C::kStages - 2>();
            __syncthreads();
            if (left_to_load > 0) load_unit(next_stage), --left_to_load;
            cp_async_commit();
            uint8_t* used = shared + stage;
            multiply(used, shared_base + stage);
            next_stage = stage;
            stage = stage == (C::kStages - 1) * C::kStageBytes ? 0 : stage + C::kStageBytes;

            const bool ends_tile = slab + 1 == p.k_units;
            if (ends_tile || left == 1) {
                if constexpr (C::kScaling != Scaling::kRow) add_group();
                // The slab just used is free (once all have used it) until the next barrier.
                const bool whole = starts_tile && ends_tile;
                if (whole || share_tile(tile)) {
                    __syncthreads();
                    store_tile(tile, used + C::kRowUnits * kUnitBytes);
                }
                clear(sums);
                starts_tile = true;
            }
            slab = ends_tile ? 0 : slab + 1;
            tile += ends_tile ? 1 : 0;
            if constexpr (C::kScaling != Scaling::kRow) {
                if (ends_tile && left > 1) enter_group(tile, 0);
            }
        }
    }

  private:
    using Sums = float[C::kRowUnits][kMmas][4];

    __device__ __forceinline__ int64_t unit_begin(int64_t block) const {
        return block * p.units / gridDim.x;
    }
    /// The block that works on a unit: the last one that begins at or before it.
    __device__ __forceinline__ int block_of(int64_t unit) const {
        return static_cast<int>(((unit + 1) * gridDim.x - 1) / p.units);
    }
    __device__ __forceinline__ static void clear(Sums& s) {
#pragma unroll
        for (int u = 0; u < C::kRowUnits; ++u)
#pragma unroll
            for (int n = 0; n < kMmas; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    s[u][n][i] = 0.0f;
    }

    struct Place {
        int row_tile, first_token;
    };
    /// Tiles run over kTokenTilesTogether columns of tiles, row by row, then over the next columns: what
    /// is multiplied at one time, on all multiprocessors, then reads few tokens and few weights, which
    /// stay in L2. Divisions, so once per tile.
    __device__ __forceinline__ Place place_of(int tile) const {
        const int row_tiles = (p.row_blocks + C::kRowUnits - 1) / C::kRowUnits;
        const int first = tile / (row_tiles * kTokenTilesTogether) * kTokenTilesTogether;
        const int width = min(kTokenTilesTogether, p.token_tiles - first);
        const int within = tile - first * row_tiles;
        const int row_tile = within / width;
        return {row_tile, (first + within - row_tile * width) * C::kTokens};
    }

    /// Where this thread's share of slab `load_slab` of `load_tile` comes from.
    __device__ __forceinline__ void enter_tile() {
        const Place place = place_of(load_tile);
        const int row_tile = place.row_tile;
        const int token = place.first_token + threadIdx.x / 16;
        const int column = load_slab * kUnitCols + threadIdx.x % 16 * 8;
        const int64_t unit = static_cast<int64_t>(row_tile) * C::kRowUnits * p.k_units + load_slab;
        weights_from = p.weights + unit * kUnitBytes + threadIdx.x * 16;
        has_second = row_tile * C::kRowUnits + 1 < p.row_blocks;
        x_from = static_cast<const Activation*>(p.x) + token * p.ldx + column;
        tokens_left = p.tokens - token;
        columns_left = p.k - column;
    }

    /// Starts copying the next slab into the stage at byte `stage`, and steps on.
    __device__ __forceinline__ void load_unit(int stage) {
        if (load_slab == 0) enter_tile();
        const uint32_t to = shared_base + stage + threadIdx.x * 16;
#pragma unroll
        for (int i = 0; i < (C::kWeightChunks + C::kThreads - 1) / C::kThreads; ++i) {
            const int chunk = threadIdx.x + i * C::kThreads;
            if (C::kWeightChunks % C::kThreads != 0 && chunk >= C::kWeightChunks) break;
            constexpr int kChunks = kUnitBytes / 16;
            const bool is_second =
                C::kRowUnits == 2 && (i * C::kThreads >= kChunks ||
                                      ((i + 1) * C::kThreads > kChunks && chunk >= kChunks));
            // Consecutive row blocks' units of one slab are k_units apart.
            const int64_t skipped =
                is_second ? static_cast<int64_t>(p.k_units - 1) * kUnitBytes : 0;
            cp_async_16(to + i * C::kThreads * 16, weights_from + i * C::kThreads * 16 + skipped,
                        !is_second || has_second);
        }
        weights_from += kUnitBytes;

        static_assert(C::kThreads / 16 % 8 == 0, "a thread's tokens all have the same t & 7");
        const uint32_t activations = shared_base + stage + x_to;
        const Activation* from = x_from;
        const int tokens = columns_left > 0 ? tokens_left : 0;
#pragma unroll
        for (int i = 0; i < C::kTokens * 16 / C::kThreads; ++i) {
            constexpr int kTokenStep = C::kThreads / 16;
            cp_async_16(activations + i * kTokenStep * 256, from, i * kTokenStep < tokens);
            from += kTokenStep * p.ldx;
        }
        x_from += kUnitCols;
        columns_left -= kUnitCols;
        if (++load_slab == p.k_units) load_slab = 0, ++load_tile;
    }

    __device__ __forceinline__ void multiply(const uint8_t* stage, uint32_t stage_address) {
        uint4 words[C::kRowUnits][kUnitPlanes];
#pragma unroll
        for (int u = 0; u < C::kRowUnits; ++u)
#pragma unroll
            for (int plane = 0; plane < kUnitPlanes; ++plane)
                words[u][plane] = *reinterpret_cast<const uint4*>(
                    stage + u * kUnitBytes + plane * kUnitPlaneBytes + weights_at);

        const uint32_t tokens = stage_address + x_at;
#pragma unroll
        for (int triple = 0; triple < 4; ++triple) {
            uint32_t a[C::kRowUnits][2][4];
#pragma unroll
            for (int u = 0; u < C::kRowUnits; ++u)
                decode_triple<C::kTag, Activation, C::kFormat>(
                    component(words[u][0], triple), component(words[u][1], triple),
                    component(words[u][2], triple), a[u][0], a[u][1]);
            // Chunk (4 triple + i) ^ r of a row of 256 bytes, which begins at a multiple of 256.
            const uint32_t chunks = tokens ^ (4 * triple * 16);
            if constexpr (C::kScaling == Scaling::kGroupK8) {
                multiply_by_eights(chunks, a);
            } else {
                Sums& into = C::kScaling == Scaling::kRow ? sums : group_sums;
#pragma unroll
                for (int n = 0; n < kMmas; ++n) {
                    uint32_t b[4];
                    ldmatrix_x4(b, chunks + n * 8 * 256);
#pragma unroll
                    for (int u = 0; u < C::kRowUnits; ++u) {
                        mma_k16<Activation>(into[u][n], a[u][0], b[0], b[1]);
                        mma_k16<Activation>(into[u][n], a[u][1], b[2], b[3]);
                    }
                }
                if constexpr (C::kScaling == Scaling::kGroup) {
                    group_left -= 32;
                    if (group_left == 0) next_group();
                }
            }
        }
    }

    __device__ __forceinline__ void multiply_by_eights(uint32_t tokens,
                                                       const uint32_t (&a)[C::kRowUnits][2][4]) {
        uint32_t b[kMmas][4];
#pragma unroll
        for (int n = 0; n < kMmas; ++n)
            ldmatrix_x4(b[n], tokens + n * 8 * 256);
#pragma unroll
        for (int eight = 0; eight < 4; ++eight) {
#pragma unroll
            for (int n = 0; n < kMmas; ++n)
#pragma unroll
                for (int u = 0; u < C::kRowUnits; ++u)
                    mma_k8<Activation>(group_sums[u][n], a[u][eight / 2][2 * (eight & 1)],
                                       a[u][eight / 2][2 * (eight & 1) + 1], b[n][eight]);
            group_left -= 8;
            if (group_left == 0) next_group();
        }
    }

    __device__ __forceinline__ static uint32_t component(const uint4& v, int i) {
        return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
    }

    // ---- scales by group -------------------------------------------------------------------------

    /// The scales of a group for this lane's rows g and g + 8. Columns beyond the last group are
    /// padding and take its scale.
    __device__ __forceinline__ void load_scales(int index) {
        const int g = index < p.groups ? index : p.groups - 1;
#pragma unroll
        for (int u = 0; u < C::kRowUnits; ++u) {
            const int64_t row_block = min(scaled_row_block + u, p.row_blocks - 1);
            const int row = 16 * row_warp + lane / 4;
            if (p.mx != 0) {
                const uint8_t* e = static_cast<const uint8_t*>(p.scales) +
                                   ((row_block * p.k_units + g / 4) * kUnitRows + row) * 4 + g % 4;
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const uint32_t exponent = e[half * 32];
                    scales[u][half] = __uint_as_float(exponent == 0     ? 0x00400000u
                                                      : exponent == 255 ? 0x7FC00000u
                                                                        : exponent << 23);
                }
            } else {
                const float* s = static_cast<const float*>(p.scales) +
                                 (row_block * p.groups + g) * kUnitRows + row;
                scales[u][0] = s[0];
                scales[u][1] = s[8];
            }
        }
    }

    /// Begins at a slab: finds the group that its first column is in.
    __device__ __forceinline__ void enter_group(int tile, int slab) {
        const int column = slab * kUnitCols;
        group = column / p.group_size;
        group_left = (group + 1) * p.group_size - column;
        scaled_row_block = place_of(tile).row_tile * C::kRowUnits;
        load_scales(group);
    }

    __device__ __forceinline__ void next_group() {
        add_group();
        ++group;
        group_left = p.group_size;
        load_scales(group);
    }

    __device__ __forceinline__ void add_group() {
#pragma unroll
        for (int u = 0; u < C::kRowUnits; ++u)
#pragma unroll
            for (int n = 0; n < kMmas; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    sums[u][n][i] =
                        fmaf(unbiased(group_sums[u][n][i]), scales[u][i / 2], sums[u][n][i]);
                    group_sums[u][n][i] = 0.0f;
                }
    }

    /// Gives back the power of two that decoding left in.
    __device__ __forceinline__ static float unbiased(float sum) {
        constexpr int kExponent = DecodeTraits<Activation, C::kFormat>::kExponent;
        if constexpr (kExponent == 0) return sum;
        return sum * static_cast<float>(1 << -kExponent);
    }

    // ---- the end of a tile -----------------------------------------------------------------------

    /// Part of a tile: leaves it in the workspace. The last block to do so sums up all parts, in the
    /// order of the slabs whoever that is, and gets true.
    __device__ __forceinline__ bool share_tile(int tile) {
        const int64_t first_unit = static_cast<int64_t>(tile) * p.k_units;
        const int first = block_of(first_unit), last = block_of(first_unit + p.k_units - 1);
        float4* own = partial(blockIdx.x == first ? 2 * first + 1 : 2 * blockIdx.x);
#pragma unroll
        for (int u = 0; u < C::kRowUnits; ++u)
#pragma unroll
            for (int n = 0; n < kMmas; ++n)
                own[(u * kMmas + n) * C::kThreads] =
                    make_float4(sums[u][n][0], sums[u][n][1], sums[u][n][2], sums[u][n][3]);

        uint32_t* is_last = reinterpret_cast<uint32_t*>(shared + C::kSharedBytes - 16);
        __syncthreads();
        if (threadIdx.x == 0) {
            const uint32_t finished = atomic_add_acq_rel(&p.counters[first], 1);
            *is_last = finished == static_cast<uint32_t>(last - first);
            if (*is_last != 0) p.counters[first] = 0;  // as the next launch expects it
        }
        __syncthreads();
        if (*is_last == 0) return false;

        clear(sums);
        // Several parts' loads under way at once where registers allow: at decode sizes, waiting for one
        // after the other would be a tenth of a small layer's time.
        constexpr int kSums = C::kTileFloats / C::kThreads;
        constexpr int kParts = kSums <= 8 ? 4 : kSums <= 16 ? 2 : 1;
#pragma unroll kParts
        for (int block = first; block <= last; ++block) {
            const float4* part = partial(block == first ? 2 * first + 1 : 2 * block);
#pragma unroll
            for (int u = 0; u < C::kRowUnits; ++u)
#pragma unroll
                for (int n = 0; n < kMmas; ++n) {
                    const float4 v = __ldcg(part + (u * kMmas + n) * C::kThreads);
                    sums[u][n][0] += v.x;
                    sums[u][n][1] += v.y;
                    sums[u][n][2] += v.z;
                    sums[u][n][3] += v.w;
                }
        }
        return true;
    }

    /// A block has two places: 2 b for the tile that an earlier block began, 2 b + 1 for its last.
    __device__ __forceinline__ float4* partial(int slot) const {
        return reinterpret_cast<float4*>(p.partials) +
               static_cast<int64_t>(slot) * (C::kTileFloats / 4) + threadIdx.x;
    }

    /// Scales, epilogue and store. An accumulator holds two tokens of a row, memory wants rows side by
    /// side: the sums of 64 rows at a time go through shared memory, [tokens][64], where group q of
    /// eight rows of token t lies at q ^ (t / 2 & 3), so that neither side has bank conflicts.
    __device__ __forceinline__ void store_tile(int tile, uint8_t* scratch) {
        float* staged = reinterpret_cast<float*>(scratch);
        const Place place = place_of(tile);
        const int row_tile = place.row_tile, first_token = place.first_token;
        const Scalars scalars = load_scalars(p.epilogue);
#pragma unroll 1
        for (int u = 0; u < C::kRowUnits; ++u) {
            if (u != 0) __syncthreads();
#pragma unroll
            for (int v = 0; v < C::kRowUnits; ++v)  // registers have no index at run time
                if (u == v) stage_sums(staged, sums[v]);
            __syncthreads();

            const int quad = threadIdx.x % 16;  // rows 4 quad .. 4 quad + 3
            const int row = (row_tile * C::kRowUnits + u) * kUnitRows + 4 * quad;
            const int count = p.rows - row < 4 ? p.rows - row : 4;
            if (count <= 0) continue;
            float4 row_scale = make_float4(1.0f, 1.0f, 1.0f, 1.0f);
            if constexpr (C::kScaling == Scaling::kRow)
                row_scale =
                    *reinterpret_cast<const float4*>(static_cast<const float*>(p.scales) + row);
#pragma unroll 1
            for (int t = threadIdx.x / 16; t < C::kTokens; t += C::kThreads / 16) {
                if (first_token + t >= p.tokens) break;
                const float4 s = *reinterpret_cast<const float4*>(
                    staged + t * 64 + ((quad / 2) ^ (t / 2 & 3)) * 8 + 4 * (quad & 1));
                float v[4] = {s.x, s.y, s.z, s.w};
                if constexpr (C::kScaling == Scaling::kRow) {
                    v[0] = unbiased(v[0]) * row_scale.x;
                    v[1] = unbiased(v[1]) * row_scale.y;
                    v[2] = unbiased(v[2]) * row_scale.z;
                    v[3] = unbiased(v[3]) * row_scale.w;
                }
                finish_outputs(p.epilogue, scalars, row, count, first_token + t, v);
            }
        }
    }

    __device__ __forceinline__ void stage_sums(float* staged, const float (&s)[kMmas][4]) {
        const int g = lane / 4, j = lane % 4;
#pragma unroll
        for (int n = 0; n < kMmas; ++n)
#pragma unroll
            for (int i = 0; i < 4;
                 ++i) {  // token 2 j + (i & 1), row g + 8 (i / 2) of the warp's 16
                const int token = token_warp * C::kWarpTokens + 8 * n + 2 * j + (i & 1);
                staged[token * 64 + ((2 * row_warp + i / 2) ^ j) * 8 + g] = s[n][i];
            }
    }

    const GemmParams& p;
    uint8_t* shared;
    uint32_t shared_base;
    int lane, row_warp, token_warp;
    uint32_t x_to, weights_at, x_at;
    int64_t begin, end;
    int load_tile, load_slab;
    const uint8_t* weights_from;  ///< enter_tile() and load_unit()
    const Activation* x_from;
    int tokens_left, columns_left;  ///< from this thread's first token and column on
    bool has_second;                ///< whether the tile's second unit exists
    int group = 0, group_left = 0;
    int scaled_row_block = 0;  ///< the tile's first
    float scales[C::kRowUnits][2];
    Sums sums;
    Sums group_sums;
};

template <typename C>
__device__ __forceinline__ void sm80_gemm(const GemmParams& params) {
    extern __shared__ __align__(256) uint8_t shared[];
    Sm80Gemm<C>(params, shared).run();
}

}  // namespace fp6llm::cuda
