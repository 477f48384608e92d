// usage: emulator_cub_check [<seeds>]
// CUB's block-wide and device-wide sorts, scans and reductions against the standard library. A seed
// decides the data, the sizes and the emulated GPU's schedule; any finding is a failure, too. Runs
// on a real GPU as well, where there are no findings.
#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/version.cuh>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/emulator/driver/control.h"

namespace {

/// x -> a * x + b mod 2^32. Composition is associative and not commutative, so that a scan that
/// swaps or forgets an operand gives another result.
struct Affine {
    uint32_t a, b;
    bool operator==(const Affine& other) const { return a == other.a && b == other.b; }
};

struct Compose {
    __host__ __device__ Affine operator()(const Affine& first, const Affine& second) const {
        return {first.a * second.a, first.b * second.a + second.b};
    }
};

struct Larger {
    template <typename T>
    __host__ __device__ T operator()(T x, T y) const {
        return x < y ? y : x;
    }
};

int g_failures = 0;
uint64_t g_seed = 0;

void fail(const std::string& what) {
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(g_seed), what.c_str());
    ++g_failures;
}

void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    fail(std::string(what) + ": " + cudaGetErrorString(error));
    std::exit(1);
}

template <typename T>
void expect_equal(const std::vector<T>& got, const std::vector<T>& expected, const char* what,
                  size_t n) {
    if (got == expected) return;
    const auto at = std::mismatch(got.begin(), got.end(), expected.begin()).first - got.begin();
    fail(std::string(what) + " of " + std::to_string(n) + ": wrong from element " +
         std::to_string(at));
}

/// Device memory of n elements, never none.
template <typename T>
class Array {
  public:
    explicit Array(size_t n) : n_(n) {
        check(cudaMalloc(&data_, std::max<size_t>(n, 1) * sizeof(T)), "cudaMalloc");
    }
    explicit Array(const std::vector<T>& host) : Array(host.size()) {
        check(cudaMemcpy(data_, host.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "copy in");
    }
    ~Array() { cudaFree(data_); }
    Array(const Array&) = delete;

    T* data() const { return data_; }
    std::vector<T> host() const {
        std::vector<T> out(n_);
        check(cudaMemcpy(out.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost), "copy out");
        return out;
    }

  private:
    size_t n_;
    T* data_ = nullptr;
};

/// Calls one of CUB's device-wide functions twice, as they want it: for the size of its workspace,
/// then in earnest. The workspace is new and thus uninitialized each time.
template <typename Function>
void in_workspace(const char* what, Function&& function) {
    size_t bytes = 0;
    check(function(nullptr, bytes), what);
    const Array<uint8_t> workspace(bytes);
    check(function(workspace.data(), bytes), what);
    check(cudaDeviceSynchronize(), what);
}

// Block-wide: one block does all; thread t has elements t * items to (t + 1) * items - 1.

template <int threads, int items, typename Key>
__global__ void __launch_bounds__(threads)
    block_sort(const Key* in, Key* out, uint32_t* order, int n, Key padding) {
    using Sort = cub::BlockRadixSort<Key, threads, items, uint32_t>;
    __shared__ typename Sort::TempStorage storage;
    Key keys[items];
    uint32_t values[items];
    for (int i = 0; i < items; ++i) {
        const int at = static_cast<int>(threadIdx.x) * items + i;
        keys[i] = at < n ? in[at] : padding;
        values[i] = at;
    }
    Sort(storage).Sort(keys, values);
    for (int i = 0; i < items; ++i) {
        const int at = static_cast<int>(threadIdx.x) * items + i;
        if (at < n) out[at] = keys[i];
        if (at < n) order[at] = values[i];
    }
}

template <int threads, int items, cub::BlockScanAlgorithm algorithm>
__global__ void __launch_bounds__(threads)
    block_scan(const Affine* in, Affine* out, Affine* total, int n) {
    using Scan = cub::BlockScan<Affine, threads, algorithm>;
    __shared__ typename Scan::TempStorage storage;
    Affine values[items];
    for (int i = 0; i < items; ++i) {
        const int at = static_cast<int>(threadIdx.x) * items + i;
        values[i] = at < n ? in[at] : Affine{1, 0};
    }
    Affine sum;
    Scan(storage).InclusiveScan(values, values, Compose(), sum);
    for (int i = 0; i < items; ++i) {
        const int at = static_cast<int>(threadIdx.x) * items + i;
        if (at < n) out[at] = values[i];
    }
    if (threadIdx.x == threads - 1) *total = sum;
}

template <int threads, cub::BlockReduceAlgorithm algorithm>
__global__ void __launch_bounds__(threads)
    block_reduce(const int* in, int* sum, int* maximum, int n) {
    using Reduce = cub::BlockReduce<int, threads, algorithm>;
    __shared__ typename Reduce::TempStorage storage;
    const int value = static_cast<int>(threadIdx.x) < n ? in[threadIdx.x] : 0;
    const int total = Reduce(storage).Sum(value, n);
    __syncthreads();
    const int largest = Reduce(storage).Reduce(value, Larger(), n);
    if (threadIdx.x == 0) {
        *sum = total;
        *maximum = largest;
    }
}

/// Few bits, so that equal keys show whether a sort is stable, or all of them.
template <typename T>
std::vector<T> random_keys(std::mt19937_64& random, size_t n) {
    const uint64_t mask = random() % 2 == 0 ? 0x1F : ~uint64_t{0};
    std::vector<T> out(n);
    for (T& x : out)
        x = static_cast<T>(random() & mask);
    return out;
}

/// Both zeros and infinities among them, no NaN.
std::vector<float> random_floats(std::mt19937_64& random, size_t n) {
    std::vector<float> out(n);
    for (float& x : out) {
        const auto bits = static_cast<uint32_t>(random());
        std::memcpy(&x, &bits, sizeof x);
        if (bits % 16 == 0 || !(x == x)) x = bits & 0x10 ? 0.0f : -0.0f;
        if (bits % 16 == 1)
            x = std::numeric_limits<float>::infinity() * (bits & 0x10 ? 1.0f : -1.0f);
    }
    return out;
}

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
    std::vector<uint32_t> out(values.size());
    std::memcpy(out.data(), values.data(), values.size() * sizeof(float));
    return out;
}

