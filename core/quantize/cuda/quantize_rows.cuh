// Quantizing rows, whatever becomes of the codes: what core/quantize/row_quantizer.cpp is on the
// CPU.
//
// A block takes kRows rows at a time. A row goes through in windows, each read from global memory
// once:
//
//   stage    window -> shared memory; largest magnitudes of its groups on the way
//   scales   from the largest magnitudes, or by search
//   encode   the output's part: codes to where it wants them
//
// A row with one scale is one window if it fits into shared memory; else its windows are read
// twice. Sums (statistics, search, AUTO) run over 16 lanes, element i of a segment in lane i % 16,
// and follow the CPU's order in everything, so that they are the same to the bit: half a warp, a
// *team*, measures one segment with one scale, thread 0 adds up the teams' results.
//
// An octet (eight elements) is staged at octet o + o / 16: readers of 128-column units then find
// eight neighbouring units in different banks.
#pragma once

#include "core/quantize/cuda/elements.cuh"
#include "core/quantize/cuda/rounding.cuh"

namespace fp6llm::cuda {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;
constexpr int kTeam = 16;
constexpr int kStatsChunk =
    4096;  ///< columns that the CPU sums up at a time where a row has one scale

/// Sums over one segment in units of its scale.
struct Measured {
    double error, signal;
    float max_error, scale;
    int32_t saturated, non_finite;
};

/// Octets of shared memory for `octets` staged ones.
__host__ __device__ constexpr int staged_octets(int octets) {
    return octets + (octets + 15) / 16;
}

/// Dynamic shared memory of a block: octets of each row, then a largest magnitude and a scale of
/// each group of a window, then the teams' results, then the output's own.
struct SharedSizes {
    int staged_bytes;  ///< of one row
    int window_groups;
    int total_bytes;
    __host__ __device__ SharedSizes(int rows, int element_bytes, int window, int groups,
                                    int threads, int output_bytes)
        : staged_bytes(staged_octets((window + 127) / 128 * 16) * 8 * element_bytes),
          window_groups((groups + 1) / 2 * 2),
          total_bytes(rows * (staged_bytes + window_groups * 8) +
                      threads / kTeam * static_cast<int>(sizeof(Measured)) + output_bytes) {}
};

/// Rows as `Output` sees them after staging: first_row, first_row + row_step, ...
template <typename Element>
struct StagedRows {
    using Raw = typename Element::Raw;

    int64_t first_row, row_step, matrix_rows;
    int64_t first;  ///< column of the window
    int columns;    ///< of the window
    int64_t first_group;
    int groups;        ///< in the window
    int group_octets;  ///< per group
    Octet<Raw>* octets;
    int octet_stride;  ///< from one row to the next
    uint32_t* amax;
    float* scales;
    int scale_stride;

    __device__ __forceinline__ static float to_float(Raw raw) { return Element::to_float(raw); }
    __device__ __forceinline__ int64_t row(int r) const { return first_row + r * row_step; }
    __device__ __forceinline__ bool exists(int r) const { return row(r) < matrix_rows; }
    __device__ __forceinline__ Octet<Raw>& octet(int r, int o) const {
        return octets[r * octet_stride + o + o / 16];
    }
    __device__ __forceinline__ const Raw& element(int r, int i) const {
        return reinterpret_cast<const Raw*>(octets + r * octet_stride)[i + i / 128 * 8];
    }
    /// Bits of the largest magnitude of a group, as the elements have them.
    __device__ __forceinline__ uint32_t& largest(int r, int group) const {
        return amax[r * scale_stride + group];
    }
    __device__ __forceinline__ float& scale(int r, int group) const {
        return scales[r * scale_stride + group];
    }
    /// Scale of an octet; of the last group for octets beyond it.
    __device__ __forceinline__ float scale_of_octet(int r, int o) const {
        return scale(r, min(o / group_octets, groups - 1));
    }
};

/// `Output` has kRows, kRowStep, kPadsUnits (whole units of 128 columns are staged, zeros at the
/// end), first_row(task), and members that write codes and scales.
template <typename Element, typename Output>
class RowsQuantizer {
  public:
    static constexpr int kRows = Output::kRows;
    using Raw = typename Element::Raw;

