#include "core/common/aligned_buffer.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "core/common/error.hpp"

// Sizes beyond all memory are asked for on purpose.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
    return "allocator_may_return_null=1";
}
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
    return "allocator_may_return_null=1";
}

namespace fp6llm {
namespace {

Status status_of_allocating(size_t bytes) {
    try {
        const AlignedBuffer buffer(bytes);
        return Status::kSuccess;
    } catch (const Error& error) {
        return error.status();
    }
}

TEST(AlignedBuffer, IsAlignedAndWritable) {
    for (const size_t bytes :
         {size_t{1}, size_t{63}, size_t{64}, size_t{4097}, AlignedBuffer::kHugePageThreshold - 1,
          AlignedBuffer::kHugePageThreshold, AlignedBuffer::kHugePageThreshold + 12345}) {
        const AlignedBuffer buffer(bytes);
        ASSERT_NE(buffer.data(), nullptr);
        EXPECT_EQ(buffer.size(), bytes);
        const size_t alignment = bytes >= AlignedBuffer::kHugePageThreshold
                                     ? size_t{2} << 20
                                     : AlignedBuffer::kAlignment;
        EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % alignment, 0u) << bytes;
        std::memset(buffer.data(), 0xA5, bytes);
    }
}

/// The kernel's flags of the mapping that holds `address`, e.g. "rd wr mr mw me ac hg"; "" where it
/// does not tell.
std::string mapping_flags(const void* address) {
    std::ifstream smaps("/proc/self/smaps");
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
        unsigned long long first = 0, last = 0;
        if (std::sscanf(line.c_str(), "%llx-%llx ", &first, &last) == 2) {
            const auto at = reinterpret_cast<uintptr_t>(address);
            inside = first <= at && at < last;
        } else if (inside && line.rfind("VmFlags:", 0) == 0) {
            return line.substr(8) + " ";
        }
    }
    return "";
}

TEST(AlignedBuffer, IsAdvisedToBeHugePagesWhenLarge) {
    const bool has_huge_pages = std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").good();
    const AlignedBuffer large(AlignedBuffer::kHugePageThreshold + 12345);
    const std::string flags = mapping_flags(large.data());
    if (!has_huge_pages || flags.empty()) GTEST_SKIP() << "this kernel has none or does not tell";
    EXPECT_NE(flags.find(" hg "), std::string::npos) << flags;
    const std::string middle = mapping_flags(large.data() + large.size() / 2);
    EXPECT_NE(middle.find(" hg "), std::string::npos) << middle;
}

TEST(AlignedBuffer, OfNothingHoldsNothing) {
    EXPECT_EQ(AlignedBuffer().data(), nullptr);
    EXPECT_EQ(AlignedBuffer(0).data(), nullptr);
    EXPECT_EQ(AlignedBuffer(0).size(), 0u);
}

TEST(AlignedBuffer, Moves) {
    AlignedBuffer a(100);
    uint8_t* const data = a.data();
    AlignedBuffer b(std::move(a));
    EXPECT_EQ(b.data(), data);
    EXPECT_EQ(a.data(), nullptr);  // NOLINT(bugprone-use-after-move)
    AlignedBuffer c(7);
    c = std::move(b);
    EXPECT_EQ(c.data(), data);
    EXPECT_EQ(c.size(), 100u);
}

TEST(AlignedBuffer, ReportsImpossibleSizes) {
    for (const size_t bytes : {SIZE_MAX, SIZE_MAX - 63, SIZE_MAX / 2, size_t{1} << 62}) {
        EXPECT_EQ(status_of_allocating(bytes), Status::kAllocFailed) << bytes;
    }
}

TEST(FailAllocationAfter, FailsTheNthAllocationOfTheThread) {
    fail_allocation_after(3);
    EXPECT_EQ(status_of_allocating(64), Status::kSuccess);
    EXPECT_EQ(status_of_allocating(0), Status::kSuccess);  // allocates nothing, counts for nothing
    EXPECT_EQ(status_of_allocating(64), Status::kSuccess);
    EXPECT_EQ(status_of_allocating(64), Status::kAllocFailed);
    EXPECT_EQ(status_of_allocating(64), Status::kSuccess);

    fail_allocation_after(1);
    fail_allocation_after(0);
    EXPECT_EQ(status_of_allocating(64), Status::kSuccess);
}

}  // namespace
}  // namespace fp6llm