std::vector<Affine> random_maps(std::mt19937_64& random, size_t n) {
    std::vector<Affine> out(n);
    for (Affine& map : out)
        map = {static_cast<uint32_t>(random()) | 1, static_cast<uint32_t>(random())};
    return out;
}

/// Where a stable sort by key takes each element from.
template <typename Key>
std::vector<uint32_t> stable_order(const std::vector<Key>& keys) {
    std::vector<uint32_t> order(keys.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t x, uint32_t y) { return keys[x] < keys[y]; });
    return order;
}

template <int threads, int items, typename Key>
void check_block_sort(std::mt19937_64& random) {
    const size_t n = 1 + random() % (threads * items);
    const std::vector<Key> keys = random_keys<Key>(random, n);
    const Array<Key> in(keys), out(n);
    const Array<uint32_t> order(n);
    block_sort<threads, items, Key><<<1, threads>>>(
        in.data(), out.data(), order.data(), static_cast<int>(n), std::numeric_limits<Key>::max());
    check(cudaDeviceSynchronize(), "BlockRadixSort");
    std::vector<Key> sorted = keys;
    std::sort(sorted.begin(), sorted.end());
    expect_equal(out.host(), sorted, "BlockRadixSort, keys", n);
    expect_equal(order.host(), stable_order(keys), "BlockRadixSort, values", n);
}

template <int threads, int items, cub::BlockScanAlgorithm algorithm>
void check_block_scan(std::mt19937_64& random, const char* what) {
    const size_t n = 1 + random() % (threads * items);
    const std::vector<Affine> maps = random_maps(random, n);
    const Array<Affine> in(maps), out(n), total(1);
    block_scan<threads, items, algorithm>
        <<<1, threads>>>(in.data(), out.data(), total.data(), static_cast<int>(n));
    check(cudaDeviceSynchronize(), what);
    std::vector<Affine> expected(n);
    std::partial_sum(maps.begin(), maps.end(), expected.begin(), Compose());
    expect_equal(out.host(), expected, what, n);
    expect_equal(total.host(), {expected.back()}, what, n);
}