    __device__ __forceinline__ RowsQuantizer(const QuantParams& params, const Output& output,
                                             uint8_t* shared)
        : p(params),
          output(output),
          one_scale(p.scale.mode == static_cast<int32_t>(ScaleMode::kRow)) {
        window_groups = one_scale ? 1 : static_cast<int>((p.window + p.group - 1) / p.group);
        const SharedSizes sizes(kRows, sizeof(Raw), p.window, window_groups, blockDim.x, 0);
        rows.row_step = Output::kRowStep;
        rows.matrix_rows = p.rows;
        rows.group_octets = one_scale ? 0x7FFFFFFF : static_cast<int>(p.group / 8);
        rows.octets = reinterpret_cast<Octet<Raw>*>(shared);
        rows.octet_stride = sizes.staged_bytes / static_cast<int>(sizeof(Octet<Raw>));
        uint8_t* after = shared + kRows * sizes.staged_bytes;
        rows.amax = reinterpret_cast<uint32_t*>(after);
        rows.scales = reinterpret_cast<float*>(after) + kRows * sizes.window_groups;
        rows.scale_stride = sizes.window_groups;
        results = reinterpret_cast<Measured*>(after + kRows * sizes.window_groups * 8);
        output_shared = shared + sizes.total_bytes;
    }

    __device__ __forceinline__ void run(int64_t task) {
        rows.first_row = output.first_row(task);
        RowRecord record{};
        double error = 0.0;
        // Where a row has one scale, its windows are first all staged to find it. A row of one
        // window then is there; others are staged once more.
        const int64_t passes = one_scale ? 2 : 1;
        for (int64_t step = 0; step < passes * p.windows; ++step) {
            const int64_t window = step % p.windows;
            const bool finds = step < p.windows, uses = passes == 1 || !finds;
            if (finds && (step == 0 || !one_scale)) clear_largest();
            if (finds || p.windows > 1) {
                stage(window, finds);
                __syncthreads();
            }
            if (finds && (!one_scale || window == p.windows - 1)) {
                choose_scales(&error);
                if (p.measures_only == 0) output.store_scales(p, rows);
            }
            if (uses && p.measures_only == 0) output.encode(p, rows, output_shared);
            if (uses && p.stats != nullptr) add_stats(&record);
            __syncthreads();  // the next window may overwrite this one
        }
        if (threadIdx.x == 0 && rows.exists(0)) {
            if (p.stats != nullptr) p.stats[rows.first_row] = record;
            if (p.errors != nullptr) p.errors[rows.first_row] = error;
        }
    }

  private:
    __device__ __forceinline__ const Raw* row_data(int r) const {
        return static_cast<const Raw*>(p.w) + rows.row(r) * p.ld;
    }

    __device__ __forceinline__ void clear_largest() {
        for (int g = threadIdx.x; g < kRows * rows.scale_stride; g += blockDim.x)
            rows.amax[g] = 0;
        __syncthreads();
    }

    /// Copies a window to shared memory and, on the way, finds its largest magnitudes.
    __device__ __forceinline__ void stage(int64_t window, bool first_time) {
        rows.first = window * p.window;
        rows.columns = static_cast<int>(min(static_cast<int64_t>(p.window), p.cols - rows.first));
        rows.first_group = one_scale ? 0 : rows.first / p.group;
        rows.groups = one_scale ? 1 : static_cast<int>((rows.columns + p.group - 1) / p.group);
        const int octets =
            Output::kPadsUnits ? (rows.columns + 127) / 128 * 16 : (rows.columns + 7) / 8;
#pragma unroll 1
        for (int r = 0; r < kRows; ++r) {
            const Raw* from = row_data(r) + rows.first;
            const bool exists = rows.exists(r);
            uint32_t largest = 0;
#pragma unroll 4
            for (int o = threadIdx.x; o < octets; o += blockDim.x) {
                const Octet<Raw> octet =
                    load_octet(from + 8 * o, exists ? rows.columns - 8 * o : 0);
                rows.octet(r, o) = octet;
                if (!first_time) continue;
                uint32_t octet_largest = 0, octet_largest_any = 0;
#pragma unroll
                for (int i = 0; i < 8; ++i) {
                    const uint32_t magnitude = octet[i] & Element::kMagnitude;
                    octet_largest_any = max(octet_largest_any, magnitude);
                    octet_largest =
                        max(octet_largest, magnitude < Element::kInfinity ? magnitude : 0);
                }
                if (octet_largest_any >= Element::kInfinity && p.first_bad != nullptr)
                    note_bad(octet, rows.row(r), rows.first + 8 * o);
                if (one_scale) {
                    largest = max(largest, octet_largest);
                } else if (o < rows.groups * rows.group_octets) {
                    atomicMax(&rows.largest(r, o / rows.group_octets), octet_largest);
                }
            }
            if (one_scale && first_time) {
                largest = __reduce_max_sync(kAllLanes, largest);
                if (threadIdx.x % 32 == 0) atomicMax(&rows.largest(r, 0), largest);
            }
        }
    }

