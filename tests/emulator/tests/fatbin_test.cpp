// The fatbin reader on containers built here, byte by byte, as nvcc 13 writes them.
#include "tests/emulator/driver/fatbin.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace emulator {
namespace {

std::string ptx(const std::string& target) {
    return "\n\n.version 9.0\n.target " + target + "\n.address_size 64\n";
}

template <typename T>
void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

constexpr uint16_t kPtx = 1, kElf = 2;
constexpr uint64_t kZstd = 0x8000, kSpecific = 0x100000, kFamily = 0x200000;

/// One entry; `header_bytes` of 80 carries the options that nvcc puts behind the 64.
std::string entry(uint16_t kind, uint32_t arch, uint64_t flags, std::string data,
                  uint32_t compressed = 0, uint32_t header_bytes = 64) {
    while (data.size() % 8 != 0)
        data += '\0';
    std::string out;
    put<uint16_t>(out, kind);
    put<uint16_t>(out, 0x101);
    put<uint32_t>(out, header_bytes);
    put<uint64_t>(out, data.size());
    put<uint32_t>(out, compressed);
    put<uint32_t>(out, 0);
    put<uint16_t>(out, 0);
    put<uint16_t>(out, 9);
    put<uint32_t>(out, arch);
    put<uint64_t>(out, 0);
    put<uint64_t>(out, flags | 0x11);
    put<uint64_t>(out, 0);
    put<uint64_t>(out, compressed != 0 ? 5000 : 0);
    out.resize(header_bytes, '\0');
    return out + data;
}

std::string container(const std::string& entries, uint16_t version = 1) {
    std::string out;
    put<uint32_t>(out, 0xBA55ED50);
    put<uint16_t>(out, version);
    put<uint16_t>(out, 16);
    put<uint64_t>(out, entries.size());
    return out + entries;
}

std::string selected(const std::string& image, int device) {
    return std::string(select_ptx(image.c_str(), device));
}

FatbinError::Kind error_of(const std::string& image, int device, const std::string& words) {
    try {
        select_ptx(image.c_str(), device);
    } catch (const FatbinError& error) {
        EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
        return error.kind;
    }
    ADD_FAILURE() << "no error: " << words;
    return FatbinError::Kind::kInvalidImage;
}

TEST(Fatbin, ReadsEntries) {
    const std::string image =
        container(entry(kElf, 90, kSpecific,
                        "\x7f"
                        "ELF machine code") +
                  entry(kPtx, 90, kSpecific, ptx("sm_90a"), 0, 80) + entry(7, 80, 0, "other") +
                  entry(kPtx, 80, kZstd, "(\xb5/\xfd...", 9));
    const std::vector<FatbinEntry> entries = read_fatbin(image.c_str());
    ASSERT_EQ(entries.size(), 3u);  // an unknown kind is passed over
    EXPECT_FALSE(entries[0].is_ptx);
    EXPECT_EQ(entries[0].arch, 90);
    EXPECT_EQ(entries[0].suffix, 'a');
    EXPECT_TRUE(entries[1].is_ptx);
    EXPECT_FALSE(entries[1].is_compressed);
    EXPECT_EQ(entries[1].suffix, 'a');
    EXPECT_EQ(entries[1].data, ptx("sm_90a"));  // without the padding
    EXPECT_TRUE(entries[2].is_compressed);
    EXPECT_EQ(entries[2].arch, 80);
}

TEST(Fatbin, FollowsTheWrapper) {
    const std::string image = container(entry(kPtx, 80, 0, ptx("sm_80")));
    struct {
        uint32_t magic, version;
        const void* data;
        const void* file;
    } wrapper = {0x466243B1, 1, image.c_str(), nullptr};
    EXPECT_TRUE(is_fatbin(&wrapper));
    EXPECT_EQ(select_ptx(&wrapper, 80), ptx("sm_80"));
    wrapper.data = nullptr;
    EXPECT_THROW(read_fatbin(&wrapper), FatbinError);
}

TEST(Fatbin, PicksThePtxOfTheDevice) {
    const std::string image =
        container(entry(kPtx, 80, 0, ptx("sm_80")) + entry(kPtx, 90, kSpecific, ptx("sm_90a")) +
                  entry(kPtx, 86, 0, ptx("sm_86")) + entry(kPtx, 90, 0, ptx("sm_90")) +
                  entry(kPtx, 100, kFamily, ptx("sm_100f")));
    EXPECT_EQ(selected(image, 80), ptx("sm_80"));
    EXPECT_EQ(selected(image, 86), ptx("sm_86"));
    EXPECT_EQ(selected(image, 89), ptx("sm_86"));
    EXPECT_EQ(selected(image, 90), ptx("sm_90a"));  // arch-specific before plain
    EXPECT_EQ(selected(image, 100), ptx("sm_100f"));
    EXPECT_EQ(selected(image, 103), ptx("sm_100f"));  // same family
    EXPECT_EQ(selected(image, 120), ptx("sm_90"));    // other family; 90a only on 90
    EXPECT_EQ(error_of(image, 75, "compute_80, compute_90a, compute_86"),
              FatbinError::Kind::kNoBinary);
}

TEST(Fatbin, TheTextsTargetCounts) {
    // Older compilers did not mark arch-specific code in the entry.
    const std::string image = container(entry(kPtx, 90, 0, ptx("sm_90a")));
    EXPECT_EQ(error_of(image, 100, "compute_90a"), FatbinError::Kind::kNoBinary);
    EXPECT_EQ(selected(image, 90), ptx("sm_90a"));
}

TEST(Fatbin, TakesPlainPtx) {
    EXPECT_EQ(selected(ptx("sm_80"), 90), ptx("sm_80"));
    EXPECT_EQ(error_of(ptx("sm_90"), 80, "does not run"), FatbinError::Kind::kNoBinary);
    EXPECT_EQ(error_of(ptx("sm_90a"), 100, "sm_90a"), FatbinError::Kind::kNoBinary);
    EXPECT_EQ(error_of("hello", 80, "neither"), FatbinError::Kind::kInvalidImage);
    EXPECT_EQ(error_of(std::string("\x7f"
                                   "ELF\2\1\1",
                                   7),
                       80, "PTX"),
              FatbinError::Kind::kNoBinary);
}

TEST(Fatbin, SaysHowToCompile) {
    EXPECT_EQ(error_of(container(entry(kElf, 80, 0,
                                       "\x7f"
                                       "ELF")),
                       80, "only sm_80; compile with"),
              FatbinError::Kind::kNoBinary);
    EXPECT_EQ(error_of(container(entry(kPtx, 80, kZstd, "(\xb5/\xfd", 4)), 80, "--no-compress"),
              FatbinError::Kind::kCompressed);
    EXPECT_EQ(error_of(container(""), 80, "only nothing"), FatbinError::Kind::kNoBinary);
}

TEST(Fatbin, RefusesBrokenContainers) {
    const std::string good = entry(kPtx, 80, 0, ptx("sm_80"));
    EXPECT_EQ(error_of(container(good, 2), 80, "version 2"), FatbinError::Kind::kInvalidImage);
    EXPECT_EQ(error_of(container(good.substr(0, 40)), 80, "inside an entry's header"),
              FatbinError::Kind::kInvalidImage);
    EXPECT_EQ(error_of(container(good.substr(0, good.size() - 8)), 80, "exceeds"),
              FatbinError::Kind::kInvalidImage);
    std::string small_header = good;
    const uint32_t bytes = 32;
    std::memcpy(&small_header[4], &bytes, sizeof bytes);
    EXPECT_EQ(error_of(container(small_header), 80, "exceeds"), FatbinError::Kind::kInvalidImage);
    EXPECT_EQ(error_of(container(entry(kPtx, 80, 0, "no text")), 80, ".target"),
              FatbinError::Kind::kInvalidImage);
}

TEST(Fatbin, KnowsWhatRunsWhere) {
    EXPECT_TRUE(runs_on(80, 0, 90));
    EXPECT_FALSE(runs_on(90, 0, 89));
    EXPECT_TRUE(runs_on(90, 'a', 90));
    EXPECT_FALSE(runs_on(90, 'a', 100));
    EXPECT_TRUE(runs_on(100, 'f', 103));
    EXPECT_FALSE(runs_on(103, 'f', 100));
    EXPECT_FALSE(runs_on(100, 'f', 120));
    EXPECT_EQ(ptx_target(".target sm_120a, debug").first, 120);
    EXPECT_EQ(ptx_target(".target sm_120a, debug").second, 'a');
    EXPECT_EQ(ptx_target("nothing").first, 0);
}

}  // namespace
}  // namespace emulator
