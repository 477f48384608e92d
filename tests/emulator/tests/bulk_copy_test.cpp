// cp.async.bulk, its tensor forms, reductions, prefetches and groups, against plain models; tensor maps
// written and changed on the device.
#include <cmath>
#include <numeric>
#include <random>

#include "tests/emulator/driver/tensor_map.hpp"
#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

const char* const kShared = ".shared .align 8 .b64 bar;\n.shared .align 1024 .b8 tile[16384];\n";

/// Thread 0 initializes `bar` (%r20) for `count` arrivals and shows it to the async proxy. %r21 = tile,
/// %p30 = thread 0.
std::string prologue(int count = 1) {
    return "mov.u32 %r20, bar;\nmov.u32 %r21, tile;\nsetp.eq.u32 %p30, tx, 0;\n"
           "@%p30 mbarrier.init.shared.b64 [%r20], " +
           std::to_string(count) + ";\n@%p30 fence.mbarrier_init.release.cluster;\nbar.sync 0;\n";
}
std::string expect_bytes(int64_t bytes) {
    return "@%p30 mbarrier.arrive.expect_tx.shared.b64 %rd30, [%r20], " + std::to_string(bytes) +
           ";\n";
}
const char* const kWait =
    "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %p29, [%r20], 0;\n@!%p29 bra WAIT;\n";
/// Thread t copies words t, t + ntid, ... of `bytes` bytes of the tile to `to`.
std::string dump(int64_t bytes, const std::string& to) {
    return "mov.u32 %r22, %ntid.x;\nmov.u32 %r23, tx;\nDUMP:\nsetp.ge.u32 %p28, %r23, " +
           std::to_string(bytes / 4) +
           ";\n@%p28 bra DUMPED;\nshl.b32 %r24, %r23, 2;\nadd.u32 %r25, %r24, %r21;\n"
           "ld.shared.u32 %r26, [%r25];\ncvt.u64.u32 %rd31, %r24;\nadd.u64 %rd31, %rd31, " +
           to + ";\nst.global.u32 [%rd31], %r26;\nadd.u32 %r23, %r23, %r22;\nbra DUMP;\nDUMPED:\n";
}
/// Thread t writes words t, t + ntid, ... of `bytes` bytes of the tile from `from`, all become visible
/// to the async proxy.
std::string fill(int64_t bytes, const std::string& from) {
    return "mov.u32 %r22, %ntid.x;\nmov.u32 %r23, tx;\nFILL:\nsetp.ge.u32 %p28, %r23, " +
           std::to_string(bytes / 4) +
           ";\n@%p28 bra FILLED;\nshl.b32 %r24, %r23, 2;\nadd.u32 %r25, %r24, %r21;\n"
           "cvt.u64.u32 %rd31, %r24;\nadd.u64 %rd31, %rd31, " +
           from +
           ";\nld.global.u32 %r26, [%rd31];\nst.shared.u32 [%r25], %r26;\n"
           "add.u32 %r23, %r23, %r22;\nbra "
           "FILL;\nFILLED:\nfence.proxy.async.shared::cta;\nbar.sync 0;\n";
}

std::vector<uint8_t> noise(size_t bytes, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::vector<uint8_t> values(bytes);
    for (uint8_t& value : values)
        value = static_cast<uint8_t>(random());
    return values;
}

// ---- Linear copies -------------------------------------------------------------------------------

TEST(BulkCopy, LoadsForBothSharedSpaces) {
    for (const char* space : {"shared::cluster", "shared::cta"})
        for (const int bytes : {16, 48, 6144, 16384})
            for (uint64_t seed = 1; seed <= 5; ++seed) {
                const std::string body =
                    prologue() + expect_bytes(bytes) + "@%p30 cp.async.bulk." + space +
                    ".global.mbarrier::complete_tx::bytes [%r21], [a0], " + std::to_string(bytes) +
                    ", [%r20];\n" + kWait + dump(bytes, "a1");
                Gpu gpu(90, seed);
                gpu.load(kernel(90, 2, kShared, body));
                const auto in = noise(static_cast<size_t>(bytes));
                const uint64_t out = gpu.upload(std::vector<uint8_t>(in.size(), 0));
                const LaunchReport report = gpu.launch({gpu.upload(in), out}, 96);
                expect_clean(report);
                EXPECT_EQ(gpu.download<uint8_t>(out, in.size()), in);
                EXPECT_EQ(report.counters.bulk_load_bytes, in.size());
                EXPECT_EQ(report.counters.max_async_bytes_in_flight, in.size());
            }
}

TEST(BulkCopy, SeveralCopiesLandOnOneBarrier) {
    // Four pieces, two barriers' phases: whoever waits sees all of them.
    std::string body = prologue() + expect_bytes(4096);
    for (int i = 0; i < 4; ++i)
        body += "@%p30 add.u64 %rd" + std::to_string(i) + ", a0, " + std::to_string(1024 * i) +
                ";\n@%p30 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
                ".L2::cache_hint [%r21+" +
                std::to_string(1024 * i) + "], [%rd" + std::to_string(i) +
                "], 1024, [%r20], %rd9;\n";
    body = "createpolicy.fractional.L2::evict_first.b64 %rd9, 1.0;\n" + body + kWait +
           dump(4096, "a1");
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Gpu gpu(90, seed);
        gpu.load(kernel(90, 2, kShared, body));
        const auto in = noise(4096);
        const uint64_t out = gpu.upload(std::vector<uint8_t>(4096, 0));
        expect_clean(gpu.launch({gpu.upload(in), out}, 64));
        EXPECT_EQ(gpu.download<uint8_t>(out, 4096), in);
    }
}

