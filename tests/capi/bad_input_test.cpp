// Every function, with each argument wrong in turn.
#include <gtest/gtest.h>
#include <regex.h>

#include <fstream>
#include <set>

#include "tests/capi/entry_point.hpp"

namespace fp6llm::capi_test {
namespace {

bool matches(const std::string& text, const std::string& pattern) {
    regex_t compiled;  // POSIX's; under sanitizers gcc 12 warns about the inside of std::regex
    if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) return false;
    const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return found;
}

class BadInput : public ::testing::TestWithParam<Row> {};

TEST_P(BadInput, IsRefusedByNameAndChangesNothing) {
    const std::string function = GetParam().name;
    World world;
    const EntryPoint entry = GetParam().make(world);
    world.paint();
    ASSERT_EQ(entry.valid(), FP6LLM_STATUS_SUCCESS) << last_error();

    for (const Case& c : entry.cases) {
        SCOPED_TRACE(function + ", " + c.what);
        world.paint();
        const fp6llmStatus_t status = c.call();
        EXPECT_STREQ(fp6llmGetStatusName(status), fp6llmGetStatusName(c.status)) << last_error();
        if (c.status == FP6LLM_STATUS_SUCCESS || status == FP6LLM_STATUS_SUCCESS) continue;
        const std::string text = last_error();
        EXPECT_TRUE(world.untouched()) << text;
        EXPECT_TRUE(matches(text, c.names)) << "\"" << text << "\" does not name " << c.names;
        // Asking for a handle's text is the one failure that leaves the text.
        if (entry.takes_handle && status != FP6LLM_STATUS_NOT_INITIALIZED &&
            function != "fp6llmGetErrorString") {
            EXPECT_EQ(handle_error(world.raw_handle()), text);
        }
    }

    // A handle can be used after all these errors as before.
    world.paint();
    EXPECT_EQ(entry.valid(), FP6LLM_STATUS_SUCCESS) << last_error();
}

/// No call prints, right or wrong. (It runs after the test above, where a crash shows its report.)
TEST_P(BadInput, PrintsNothing) {
    World world;
    const EntryPoint entry = GetParam().make(world);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    world.paint();
    entry.valid();
    for (const Case& c : entry.cases) {
        world.paint();
        c.call();
    }
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

INSTANTIATE_TEST_SUITE_P(EntryPoints, BadInput, ::testing::ValuesIn(all_rows()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(BadInputTable, HasARowForEachFunctionThatCanFail) {
    std::set<std::string> exported;
    std::ifstream list(FP6LLM_SYMBOL_LIST);
    for (std::string line; std::getline(list, line);)
        exported.insert(line.substr(0, line.find('@')));
    // These return no status.
    for (const char* name :
         {"fp6llmGetVersionString", "fp6llmGetStatusName", "fp6llmGetStatusString",
          "fp6llmGetHeaderVersion", "fp6llmGetBlobAlignment", "fp6llmGetAlgoDefault",
          "fp6llmGetScaleTypeDefault"}) {
        EXPECT_EQ(exported.erase(name), 1u) << name;
    }
    std::set<std::string> rows;
    for (const Row& row : all_rows())
        rows.insert(row.name);
    EXPECT_EQ(rows, exported);
}

}  // namespace
}  // namespace fp6llm::capi_test