template <int threads, cub::BlockReduceAlgorithm algorithm>
void check_block_reduce(std::mt19937_64& random, const char* what) {
    const size_t n = 1 + random() % threads;
    std::vector<int> values(n);
    for (int& x : values)
        x = static_cast<int>(random() % 2000000) - 1000000;
    const Array<int> in(values), sum(1), maximum(1);
    block_reduce<threads, algorithm>
        <<<1, threads>>>(in.data(), sum.data(), maximum.data(), static_cast<int>(n));
    check(cudaDeviceSynchronize(), what);
    expect_equal(sum.host(), {std::accumulate(values.begin(), values.end(), 0)}, what, n);
    expect_equal(maximum.host(), {*std::max_element(values.begin(), values.end())}, what, n);
}

void check_block(std::mt19937_64& random) {
    check_block_sort<128, 4, int32_t>(random);
    check_block_sort<96, 3, uint16_t>(random);
    check_block_scan<96, 3, cub::BLOCK_SCAN_RAKING>(random, "BlockScan, raking");
    check_block_scan<128, 1, cub::BLOCK_SCAN_RAKING_MEMOIZE>(random, "BlockScan, memoize");
    check_block_scan<128, 2, cub::BLOCK_SCAN_WARP_SCANS>(random, "BlockScan, warp scans");
    check_block_reduce<127, cub::BLOCK_REDUCE_RAKING>(random, "BlockReduce, raking");
    check_block_reduce<256, cub::BLOCK_REDUCE_RAKING_COMMUTATIVE_ONLY>(random,
                                                                       "BlockReduce, commutative");
    check_block_reduce<33, cub::BLOCK_REDUCE_WARP_REDUCTIONS>(random, "BlockReduce, warps");
}

// Device-wide.

template <typename Key>
void check_sort(std::mt19937_64& random, size_t n) {
    const std::vector<Key> keys = random_keys<Key>(random, n);
    std::vector<uint32_t> places(n);
    std::iota(places.begin(), places.end(), 0);
    const Array<Key> in(keys), out(n);
    const Array<uint32_t> values(places), order(n);
    in_workspace("DeviceRadixSort::SortPairs", [&](void* workspace, size_t& bytes) {
        return cub::DeviceRadixSort::SortPairs(workspace, bytes, in.data(), out.data(),
                                               values.data(), order.data(), static_cast<int>(n));
    });
    std::vector<Key> sorted = keys;
    std::sort(sorted.begin(), sorted.end());
    expect_equal(out.host(), sorted, "DeviceRadixSort::SortPairs, keys", n);
    expect_equal(order.host(), stable_order(keys), "DeviceRadixSort::SortPairs, values", n);
}

void check_sort_descending(std::mt19937_64& random, size_t n) {
    std::vector<float> keys = random_floats(random, n);
    const Array<float> in(keys), out(n);
    in_workspace("DeviceRadixSort::SortKeysDescending", [&](void* workspace, size_t& bytes) {
        return cub::DeviceRadixSort::SortKeysDescending(workspace, bytes, in.data(), out.data(),
                                                        static_cast<int>(n));
    });
    std::stable_sort(keys.begin(), keys.end(), std::greater<float>());
    expect_equal(bits_of(out.host()), bits_of(keys), "DeviceRadixSort::SortKeysDescending", n);
}

void check_scan(std::mt19937_64& random, size_t n) {
    const std::vector<uint32_t> numbers = random_keys<uint32_t>(random, n);
    const std::vector<Affine> maps = random_maps(random, n);
    const Array<uint32_t> in(numbers), out(n);
    const Array<Affine> maps_in(maps), maps_out(n);
    in_workspace("DeviceScan::ExclusiveSum", [&](void* workspace, size_t& bytes) {
        return cub::DeviceScan::ExclusiveSum(workspace, bytes, in.data(), out.data(),
                                             static_cast<int>(n));
    });
    in_workspace("DeviceScan::InclusiveScan", [&](void* workspace, size_t& bytes) {
        return cub::DeviceScan::InclusiveScan(workspace, bytes, maps_in.data(), maps_out.data(),
                                              Compose(), static_cast<int>(n));
    });
    std::vector<uint32_t> sums(n);
    std::exclusive_scan(numbers.begin(), numbers.end(), sums.begin(), uint32_t{0});
    expect_equal(out.host(), sums, "DeviceScan::ExclusiveSum", n);
    std::vector<Affine> composed(n);
    std::partial_sum(maps.begin(), maps.end(), composed.begin(), Compose());
    expect_equal(maps_out.host(), composed, "DeviceScan::InclusiveScan", n);
}