    __device__ void note_bad(const Octet<Raw>& octet, int64_t row, int64_t column) const {
        int bad = 8;
#pragma unroll
        for (int i = 7; i >= 0; --i)
            bad = (octet[i] & Element::kMagnitude) >= Element::kInfinity ? i : bad;
        atomicMin(reinterpret_cast<unsigned long long*>(p.first_bad),
                  static_cast<unsigned long long>(row * p.cols + column + bad));
    }

    __device__ __forceinline__ float largest(int r, int group) const {
        return Element::to_float(static_cast<Raw>(rows.largest(r, group)));
    }

    /// Scales of the staged groups, and their squared errors added to *error if p.errors wants
    /// them.
    __device__ __forceinline__ void choose_scales(double* error) {
        if (p.scale.candidates == 1 && p.errors == nullptr) {
#pragma unroll 1
            for (int i = threadIdx.x; i < kRows * rows.groups; i += blockDim.x) {
                const int r = i / rows.groups, g = i % rows.groups;
                rows.scale(r, g) =
                    rows.exists(r) ? group_scale(p.format, p.scale, largest(r, g), 0) : 1.0f;
            }
            __syncthreads();
            return;
        }
#pragma unroll 1
        for (int r = 0; r < kRows; ++r)
            search_scales(r, error);
    }

    /// Tasks are (group, candidate), the candidate running fastest; of equal ones the first wins.
    __device__ void search_scales(int r, double* error) {
        const int candidates = p.scale.candidates, teams = blockDim.x / kTeam;
        const int team = threadIdx.x / kTeam, lane = threadIdx.x % kTeam;
        const int64_t length = one_scale ? p.cols : p.group;
        const int64_t tasks = static_cast<int64_t>(rows.groups) * candidates;
        double best = 0.0;
        for (int64_t base = 0; base < tasks; base += teams) {
            const int64_t task = base + team;
            Measured sums{};
            if (task < tasks && rows.exists(r)) {
                const int group = static_cast<int>(task / candidates);
                sums.scale = group_scale(p.format, p.scale, largest(r, group),
                                         static_cast<int>(task - int64_t{group} * candidates));
                measure<false>(r, group * length, length, &sums);
            }
            reduce<false>(&sums);
            if (lane == 0) results[team] = sums;
            __syncthreads();
            if (threadIdx.x == 0) {
                for (int i = 0; i < teams && base + i < tasks; ++i) {
                    const int group = static_cast<int>((base + i) / candidates);
                    const int candidate = static_cast<int>(base + i - int64_t{group} * candidates);
                    const double unit = results[i].scale;
                    const double of_group = results[i].error * (unit * unit);
                    if (candidate == 0 || of_group < best) {
                        best = of_group;
                        rows.scale(r, group) = rows.exists(r) ? results[i].scale : 1.0f;
                    }
                    if (candidate == candidates - 1) *error += best;
                }
            }
            __syncthreads();
        }
    }

