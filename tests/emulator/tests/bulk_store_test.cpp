// Bulk stores. Those that several lanes of a warp execute at once: equal ones are one copy, as ptxas makes of
// them (one instruction of the uniform datapath per distinct operands), reductions are one per lane.
#include <numeric>

#include "tests/emulator/driver/tensor_map.hpp"
#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {
namespace {

constexpr uint64_t kSeeds = 20;

/// All 64 threads copy 1024 bytes from a1 into the tile, the async proxy sees them, and warp 0 goes on
/// with `body`. %r21 = tile, %r1 = 1 in odd lanes.
std::string stored_by_warp_0(const std::string& body) {
    return kernel(90, 3, ".shared .align 1024 .b8 tile[1024];\n",
                  "mov.u32 %r21, tile;\nmul.lo.u32 %r2, tx, 16;\nadd.u32 %r3, %r21, %r2;\n"
                  "cvt.u64.u32 %rd1, %r2;\nadd.u64 %rd1, %rd1, a1;\n"
                  "ld.global.v4.u32 {%r4, %r5, %r6, %r7}, [%rd1];\n"
                  "st.shared.v4.u32 [%r3], {%r4, %r5, %r6, %r7};\n"
                  "fence.proxy.async.shared::cta;\nbar.sync 0;\nand.b32 %r1, lane, 1;\n"
                  "setp.ne.u32 %p1, warp, 0;\n@%p1 bra END;\n" +
                      body +
                      "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group.read 0;\nEND:\n");
}

/// Of the 16 x 32 floats at `address`, boxes of 16 x 8.
std::vector<uint8_t> map_bytes(uint64_t address) {
    TensorMap map{};
    map.magic = TensorMap::kMagic;
    map.address = address;
    map.type = TensorType::kF32;
    map.rank = 2;
    map.box[0] = 16, map.box[1] = 8;
    map.last[0] = 15, map.last[1] = 31;
    map.element_stride[0] = map.element_stride[1] = 1;
    map.stride[0] = 64;
    std::vector<uint8_t> bytes(128, 0);
    std::memcpy(bytes.data(), &map, sizeof map);
    return bytes;
}

struct Stored {
    LaunchReport report;
    std::vector<float> in, out;
};

Stored run(const std::string& body, uint64_t seed) {
    Gpu gpu(90, seed);
    gpu.load(stored_by_warp_0(body));
    Stored result;
    result.in.resize(256);
    std::iota(result.in.begin(), result.in.end(), 1.0f);
    const uint64_t out = gpu.upload(std::vector<float>(512, 0.0f));
    result.report = gpu.launch({out, gpu.upload(result.in), gpu.upload(map_bytes(out))}, 64);
    result.out = gpu.download<float>(out, 512);
    return result;
}

TEST(WarpWideStore, OfOneBoxIsOneCopy) {
    for (const char* store :
         {"cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [a2, {0, 8}], [%r21];\n",
          "add.u64 %rd2, a0, 512;\n"
          "cp.async.bulk.global.shared::cta.bulk_group [%rd2], [%r21], 512;\n",
          "add.u64 %rd2, a0, 512;\nmov.u16 %h1, 0xffff;\n"
          "cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%rd2], [%r21], 512, %h1;\n"})
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
            const Stored stored = run(store, seed);
            expect_clean(stored.report);
            EXPECT_EQ(stored.report.counters.bulk_store_bytes, 512u) << store;
            for (size_t i = 0; i < 512; ++i)
                EXPECT_EQ(stored.out[i], i / 128 == 1 ? stored.in[i - 128] : 0.0f) << i;
        }
}

TEST(WarpWideStore, OfTwoBoxesIsTwoCopies) {
    const std::string store =
        "mul.lo.u32 %r2, %r1, 512;\nadd.u32 %r3, %r21, %r2;\nmul.lo.u32 %r4, %r1, 16;\n"
        "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [a2, {0, %r4}], [%r3];\n";
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const Stored stored = run(store, seed);
        expect_clean(stored.report);
        EXPECT_EQ(stored.report.counters.bulk_store_bytes, 1024u);
        for (size_t i = 0; i < 128; ++i) {
            EXPECT_EQ(stored.out[i], stored.in[i]);
            EXPECT_EQ(stored.out[i + 128], 0.0f);
            EXPECT_EQ(stored.out[i + 256], stored.in[i + 128]);
        }
    }
}