void check_reduce(std::mt19937_64& random, size_t n) {
    const std::vector<uint32_t> numbers = random_keys<uint32_t>(random, n);
    const std::vector<float> floats = random_floats(random, n);
    const Array<uint32_t> in(numbers), sum(1);
    const Array<float> floats_in(floats), maximum(1);
    const float least = -std::numeric_limits<float>::infinity();
    in_workspace("DeviceReduce::Sum", [&](void* workspace, size_t& bytes) {
        return cub::DeviceReduce::Sum(workspace, bytes, in.data(), sum.data(), static_cast<int>(n));
    });
    in_workspace("DeviceReduce::Reduce", [&](void* workspace, size_t& bytes) {
        return cub::DeviceReduce::Reduce(workspace, bytes, floats_in.data(), maximum.data(),
                                         static_cast<int>(n), Larger(), least);
    });
    expect_equal(sum.host(), {std::accumulate(numbers.begin(), numbers.end(), uint32_t{0})},
                 "DeviceReduce::Sum", n);
    expect_equal(maximum.host(), {std::accumulate(floats.begin(), floats.end(), least, Larger())},
                 "DeviceReduce::Reduce", n);
}

/// The emulated driver's controls; all null on a real one.
struct Control {
    decltype(&emulatorSetSeed) set_seed;
    decltype(&emulatorReportCount) report_count;
    decltype(&emulatorGetReport) report;
    decltype(&emulatorClearReports) clear;
    decltype(&emulatorFindingCount) finding_count;

    Control() {
        load(set_seed, "emulatorSetSeed");
        load(report_count, "emulatorReportCount");
        load(report, "emulatorGetReport");
        load(clear, "emulatorClearReports");
        load(finding_count, "emulatorFindingCount");
    }

    /// Says what the detectors found since the last call, and forgets it.
    void check_findings() const {
        if (!finding_count) return;
        if (const unsigned long long count = finding_count()) {
            fail(std::to_string(count) + " findings");
            for (int i = 0; i < report_count(); ++i)
                if (!std::strstr(report(i), "\"findings\": []")) std::printf("%s\n", report(i));
        }
        clear();
    }

  private:
    template <typename Function>
    static void load(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }
};

}  // namespace

int main(int argc, char** argv) {
    const int seeds = argc > 1 ? std::atoi(argv[1]) : 20;
    check(cudaFree(nullptr), "cudaFree(nullptr)");
    const Control control;
    if (std::getenv("EMU_ARCH") && !control.finding_count) {
        std::printf("EMU_ARCH is set, but this is not the emulated GPU\n");
        return 1;
    }
    int launches = 0;
    for (int seed = 1; seed <= seeds; ++seed) {
        g_seed = seed;
        std::mt19937_64 random(seed);
        if (control.set_seed) control.set_seed(seed);
        check_block(random);
        const size_t awkward[] = {0, 1, 31, 32, 33, 257, 1023, 4096, 4097};
        // The last is several tiles of anything.
        const size_t sizes[] = {awkward[seed % std::size(awkward)], 2 + random() % 3000,
                                18000 + random() % 8000};
        for (const size_t n : sizes) {
            check_sort<uint32_t>(random, n);
            check_sort<uint16_t>(random, n);  // which CUB does by other kernels
            check_sort_descending(random, n);
            check_scan(random, n);
            check_reduce(random, n);
        }
        if (control.report_count) launches += control.report_count();
        control.check_findings();
    }
    std::printf("CUB %d.%d.%d: %d seeds, %d launches, %d failures\n", CUB_MAJOR_VERSION,
                CUB_MINOR_VERSION, CUB_SUBMINOR_VERSION, seeds, launches, g_failures);
    return g_failures != 0;
}