    /// Adds the statistics of the staged window to thread 0's record.
    __device__ void add_stats(RowRecord* record) {
        const int teams = blockDim.x / kTeam, team = threadIdx.x / kTeam;
        const int length = one_scale ? kStatsChunk : static_cast<int>(p.group);
        const int segments = (rows.columns + length - 1) / length;
        for (int base = 0; base < segments; base += teams) {
            Measured sums{};
            if (base + team < segments) {
                sums.scale = rows.scale(0, one_scale ? 0 : base + team);
                measure_staged<true>(0, (base + team) * length, length, &sums);
            }
            reduce<true>(&sums);
            if (threadIdx.x % kTeam == 0) results[team] = sums;
            __syncthreads();
            if (threadIdx.x == 0) {
                for (int i = 0; i < teams && base + i < segments; ++i) {
                    const Measured& of = results[i];
                    const double unit = of.scale;
                    record->squared_error += of.error * (unit * unit);
                    record->squared_signal += of.signal * (unit * unit);
                    const double worst = static_cast<double>(of.max_error) * unit;
                    if (worst > record->max_abs_error) record->max_abs_error = worst;
                    record->saturated += of.saturated;
                    record->non_finite += of.non_finite;
                }
            }
            __syncthreads();
        }
    }

    /// This lane's share of a segment, columns from the window's first on.
    template <bool kFull>
    __device__ __forceinline__ void measure(int r, int64_t begin, int64_t length,
                                            Measured* sums) const {
        if (one_scale && p.windows > 1) {  // the row is not staged as a whole
            const Raw* row = row_data(r);
            for (int64_t i = threadIdx.x % kTeam; i < p.cols; i += kTeam)
                measure_element<kFull>(row[i], sums);
        } else {
            measure_staged<kFull>(r, static_cast<int>(begin), static_cast<int>(length), sums);
        }
    }

    template <bool kFull>
    __device__ __forceinline__ void measure_staged(int r, int begin, int length,
                                                   Measured* sums) const {
        const int end = min(begin + length, rows.columns);
        for (int i = begin + threadIdx.x % kTeam; i < end; i += kTeam)
            measure_element<kFull>(rows.element(r, i), sums);
    }

    template <bool kFull>
    __device__ __forceinline__ void measure_element(Raw raw, Measured* sums) const {
        const bool finite = (raw & Element::kMagnitude) < Element::kInfinity;
        const Rounded rounded = round_to_grid(p.format, p.rounding != 0,
                                              __fdiv_rn(Element::to_float(raw), sums->scale));
        const float error = finite ? rounded.magnitude - rounded.value : 0.0f;
        sums->error += static_cast<double>(error) * static_cast<double>(error);
        if constexpr (kFull) {
            const double magnitude = finite ? rounded.magnitude : 0.0f;
            sums->signal += magnitude * magnitude;
            sums->max_error = fmaxf(sums->max_error, fabsf(error));
            sums->saturated += rounded.magnitude > p.format.saturated;
            sums->non_finite += !finite;
        }
    }

    /// Sums over a team, neighbours half a team apart first, as on the CPU. All lanes of a warp
    /// take part.
    template <bool kFull>
    __device__ __forceinline__ static void reduce(Measured* sums) {
#pragma unroll
        for (int step = kTeam / 2; step > 0; step /= 2) {
            sums->error += __shfl_xor_sync(kAllLanes, sums->error, step);
            if constexpr (kFull) {
                sums->signal += __shfl_xor_sync(kAllLanes, sums->signal, step);
                sums->max_error =
                    fmaxf(sums->max_error, __shfl_xor_sync(kAllLanes, sums->max_error, step));
                sums->saturated += __shfl_xor_sync(kAllLanes, sums->saturated, step);
                sums->non_finite += __shfl_xor_sync(kAllLanes, sums->non_finite, step);
            }
        }
    }

    const QuantParams& p;
    const Output& output;
    bool one_scale;
    int window_groups;
    StagedRows<Element> rows;
    Measured* results;
    uint8_t* output_shared;
};

/// The body of a kernel: `tasks` times kRows rows.
template <typename Element, typename Output>
__device__ __forceinline__ void quantize_rows(const QuantParams& p, const Output& output,
                                              int64_t tasks) {
    extern __shared__ __align__(16) uint8_t shared[];
    if (p.stop != nullptr && *p.stop != kNoBadElement) return;
    RowsQuantizer<Element, Output> quantizer(p, output, shared);
    for (int64_t task = blockIdx.x; task < tasks; task += gridDim.x)
        quantizer.run(task);
}

}  // namespace fp6llm::cuda