TEST(WarpWideStore, OfTwoTilesToOnePlaceIsARace) {
    // Odd lanes store the second tile to where the others store the first, or a longer piece of it.
    const std::string tile = "mul.lo.u32 %r2, %r1, 512;\nadd.u32 %r3, %r21, %r2;\n";
    for (const std::string& store :
         {tile + "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [a2, {0, 0}], [%r3];\n",
          tile + "cp.async.bulk.global.shared::cta.bulk_group [a0], [%r3], 512;\n",
          std::string("mul.lo.u32 %r2, %r1, 256;\nadd.u32 %r2, %r2, 256;\n"
                      "cp.async.bulk.global.shared::cta.bulk_group [a0], [%r21], %r2;\n")})
        for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
            const Stored stored = run(store, seed);
            EXPECT_TRUE(has_finding(stored.report, FindingKind::kGlobalRace))
                << store << describe(stored.report);
        }
}

TEST(WarpWideStore, ThatReducesIsOnePerLane) {
    const Stored stored =
        run("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.bulk_group [a2, {0, 0}], "
            "[%r21];\n",
            1);
    expect_clean(stored.report);
    for (size_t i = 0; i < 128; ++i)
        EXPECT_EQ(stored.out[i], 32 * stored.in[i]) << i;
}

TEST(WarpWideStore, IsReadWhenOneOfItsLanesHasWaited) {
    // Lane 0 waits for all of them and overwrites the tile; without its wait that is a race.
    const std::string store =
        "cp.async.bulk.global.shared::cta.bulk_group [a0], [%r21], 512;\n"
        "cp.async.bulk.commit_group;\nsetp.eq.u32 %p2, lane, 0;\n"
        "@%p2 cp.async.bulk.wait_group.read 0;\n@%p2 st.shared.u32 [%r21], 0;\n";
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const Stored stored = run(store, seed);
        expect_clean(stored.report);
        EXPECT_EQ(stored.out[0], 1.0f);
        const Stored bad =
            run(replaced(store, "@%p2 cp.async.bulk.wait_group.read 0;\n", ""), seed);
        EXPECT_TRUE(has_finding(bad.report, FindingKind::kSharedRace)) << describe(bad.report);
    }
}

// ---- stores by one lane ----------------------------------------------------------------------------

TEST(OneLaneStore, NeedsTheWarpThatWroteTheTileToHaveMet) {
    // Each lane of warp 0 overwrites its words of the tile, then one of them stores it.
    const std::string store =
        "st.shared.u32 [%r3], lane;\nfence.proxy.async.shared::cta;\n"
        "bar.warp.sync 0xffffffff;\nsetp.eq.u32 %p2, lane, 3;\n"
        "@%p2 cp.async.bulk.global.shared::cta.bulk_group [a0], [%r21], 512;\n";
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        expect_clean(run(store, seed).report);
        const Stored bad = run(replaced(store, "bar.warp.sync 0xffffffff;\n", ""), seed);
        EXPECT_TRUE(has_finding(bad.report, FindingKind::kLaneRace)) << describe(bad.report);
    }
}

TEST(OneLaneStore, IsNotWrittenWhenItHasBeenRead) {
    // The thread reads back what it has stored: after wait_group, not after wait_group.read.
    const std::string store =
        "setp.ne.u32 %p2, lane, 0;\n@%p2 bra END;\n"
        "cp.async.bulk.global.shared::cta.bulk_group [a0], [%r21], 512;\n"
        "cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\n"
        "ld.global.u32 %r4, [a0+508];\nst.global.u32 [a0+1024], %r4;\n";
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const Stored stored = run(store, seed);
        expect_clean(stored.report);
        EXPECT_EQ(stored.out[256], stored.in[127]);
        const Stored bad = run(replaced(store, "wait_group 0", "wait_group.read 0"), seed);
        EXPECT_TRUE(has_finding(bad.report, FindingKind::kGlobalRace)) << describe(bad.report);
    }
}

}  // namespace
}  // namespace emulator
