// The library loaded, used and unloaded at run time. This program is not linked to it.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fp6llm/fp6llm.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FP6LLM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FP6LLM_SANITIZED 1
#endif
#endif

namespace {

bool is_mapped(const std::string& name) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find(name) != std::string::npos) return true;
    }
    return false;
}

int threads_of_process() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

/// The library, from dlopen to dlclose.
class Library {
  public:
    Library() : library_(dlopen(FP6LLM_LIBRARY, RTLD_NOW | RTLD_LOCAL)) {
        EXPECT_NE(library_, nullptr) << dlerror();
        load(GetVersion, "fp6llmGetVersion");
        load(GetDeviceCount, "fp6llmGetDeviceCount");
        load(Create, "fp6llmCreate");
        load(CreateWithConfig, "fp6llmCreateWithConfig");
        load(GetBackend, "fp6llmGetBackend");
        load(Destroy, "fp6llmDestroy");
        load(WeightCreate, "fp6llmWeightCreate");
        load(WeightDestroy, "fp6llmWeightDestroy");
        load(Linear, "fp6llmLinear");
    }
    ~Library() { EXPECT_EQ(dlclose(library_), 0) << dlerror(); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;

    decltype(&fp6llmGetVersion) GetVersion;
    decltype(&fp6llmGetDeviceCount) GetDeviceCount;
    decltype(&fp6llmCreate) Create;
    decltype(&fp6llmCreateWithConfig) CreateWithConfig;
    decltype(&fp6llmGetBackend) GetBackend;
    decltype(&fp6llmDestroy) Destroy;
    decltype(&fp6llmWeightCreate) WeightCreate;
    decltype(&fp6llmWeightDestroy) WeightDestroy;
    decltype(&fp6llmLinear) Linear;

  private:
    template <typename Function>
    void load(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(library_, name));
        EXPECT_NE(function, nullptr) << dlerror();
    }
    void* library_;
};

constexpr int64_t kSize = 1024, kTokens = 4;  // enough work for several threads

/// Multiplies ones by ones `times` times on 4 threads of a handle of its own; true if all is right.
bool use(const Library& library, int times) {
    fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
    config.backend = FP6LLM_BACKEND_CPU;
    config.numThreads = 4;
    const fp6llmQuantConfig_t quant = FP6LLM_QUANT_CONFIG_INIT;
    const std::vector<float> w(kSize * kSize, 1.0f), x(kTokens * kSize, 1.0f);
    std::vector<float> y(kTokens * kSize);
    fp6llmHandle_t handle = nullptr;
    fp6llmWeight_t weight = nullptr;
    bool ok = library.CreateWithConfig(&handle, &config) == FP6LLM_STATUS_SUCCESS &&
              library.WeightCreate(handle, &quant, kSize, kSize, w.data(), FP6LLM_R_32F, kSize,
                                   &weight) == FP6LLM_STATUS_SUCCESS;
    for (int i = 0; ok && i < times; ++i) {
        ok = library.Linear(handle, kTokens, x.data(), FP6LLM_R_32F, kSize, weight, nullptr,
                            y.data(), FP6LLM_R_32F, kSize) == FP6LLM_STATUS_SUCCESS;
        // Every weight is 28 * fp32(1 / 28).
        for (const float value : y)
            ok = ok && value > kSize * 0.99999f && value < kSize * 1.00001f;
    }
    ok = library.WeightDestroy(weight) == FP6LLM_STATUS_SUCCESS && ok;
    return library.Destroy(handle) == FP6LLM_STATUS_SUCCESS && ok;
}

TEST(Dlopen, WorksWithoutACudaDriver) {
    if (dlopen("libcuda.so.1", RTLD_NOW) != nullptr) GTEST_SKIP() << "there is a driver";
    const Library library;
    EXPECT_FALSE(is_mapped("libcuda"));
    int version = 0, devices = -1;
    EXPECT_EQ(library.GetVersion(&version), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(version, FP6LLM_VERSION);
    EXPECT_EQ(library.GetDeviceCount(FP6LLM_BACKEND_CUDA, &devices), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(devices, 0);
    fp6llmHandle_t handle = nullptr;
    fp6llmBackend_t backend = FP6LLM_BACKEND_AUTO;
    ASSERT_EQ(library.Create(&handle), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(library.GetBackend(handle, &backend), FP6LLM_STATUS_SUCCESS);
    EXPECT_EQ(backend, FP6LLM_BACKEND_CPU);
    EXPECT_EQ(library.Destroy(handle), FP6LLM_STATUS_SUCCESS);
    EXPECT_TRUE(use(library, 2));
    EXPECT_FALSE(is_mapped("libcuda"));
}

TEST(Dlopen, StartsNoThreadsAtLoad) {
    const int before = threads_of_process();
    const Library library;
    EXPECT_EQ(threads_of_process(), before);
}

TEST(Dlopen, TwentyTimesWithThreads) {
    const int before = threads_of_process();
    for (int i = 0; i < 20; ++i) {
        {
            const Library library;
            std::vector<std::thread> threads;
            for (int t = 0; t < 3; ++t) {
                threads.emplace_back([&] { EXPECT_TRUE(use(library, 3)); });
            }
            for (std::thread& thread : threads)
                thread.join();
            EXPECT_GT(threads_of_process(), before) << "the pool was not used";
        }
        EXPECT_EQ(threads_of_process(), before) << "threads outlive dlclose";
#if !defined(FP6LLM_SANITIZED)  // sanitizers keep libraries loaded
        ASSERT_FALSE(is_mapped("libfp6llm")) << "dlclose did not unload the library";
#endif
    }
}

/// A thread that called the library may end after it was unloaded.
TEST(Dlopen, ThreadsOutliveTheLibrary) {
    std::atomic<int> phase{0};
    auto library = std::make_unique<Library>();
    std::thread thread([&] {
        EXPECT_TRUE(use(*library, 1));
        int* none = nullptr;
        EXPECT_EQ(library->GetVersion(none), FP6LLM_STATUS_INVALID_VALUE);  // its error text
        phase = 1;
        while (phase != 2)
            std::this_thread::yield();
    });
    while (phase != 1)
        std::this_thread::yield();
    library.reset();
    phase = 2;
    thread.join();
}

/// Runs `body` in a child; true if it ends by exit(0) within 20 seconds.
template <typename Body>
bool exits_well(Body body) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        body();
        std::exit(::testing::Test::HasFailure() ? 1 : 0);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

TEST(Exit, WithTheLibraryStillLoadedAndItsThreadsAsleep) {
    EXPECT_TRUE(exits_well([] {
        static const Library* const library = new Library;
        EXPECT_TRUE(use(*library, 1));
    }));
}

TEST(Exit, WhileAnotherThreadMultiplies) {
    EXPECT_TRUE(exits_well([] {
        static const Library* const library = new Library;
        static std::atomic<bool> started{false};
        std::thread([] {
            for (;;) {
                use(*library, 100);
                started = true;
            }
        }).detach();
        while (!started)
            std::this_thread::yield();
    }));
}

}  // namespace