TEST(BulkCopy, StoresInGroups) {
    const std::string store =
        "@%p30 cp.async.bulk.global.shared::cta.bulk_group [a1], [%r21], 2048;\n"
        "@%p30 cp.async.bulk.commit_group;\n@%p30 cp.async.bulk.wait_group.read 0;\n";
    Gpu gpu(90);
    gpu.load(kernel(90, 2, kShared, prologue() + fill(2048, "a0") + store));
    const auto in = noise(2048);
    const uint64_t out = gpu.upload(std::vector<uint8_t>(2048, 0));
    const LaunchReport report = gpu.launch({gpu.upload(in), out}, 64);
    expect_clean(report);
    EXPECT_EQ(gpu.download<uint8_t>(out, 2048), in);
    EXPECT_EQ(report.counters.bulk_store_bytes, 2048u);
}

TEST(BulkCopy, WritesTheBytesOfAMask) {
    Gpu gpu(90);
    gpu.load(kernel(
        90, 2, kShared,
        prologue() + fill(64, "a0") +
            "mov.u16 %h1, 0x8421;\n@%p30 cp.async.bulk.global.shared::cta.bulk_group.cp_mask "
            "[a1], [%r21], 64, %h1;\n@%p30 cp.async.bulk.commit_group;\n"
            "@%p30 cp.async.bulk.wait_group 0;\n"));
    const auto in = noise(64);
    const uint64_t out = gpu.upload(std::vector<uint8_t>(64, 0xAA));
    expect_clean(gpu.launch({gpu.upload(in), out}, 32));
    const auto got = gpu.download<uint8_t>(out, 64);
    for (size_t i = 0; i < 64; ++i)
        EXPECT_EQ(got[i], 0x8421 >> (i % 16) & 1 ? in[i] : 0xAA) << i;
}

TEST(BulkCopy, WaitsForGroupsInOrder) {
    // Three stores of the same tile; after wait_group.read N the tile of the newest N may not be
    // overwritten.
    for (int keep = 0; keep <= 3; ++keep) {
        std::string body = prologue() + fill(3072, "a0");
        for (int i = 0; i < 3; ++i)
            body += "@%p30 add.u64 %rd1, a1, " + std::to_string(1024 * i) +
                    ";\n@%p30 cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%r21+" +
                    std::to_string(1024 * i) + "], 1024;\n@%p30 cp.async.bulk.commit_group;\n";
        body += "@%p30 cp.async.bulk.wait_group.read " + std::to_string(keep) +
                ";\n@%p30 st.shared.u32 [%r21+1024], 5;\n@%p30 cp.async.bulk.wait_group.read 0;\n";
        Gpu gpu(90);
        gpu.load(kernel(90, 2, kShared, body));
        const uint64_t out = gpu.upload(std::vector<uint8_t>(3072, 0));
        const LaunchReport report = gpu.launch({gpu.upload(noise(3072)), out}, 32);
        EXPECT_EQ(has_finding(report, FindingKind::kSharedRace), keep > 1) << keep << "\n"
                                                                           << describe(report);
    }
}

TEST(BulkCopy, ExitBeforeTheReadIsFound) {
    Gpu gpu(90);
    gpu.load(kernel(90, 2, kShared,
                    prologue() + fill(64, "a0") +
                        "@%p30 cp.async.bulk.global.shared::cta.bulk_group [a1], [%r21], 64;\n"
                        "@%p30 cp.async.bulk.commit_group;\n"));
    const LaunchReport report =
        gpu.launch({gpu.upload(noise(64)), gpu.upload(std::vector<uint8_t>(64, 0))}, 32);
    EXPECT_TRUE(has_finding(report, FindingKind::kUnfinishedCopy)) << describe(report);
}

TEST(BulkCopy, ExitBeforeALoadLandsIsFound) {
    Gpu gpu(90);
    gpu.load(kernel(90, 1, kShared,
                    prologue() + expect_bytes(64) +
                        "@%p30 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
                        "[%r21], [a0], 64, [%r20];\n"));
    const LaunchReport report = gpu.launch({gpu.upload(noise(64))}, 32);
    EXPECT_TRUE(has_finding(report, FindingKind::kUnfinishedCopy)) << describe(report);
}

