// A weight of another backend is refused by every call that takes a handle and a weight. This version
// makes CPU weights only, so the test relabels one, which takes the library's internals.
#include <gtest/gtest.h>

#include "capi/src/weight.hpp"
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

}  // namespace
}  // namespace fp6llm::capi_test
