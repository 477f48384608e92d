// A weight of another backend is refused by every call that takes a handle and a weight. This version
// makes CPU weights only, so the test relabels one, which takes the library's internals.
#include <gtest/gtest.h>

#include <cstring>

#include "capi/src/weight.hpp"
#include "core/prepack/blob.hpp"
#include "tests/capi/entry_point.hpp"

namespace fp6llm::capi_test {
namespace {

TEST(OtherBackend, WeightsOfItAreRefusedByName) {
    int calls = 0;
    for (const Row& row : all_rows()) {
        SCOPED_TRACE(row.name);
        World world;
        const EntryPoint entry = row.make(world);
        if (!entry.takes_handle || !entry.takes_weight) continue;
        ++calls;
        world.paint();
        world.raw_weight()->backend = FP6LLM_BACKEND_CUDA;
        EXPECT_EQ(entry.valid(), FP6LLM_STATUS_INVALID_VALUE);
        EXPECT_TRUE(world.untouched());
        const std::string text = last_error();
        EXPECT_NE(text.find("is of backend CUDA, the handle of backend CPU"), std::string::npos)
            << text;
        EXPECT_EQ(handle_error(world.raw_handle()), text);
    }
    EXPECT_GE(calls, 7) << "two exports and five multiplying calls take both";
}

/// Blobs that are sound, of another backend or version.
TEST(OtherBackend, BlobsOfItAreRefused) {
    World world;
    const auto view_of = [&](auto change) {
        BlobHeader header;
        std::memcpy(&header, world.blob(), sizeof header);
        const BlobHeader before = header;
        change(header);
        header.checksum = blob_checksum(header);
        std::memcpy(world.blob(), &header, sizeof header);
        fp6llmWeight_t weight = nullptr;
        const fp6llmStatus_t status =
            fp6llmWeightCreateView(world.raw_handle(), world.blob(), world.blob_bytes(), &weight);
        const Weight owner(weight);
        EXPECT_EQ(weight != nullptr, status == FP6LLM_STATUS_SUCCESS);
        std::memcpy(world.blob(), &before, sizeof before);
        return status;
    };
    EXPECT_EQ(view_of([](BlobHeader&) {}), FP6LLM_STATUS_SUCCESS) << last_error();
    EXPECT_EQ(view_of([](BlobHeader& h) { h.backend = 2; }), FP6LLM_STATUS_ARCH_MISMATCH);
    EXPECT_NE(last_error().find("backend"), std::string::npos) << last_error();
    EXPECT_EQ(view_of([](BlobHeader& h) { ++h.version; }), FP6LLM_STATUS_NOT_SUPPORTED);
    EXPECT_NE(last_error().find("version"), std::string::npos) << last_error();
}

}  // namespace
}  // namespace fp6llm::capi_test