TEST(BulkCopy, ReducesIntoGlobalMemory) {
    // Eight blocks add the same 256 values.
    const auto reduce = [](const std::string& op, const std::vector<uint8_t>& in,
                           const std::vector<uint8_t>& before) {
        Gpu gpu(90);
        const std::string bytes = std::to_string(in.size());
        gpu.load(kernel(90, 2, kShared,
                        prologue() + fill(static_cast<int64_t>(in.size()), "a0") +
                            "@%p30 cp.reduce.async.bulk.global.shared::cta.bulk_group." + op +
                            " [a1], [%r21], " + bytes +
                            ";\n@%p30 cp.async.bulk.commit_group;\n"
                            "@%p30 cp.async.bulk.wait_group 0;\n"));
        const uint64_t out = gpu.upload(before);
        expect_clean(gpu.launch({gpu.upload(in), out}, 64, 8));
        return gpu.download<uint8_t>(out, before.size());
    };
    const auto bytes_of = [](const auto& values) {
        std::vector<uint8_t> bytes(values.size() * sizeof(values[0]));
        std::memcpy(bytes.data(), values.data(), bytes.size());
        return bytes;
    };
    std::vector<float> f(256), f_before(256), f_after(256);
    std::vector<uint32_t> u(256), u_before(256), u_after(256), x_after(256), inc_after(256);
    std::vector<int32_t> s(256), s_before(256), min_after(256);
    std::vector<uint64_t> q(128), q_before(128), q_after(128);
    std::vector<uint16_t> h(256), h_before(256), h_after(256), b(256), b_before(256), b_after(256);
    for (size_t i = 0; i < 256; ++i) {
        f[i] = static_cast<float>(i), f_before[i] = 0.5f, f_after[i] = 8 * f[i] + 0.5f;
        u[i] = static_cast<uint32_t>(i) * 0x01020304u, u_before[i] = 7;
        u_after[i] = 8 * u[i] + 7, x_after[i] = 7 | u[i];
        inc_after[i] = 7 >= u[i] ? 0 : 7;
        s[i] = static_cast<int32_t>(i) - 128, s_before[i] = -3, min_after[i] = std::min(s[i], -3);
        h[i] = static_cast<uint16_t>(encode_exact(static_cast<int>(i % 16), 5, 10));
        h_after[i] = static_cast<uint16_t>(encode_exact(static_cast<int>(i % 16) * 8, 5, 10));
        b[i] = static_cast<uint16_t>(encode_exact(static_cast<int>(i % 16), 8, 7));
        b_after[i] = static_cast<uint16_t>(encode_exact(static_cast<int>(i % 16) * 8, 8, 7));
    }
    for (size_t i = 0; i < 128; ++i)
        q[i] = i << 33, q_before[i] = 1, q_after[i] = (i << 36) + 1;
    EXPECT_EQ(reduce("add.f32", bytes_of(f), bytes_of(f_before)), bytes_of(f_after));
    EXPECT_EQ(reduce("add.u32", bytes_of(u), bytes_of(u_before)), bytes_of(u_after));
    EXPECT_EQ(reduce("or.b32", bytes_of(u), bytes_of(u_before)), bytes_of(x_after));
    EXPECT_EQ(reduce("min.s32", bytes_of(s), bytes_of(s_before)), bytes_of(min_after));
    EXPECT_EQ(reduce("add.u64", bytes_of(q), bytes_of(q_before)), bytes_of(q_after));
    EXPECT_EQ(reduce("add.noftz.f16", bytes_of(h), bytes_of(h_before)), bytes_of(h_after));
    EXPECT_EQ(reduce("add.noftz.bf16", bytes_of(b), bytes_of(b_before)), bytes_of(b_after));
    // inc wraps at the operand: eight times from 7 with limits 0 (stays 0) and large (7 + 8).
    for (size_t i = 0; i < 256; ++i)
        inc_after[i] = u[i] == 0 ? 0 : 15;
    EXPECT_EQ(reduce("inc.u32", bytes_of(u), bytes_of(u_before)), bytes_of(inc_after));
}

