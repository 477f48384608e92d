// Each case runs in a process of its own: the driver is loaded once per process.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/common/error.hpp"
#include "tests/unit/device/stub_driver.hpp"

namespace fp6llm::testing {

/// Runs `body` in a forked child; false if an expectation fails in it or it dies.
template <typename Body>
bool passes_in_child(Body&& body) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        try {
            body();
        } catch (const std::exception& error) {
            ADD_FAILURE() << "threw: " << error.what();
        }
        std::fflush(nullptr);
        _exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// The stub's controls; the library on the loader's path must be the stub.
inline const stub::Controls& stub_controls() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    void* symbol = library != nullptr ? dlsym(library, "fp6llm_stub_controls") : nullptr;
    if (symbol == nullptr) {
        std::fprintf(stderr, "the stub driver is not on LD_LIBRARY_PATH\n");
        std::abort();
    }
    return *reinterpret_cast<decltype(&fp6llm_stub_controls)>(symbol)();
}

/// Expects that `body` throws Error with a status and texts in its message.
template <typename Body, typename... Texts>
void expect_error(Status status, Body&& body, const Texts&... texts) {
    try {
        body();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.status(), status) << error.what();
        const std::string message = error.what();
        for (const std::string& text : std::initializer_list<std::string>{texts...})
            EXPECT_NE(message.find(text), std::string::npos) << message << " lacks " << text;
    }
}

}  // namespace fp6llm::testing

/// A test whose body runs in a process of its own.
#define FP6LLM_ISOLATED_TEST(suite, name)                              \
    static void suite##_##name();                                      \
    TEST(suite, name) {                                                \
        EXPECT_TRUE(fp6llm::testing::passes_in_child(suite##_##name)); \
    }                                                                  \
    static void suite##_##name()