struct BadCopy {
    const char* name;
    const char* text;
    FindingKind kind;
};
class BulkMisuse : public testing::TestWithParam<BadCopy> {};
TEST_P(BulkMisuse, IsFound) {
    Gpu gpu(90);
    gpu.load(kernel(90, 1, kShared,
                    prologue() + expect_bytes(64) + "add.u64 %rd1, a0, 8;\n" +
                        replaced(GetParam().text, "LOAD",
                                 "@%p30 cp.async.bulk.shared::cluster.global.mbarrier::"
                                 "complete_tx::bytes ")));
    const LaunchReport report = gpu.launch({gpu.upload(noise(256))}, 32);
    EXPECT_TRUE(has_finding(report, GetParam().kind)) << describe(report);
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, BulkMisuse,
    testing::Values(
        BadCopy{"size", "LOAD [%r21], [a0], 60, [%r20];\n", FindingKind::kMisaligned},
        BadCopy{"source", "LOAD [%r21], [%rd1], 64, [%r20];\n", FindingKind::kMisaligned},
        BadCopy{"destination", "LOAD [%r21+8], [a0], 64, [%r20];\n", FindingKind::kMisaligned},
        BadCopy{"beyond_the_source", "LOAD [%r21], [a0], 272, [%r20];\n",
                FindingKind::kOutOfBounds},
        BadCopy{"beyond_shared_memory", "LOAD [%r21+16368], [a0], 64, [%r20];\n",
                FindingKind::kOutOfBounds},
        BadCopy{"no_barrier", "LOAD [%r21], [a0], 64, [%r21+1024];\n", FindingKind::kBadBarrier},
        BadCopy{"prefetch", "@%p30 cp.async.bulk.prefetch.L2.global [a0], 272;\n",
                FindingKind::kOutOfBounds}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(BulkCopy, NeedsABarrierThatTheEngineSees) {
    const std::string load =
        expect_bytes(64) +
        "@%p30 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r21], [a0], 64, "
        "[%r20];\n" +
        kWait;
    for (const char* fence :
         {"", "@%p30 fence.proxy.async;\n", "@%p30 fence.mbarrier_init.release.cluster;\n"}) {
        Gpu gpu(90);
        gpu.load(kernel(
            90, 1, kShared,
            replaced(prologue(), "@%p30 fence.mbarrier_init.release.cluster;\n", fence) + load));
        const LaunchReport report = gpu.launch({gpu.upload(noise(64))}, 32);
        EXPECT_EQ(has_finding(report, FindingKind::kAsyncProxy), *fence == 0) << describe(report);
    }
}

TEST(BulkCopy, RefusesUnknownForms) {
    for (const char* text :
         {"cp.async.bulk.shared::cluster.global.bulk_group [%r1], [%rd1], 16;",
          "cp.async.bulk.global.shared::cta.mbarrier::complete_tx::bytes [%rd1], [%r1], 16, [%r2];",
          "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
          "[%r1], "
          "[%rd1, {%r2, %r3, %r4}], [%r5], {%h1};",
          "cp.async.bulk.tensor.2d.shared::cluster.global.tile::gather4.mbarrier::complete_tx::"
          "bytes "
          "[%r1], [%rd1, {%r2, %r3, %r4, %r5, %r6}], [%r7];",
          "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r1], "
          "[%rd1, {%r2}], [%r7];",
          "cp.reduce.async.bulk.global.shared::cta.bulk_group.min.f32 [%rd1], [%r1], 16;",
          "cp.async.bulk.wait_group.write 0;",
          "tensormap.replace.tile.colour.global.b1024.b32 [%rd1], 1;"})
        expect_refused(kernel(90, 0, kShared, text));
    expect_refused(kernel(80, 0, kShared, "cp.async.bulk.prefetch.L2.global [%rd1], 16;"), 80);
}

// ---- Tensor copies -------------------------------------------------------------------------------

struct TensorCase {
    const char* name;
    TensorType type;
    int width;  ///< bytes of an element
    std::vector<int> extent, box, start;
    TensorSwizzle swizzle = TensorSwizzle::kNone;
    std::vector<int> step = {};
    TensorFill fill = TensorFill::kZero;
};

std::vector<TensorCase> tensor_cases() {
    using T = TensorType;
    using S = TensorSwizzle;
    return {
        {"line", T::kU8, 1, {100}, {32}, {16}},
        {"line_over_the_end", T::kF32, 4, {30}, {16}, {20}},
        {"line_before_the_start", T::kF32, 4, {30}, {16}, {-5}},
        {"plane", T::kF16, 2, {64, 20}, {24, 7}, {8, 3}},
        {"plane_over_a_corner", T::kF16, 2, {64, 20}, {32, 16}, {48, 12}},
        {"plane_before_a_corner", T::kBF16, 2, {64, 20}, {32, 16}, {-7, -3}},
        {"plane_outside", T::kF16, 2, {64, 20}, {32, 16}, {64, 0}},
        {"swizzle_32", T::kF16, 2, {64, 32}, {16, 24}, {16, 4}, S::k32},
        {"swizzle_64", T::kF16, 2, {64, 32}, {32, 24}, {8, 4}, S::k64},
        {"swizzle_128", T::kF16, 2, {128, 64}, {64, 48}, {64, 8}, S::k128},
        {"swizzle_128_over_the_end", T::kF16, 2, {120, 40}, {64, 48}, {72, 8}, S::k128},
        {"swizzle_128_bytes", T::kU8, 1, {256, 40}, {128, 33}, {40, 5}, S::k128},
        {"swizzle_128_of_narrow_rows", T::kF32, 4, {64, 40}, {16, 32}, {4, 5}, S::k128},
        {"space", T::kF32, 4, {20, 9, 8}, {8, 5, 4}, {6, 2, 5}},
        {"four", T::kU16, 2, {24, 6, 5, 4}, {8, 3, 2, 3}, {10, 2, 4, -1}},
        {"five", T::kS32, 4, {12, 4, 3, 4, 3}, {4, 3, 2, 2, 3}, {6, 2, 1, 3, 1}},
        {"doubles", T::kF64, 8, {12, 10}, {6, 4}, {3, 8}},
        {"every_second_row", T::kF32, 4, {24, 30}, {8, 16}, {4, 3}, S::kNone, {1, 2}},
        {"every_third_plane", T::kF16, 2, {24, 6, 14}, {8, 4, 8}, {0, 1, 2}, S::kNone, {1, 1, 3}},
        {"nan", T::kF32, 4, {30, 6}, {16, 8}, {20, -1}, S::kNone, {}, TensorFill::kNan},
        {"nan_half", T::kF16, 2, {30, 6}, {16, 8}, {20, -1}, S::kNone, {}, TensorFill::kNan},
        {"no_nan_of_integers",
         T::kS32,
         4,
         {30, 6},
         {16, 8},
         {20, -1},
         S::kNone,
         {},
         TensorFill::kNan},
    };
}

class TensorCopy : public testing::TestWithParam<TensorCase> {
  protected:
    int rank() const { return static_cast<int>(GetParam().extent.size()); }
    int step(int d) const {
        return GetParam().step.empty() ? 1 : GetParam().step[static_cast<size_t>(d)];
    }
    /// Bytes between elements of a dimension in global memory: rows padded to 16 bytes, and some.
    int64_t pitch(int d) const {
        const TensorCase& c = GetParam();
        int64_t bytes = c.width;
        for (int i = 0; i < d; ++i)
            bytes = i == 0 ? (bytes * c.extent[0] + 15) / 16 * 16 + 16
                           : bytes * c.extent[static_cast<size_t>(i)] + 32;
        return bytes;
    }
    int64_t tensor_bytes() const { return pitch(rank()); }
    int64_t box_bytes() const {
        int64_t bytes = GetParam().width;
        for (int d = 0; d < rank(); ++d)
            bytes *= counted(d);
        return bytes;
    }
    int counted(int d) const {
        const int box = GetParam().box[static_cast<size_t>(d)];
        return (box + step(d) - 1) / step(d);
    }
    TensorMap map(uint64_t address) const {
        const TensorCase& c = GetParam();
        TensorMap m{};
        m.magic = TensorMap::kMagic;
        m.address = address;
        m.type = c.type;
        m.rank = static_cast<uint8_t>(rank());
        m.interleave = TensorInterleave::kNone;
        m.swizzle = c.swizzle;
        m.fill = c.fill;
        for (int d = 0; d < rank(); ++d) {
            m.box[d] = static_cast<uint16_t>(c.box[static_cast<size_t>(d)]);
            m.last[d] = static_cast<uint32_t>(c.extent[static_cast<size_t>(d)] - 1);
            m.element_stride[d] = static_cast<uint8_t>(step(d));
            if (d > 0) m.stride[d - 1] = static_cast<uint64_t>(pitch(d));
        }
        return m;
    }
    std::vector<uint8_t> map_bytes(uint64_t address) const {
        const TensorMap m = map(address);
        std::vector<uint8_t> bytes(128, 0);
        std::memcpy(bytes.data(), &m, sizeof m);
        return bytes;
    }
    std::string form() const { return std::to_string(rank()) + "d"; }
    std::string coordinates() const {
        std::string text = "{";
        for (int d = 0; d < rank(); ++d)
            text += (d != 0 ? ", " : "") + std::to_string(GetParam().start[static_cast<size_t>(d)]);
        return text + "}";
    }

    /// fn(offset in the tile, offset in the tensor or -1 outside) for every element of the box, with
    /// the swizzle: piece j of a 128-byte line L lies at j ^ (L mod 2, 4, 8).
    template <typename Fn>
    void for_elements(Fn&& fn) const {
        const TensorCase& c = GetParam();
        const int64_t total = box_bytes() / c.width;
        for (int64_t e = 0; e < total; ++e) {
            int64_t rest = e, at = 0;
            bool inside = true;
            for (int d = 0; d < rank(); ++d) {
                const int64_t index = rest % counted(d);
                rest /= counted(d);
                const int64_t place = c.start[static_cast<size_t>(d)] + index * step(d);
                inside &= place >= 0 && place < c.extent[static_cast<size_t>(d)];
                at += place * pitch(d);
            }
            const int64_t offset = e * c.width, line = offset / 128, piece = offset / 16 % 8;
            int64_t moved = piece;
            if (c.swizzle == TensorSwizzle::k32) moved ^= line % 2;
            if (c.swizzle == TensorSwizzle::k64) moved ^= line % 4;
            if (c.swizzle == TensorSwizzle::k128) moved ^= line % 8;
            fn(line * 128 + moved * 16 + offset % 16, inside ? at : -1);
        }
    }
};

TEST_P(TensorCopy, Loads) {
    const TensorCase& c = GetParam();
    const std::string body =
        prologue() + expect_bytes(box_bytes()) + "@%p30 cp.async.bulk.tensor." + form() +
        ".shared::cluster.global.tile.mbarrier::complete_tx::bytes [%r21], [a0, " + coordinates() +
        "], [%r20];\n" + kWait + dump(box_bytes(), "a1");
    for (uint64_t seed = 1; seed <= 3; ++seed) {
        Gpu gpu(90, seed);
        gpu.load(kernel(90, 2, kShared, body));
        const auto tensor = noise(static_cast<size_t>(tensor_bytes()));
        const auto size = static_cast<size_t>(box_bytes());
        const uint64_t out = gpu.upload(std::vector<uint8_t>(size, 0xEE));
        const uint64_t m = gpu.upload(map_bytes(gpu.upload(tensor)));
        expect_clean(gpu.launch({m, out}, 64));
        const auto got = gpu.download<uint8_t>(out, size);
        std::vector<uint8_t> expected(size, 0);
        for_elements([&](int64_t tile, int64_t at) {
            uint8_t* to = &expected[static_cast<size_t>(tile)];
            if (at >= 0)
                std::memcpy(to, &tensor[static_cast<size_t>(at)], static_cast<size_t>(c.width));
            else if (c.fill == TensorFill::kNan && c.type == TensorType::kF32)
                std::memcpy(to, "\xFF\xFF\xFF\x7F", 4);
            else if (c.fill == TensorFill::kNan && c.type == TensorType::kF16)
                std::memcpy(to, "\xFF\x7F", 2);
        });
        EXPECT_EQ(got, expected);
    }
}

TEST_P(TensorCopy, Stores) {
    const TensorCase& c = GetParam();
    const std::string body = prologue() + fill(box_bytes(), "a2") + "@%p30 cp.async.bulk.tensor." +
                             form() + ".global.shared::cta.tile.bulk_group [a0, " + coordinates() +
                             "], [%r21];\n@%p30 cp.async.bulk.commit_group;\n"
                             "@%p30 cp.async.bulk.wait_group.read 0;\n";
    Gpu gpu(90);
    gpu.load(kernel(90, 3, kShared, body));
    const auto before = noise(static_cast<size_t>(tensor_bytes()), 2);
    const auto tile = noise(static_cast<size_t>(box_bytes()), 3);
    const uint64_t tensor = gpu.upload(before);
    expect_clean(gpu.launch({gpu.upload(map_bytes(tensor)), 0, gpu.upload(tile)}, 64));
    std::vector<uint8_t> expected = before;
    for_elements([&](int64_t from, int64_t at) {
        if (at >= 0)
            std::memcpy(&expected[static_cast<size_t>(at)], &tile[static_cast<size_t>(from)],
                        static_cast<size_t>(c.width));
    });
    EXPECT_EQ(gpu.download<uint8_t>(tensor, before.size()), expected);
}

INSTANTIATE_TEST_SUITE_P(Boxes, TensorCopy, testing::ValuesIn(tensor_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

/// A 2-d map of 32-bit elements, 64 x 16, box 16 x 8.
TensorMap simple_map(uint64_t address, TensorType type = TensorType::kF32) {
    TensorMap m{};
    m.magic = TensorMap::kMagic;
    m.address = address;
    m.type = type;
    m.rank = 2;
    m.box[0] = 16, m.box[1] = 8;
    m.last[0] = 63, m.last[1] = 15;
    m.element_stride[0] = m.element_stride[1] = 1;
    m.stride[0] = 256;
    return m;
}
std::vector<uint8_t> bytes_of(const TensorMap& map) {
    std::vector<uint8_t> bytes(128, 0);
    std::memcpy(bytes.data(), &map, sizeof map);
    return bytes;
}

TEST(TensorReduce, AddsAtomically) {
    // Eight blocks, boxes that overlap and stick out.
    const std::string body =
        prologue() + fill(512, "a1") +
        "mov.u32 %r1, %ctaid.x;\nmul.lo.u32 %r2, %r1, 8;\nsub.u32 %r3, %r1, 2;\n"
        "@%p30 cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [a0, {%r2, "
        "%r3}], "
        "[%r21];\n@%p30 cp.async.bulk.commit_group;\n@%p30 cp.async.bulk.wait_group 0;\n";
    Gpu gpu(90);
    gpu.load(kernel(90, 2, kShared, body));
    std::vector<float> tile(128), tensor(1024, 1.0f), expected(1024, 1.0f);
    std::iota(tile.begin(), tile.end(), 1.0f);
    const uint64_t at = gpu.upload(tensor);
    expect_clean(gpu.launch({gpu.upload(bytes_of(simple_map(at))), gpu.upload(tile)}, 32, 8));
    for (int block = 0; block < 8; ++block)
        for (int y = 0; y < 8; ++y)
            for (int x = 0; x < 16; ++x) {
                const int column = 8 * block + x, row = block - 2 + y;
                if (column < 64 && row >= 0 && row < 16)
                    expected[static_cast<size_t>(64 * row + column)] +=
                        tile[static_cast<size_t>(16 * y + x)];
            }
    EXPECT_EQ(gpu.download<float>(at, 1024), expected);
}

TEST(TensorPrefetch, ChecksTheMap) {
    Gpu gpu(90);
    gpu.load(kernel(90, 1, "", "cp.async.bulk.prefetch.tensor.2d.L2.global.tile [a0, {4, 4}];\n"));
    const uint64_t tensor = gpu.upload(std::vector<float>(1024, 1));
    expect_clean(gpu.launch({gpu.upload(bytes_of(simple_map(tensor)))}, 1));
    const LaunchReport report = gpu.launch({gpu.upload(std::vector<uint8_t>(128, 1))}, 1);
    EXPECT_TRUE(has_finding(report, FindingKind::kBadDescriptor));
}

TEST(TensorMaps, ComeAsParameters) {
    const std::string ptx =
        ".version 8.4\n.target sm_90a\n.address_size 64\n" + std::string(kShared) +
        ".visible .entry k(.param .align 64 .b8 map[128], .param .u64 out)\n{\n.reg .pred %p<32>;\n"
        ".reg .b32 %r<64>;\n.reg .b64 %rd<64>;\n.reg .b32 tx;\n.reg .b64 a1;\nmov.u32 tx, %tid.x;\n"
        "ld.param.u64 a1, [out];\nmov.b64 %rd1, map;\ncvta.param.u64 %rd2, %rd1;\n" +
        prologue() + expect_bytes(512) +
        "@%p30 prefetch.tensormap [%rd2];\n"
        "@%p30 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r21], "
        "[%rd2, {0, 0}], [%r20];\n" +
        kWait + dump(512, "a1") + "ret;\n}\n";
    Gpu gpu(90);
    gpu.load(ptx);
    std::vector<float> tensor(1024);
    std::iota(tensor.begin(), tensor.end(), 0.0f);
    const uint64_t out = gpu.upload(std::vector<float>(128, -1));
    auto parameters = bytes_of(simple_map(gpu.upload(tensor)));
    parameters.resize(136);
    std::memcpy(&parameters[128], &out, 8);
    expect_clean(gpu.launch_bytes(parameters, 32));
    const auto got = gpu.download<float>(out, 128);
    for (size_t i = 0; i < 128; ++i)
        EXPECT_EQ(got[i], tensor[i / 16 * 64 + i % 16]);
}

TEST(TensorMaps, ChangeOnTheDevice) {
    // One warp copies a map to shared memory, gives it another address, height and box, and publishes
    // it; then it is used.
    const std::string body =
        prologue() +
        ".reg .b32 map;\nadd.u32 map, %r21, 4096;\nshl.b32 %r1, lane, 2;\ncvt.u64.u32 %rd1, %r1;\n"
        "add.u64 %rd1, %rd1, a0;\nld.global.u32 %r2, [%rd1];\nadd.u32 %r3, map, %r1;\n"
        "st.shared.u32 [%r3], %r2;\nbar.warp.sync 0xffffffff;\n"
        "@%p30 tensormap.replace.tile.global_address.shared::cta.b1024.b64 [map], a3;\n"
        "@%p30 tensormap.replace.tile.global_dim.shared::cta.b1024.b32 [map], 1, 3;\n"
        "@%p30 tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [map], 0, 8;\n"
        "bar.warp.sync 0xffffffff;\n"
        "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.gpu.sync.aligned "
        "[a2], "
        "[map], 128;\n"
        "fence.proxy.tensormap::generic.acquire.gpu [a2], 128;\n" +
        expect_bytes(256) +
        "@%p30 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%r21], "
        "[a2, {0, 0}], [%r20];\n" +
        kWait + dump(256, "a1");
    Gpu gpu(90);
    gpu.load(kernel(90, 4, kShared, body));
    std::vector<float> one(1024, 1), two(1024);
    std::iota(two.begin(), two.end(), 5.0f);
    const uint64_t out = gpu.upload(std::vector<float>(64, -1));
    expect_clean(gpu.launch({gpu.upload(bytes_of(simple_map(gpu.upload(one)))), out,
                             gpu.allocate(128), gpu.upload(two)},
                            32));
    const auto got = gpu.download<float>(out, 64);
    for (size_t i = 0; i < 64; ++i)
        EXPECT_EQ(got[i], i / 8 < 3 ? two[i / 8 * 64 + i % 8] : 0.0f) << i;
}

struct BadMap {
    const char* name;
    void (*spoil)(TensorMap&);
};
class TensorMisuse : public testing::TestWithParam<BadMap> {};
TEST_P(TensorMisuse, IsFound) {
    Gpu gpu(90);
    gpu.load(
        kernel(90, 1, kShared,
               prologue() + expect_bytes(512) +
                   "@%p30 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx"
                   "::bytes [%r21], [a0, {0, 0}], [%r20];\n"));
    TensorMap map = simple_map(gpu.upload(std::vector<float>(1024, 1)));
    GetParam().spoil(map);
    const LaunchReport report = gpu.launch({gpu.upload(bytes_of(map))}, 32);
    EXPECT_TRUE(has_finding(report, FindingKind::kBadDescriptor)) << describe(report);
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, TensorMisuse,
    testing::Values(
        BadMap{"no_map", [](TensorMap& m) { m.magic = 0; }},
        BadMap{"other_rank", [](TensorMap& m) { m.rank = 3; }},
        BadMap{"interleaved", [](TensorMap& m) { m.interleave = TensorInterleave::k16; }},
        BadMap{"newer_swizzle", [](TensorMap& m) { m.swizzle = TensorSwizzle::k128Atom32; }},
        BadMap{"odd_rows", [](TensorMap& m) { m.box[0] = 3; }},
        BadMap{"rows_wider_than_the_swizzle",
               [](TensorMap& m) { m.swizzle = TensorSwizzle::k32; }}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(TensorMaps, OutsideTheirAllocationAreFound) {
    // The map says 16 rows, the allocation has 8.
    Gpu gpu(90);
    gpu.load(
        kernel(90, 1, kShared,
               prologue() + expect_bytes(512) +
                   "@%p30 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx"
                   "::bytes [%r21], [a0, {0, 4}], [%r20];\n"));
    const LaunchReport report =
        gpu.launch({gpu.upload(bytes_of(simple_map(gpu.upload(std::vector<float>(512, 1)))))}, 32);
    EXPECT_TRUE(has_finding(report, FindingKind::kOutOfBounds)) << describe(report);
}

// ---- Clusters ------------------------------------------------------------------------------------

const char* const kClusterSync =
    "barrier.cluster.arrive.release.aligned;\n"
    "barrier.cluster.wait.acquire.aligned;\n";

TEST(Multicast, ReachesBothBlocks) {
    // Block r loads half r of 4096 bytes for both; each waits for the whole on its own barrier.
    const std::string body =
        prologue() + kClusterSync + expect_bytes(4096) +
        "mov.u32 %r1, %cluster_ctarank;\nmul.lo.u32 %r2, %r1, 2048;\nadd.u32 %r3, %r21, %r2;\n"
        "cvt.u64.u32 %rd1, %r2;\nadd.u64 %rd1, %rd1, a0;\nmov.u16 %h1, 3;\n"
        "@%p30 "
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%r3], [%rd1], 2048, [%r20], %h1;\n" +
        kWait + "mul.wide.u32 %rd2, %r1, 4096;\nadd.u64 %rd2, %rd2, a1;\n" + dump(4096, "%rd2") +
        kClusterSync;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Gpu gpu(90, seed);
        gpu.load(kernel(90, 2, kShared, body));
        const auto in = noise(4096);
        const uint64_t out = gpu.upload(std::vector<uint8_t>(8192, 0));
        expect_clean(gpu.launch({gpu.upload(in), out}, 64, 2, 2));
        const auto got = gpu.download<uint8_t>(out, 8192);
        EXPECT_TRUE(std::equal(in.begin(), in.end(), got.begin())) << seed;
        EXPECT_TRUE(std::equal(in.begin(), in.end(), got.begin() + 4096)) << seed;
    }
}

TEST(Multicast, OfTensorsReachesThoseOfTheMask) {
    // Block 2 of 4 loads a box for blocks 1 and 3.
    const std::string body =
        prologue() + kClusterSync +
        "mov.u32 %r1, %cluster_ctarank;\nand.b32 %r2, %r1, 1;\nsetp.eq.u32 %p1, %r2, 1;\n"
        "setp.eq.u32 %p2, %r1, 2;\nand.pred %p3, %p1, %p30;\nand.pred %p4, %p2, %p30;\n"
        "@%p3 mbarrier.arrive.expect_tx.shared.b64 %rd30, [%r20], 512;\nmov.u16 %h1, 10;\n"
        "@%p4 cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        ".multicast::cluster [%r21], [a0, {16, 2}], [%r20], %h1;\n"
        "@!%p1 bra AFTER;\n" +
        kWait + "mul.wide.u32 %rd2, %r1, 512;\nadd.u64 %rd2, %rd2, a1;\n" + dump(512, "%rd2") +
        "AFTER:\n" + kClusterSync;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Gpu gpu(90, seed);
        gpu.load(kernel(90, 2, kShared, body));
        std::vector<float> tensor(1024);
        std::iota(tensor.begin(), tensor.end(), 0.0f);
        const uint64_t out = gpu.upload(std::vector<float>(512, -1));
        expect_clean(
            gpu.launch({gpu.upload(bytes_of(simple_map(gpu.upload(tensor)))), out}, 32, 4, 4));
        const auto got = gpu.download<float>(out, 512);
        for (size_t i = 0; i < 512; ++i)
            ASSERT_EQ(got[i],
                      i / 128 % 2 == 1 ? tensor[(i % 128 / 16 + 2) * 64 + 16 + i % 16] : -1.0f);
    }
}

TEST(Multicast, OutsideTheClusterIsFound) {
    Gpu gpu(90);
    gpu.load(kernel(90, 1, kShared,
                    prologue() +
                        "mov.u16 %h1, 6;\n@%p30 cp.async.bulk.shared::cluster.global.mbarrier::"
                        "complete_tx::bytes.multicast::cluster [%r21], [a0], 64, [%r20], %h1;\n"));
    const LaunchReport report = gpu.launch({gpu.upload(noise(64))}, 32, 2, 2);
    EXPECT_TRUE(has_finding(report, FindingKind::kOutOfBounds)) << describe(report);
}

TEST(BulkCopy, CopiesAndReducesBetweenBlocks) {
    // Block 0 copies its tile to block 1, block 1 adds its tile to block 0's second half.
    const std::string body =
        prologue() + fill(1024, "a0") +
        "mov.u32 %r1, %cluster_ctarank;\nxor.b32 %r2, %r1, 1;\n"
        "mapa.shared::cluster.u32 %r3, %r21, %r2;\nmapa.shared::cluster.u32 %r4, %r20, %r2;\n"
        "setp.eq.u32 %p1, %r1, 0;\nand.pred %p2, %p1, %p30;\nnot.pred %p3, %p1;\nand.pred %p3, "
        "%p3, %p30;\n" +
        expect_bytes(512) + kClusterSync +
        "@%p2 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r3+1024], "
        "[%r21], "
        "512, [%r4];\n"
        "@%p3 "
        "cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.add.u32 "
        "[%r3+512], [%r21], 512, [%r4];\n" +
        kWait +
        "mul.wide.u32 %rd2, %r1, 2048;\nadd.u64 %rd2, %rd2, a1;\n@%p1 bra ZERO;\nadd.u32 %r21, "
        "%r21, 512;\n"
        "ZERO:\nadd.u32 %r21, %r21, 512;\n" +
        dump(512, "%rd2") + kClusterSync;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
        Gpu gpu(90, seed);
        gpu.load(kernel(90, 2, kShared, body));
        std::vector<uint32_t> in(256);
        std::iota(in.begin(), in.end(), 100u);
        const uint64_t out = gpu.upload(std::vector<uint32_t>(1024, 0));
        expect_clean(gpu.launch({gpu.upload(in), out}, 64, 2, 2));
        const auto got = gpu.download<uint32_t>(out, 1024);
        for (size_t i = 0; i < 128; ++i) {
            ASSERT_EQ(got[i], in[i] + in[i + 128]);
            ASSERT_EQ(got[512 + i], in[i]);
        }
    }
}

}  // namespace
}  // namespace emulator
