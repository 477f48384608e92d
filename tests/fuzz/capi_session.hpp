// What a sequence of calls to the C ABI works on: a handle, some weights, and the making of
// arguments that are mostly valid. Every buffer has exactly the bytes that the documentation lets a
// call touch.
//
// What must hold, whatever the bytes say (fp6llm.h, "Rules that hold for every function"):
// - an argument that is wrong makes the call fail; a failed call leaves its outputs as they were,
// and
//   has a detail text; no call answers INTERNAL_ERROR;
// - a successful one writes what it should and nothing else.
#pragma once

#include <utility>
#include <vector>

#include "fp6llm/fp6llm.h"
#include "tests/fuzz/choices.hpp"
#include "tests/fuzz/guarded_buffer.hpp"

namespace fp6llm::fuzz {

/// A weight and what was made with it. Views keep their blob.
struct LiveWeight {
    fp6llmWeight_t weight;
    int64_t rows;
    int64_t cols;
    bool tame;  ///< every weight is at most 8 in magnitude, so that results can be compared
    GuardedBuffer blob{0};
};

/// A config in a buffer of its structSize.
struct Config {
    GuardedBuffer memory;
    bool wrong;  ///< for certain; fp6llmQuantGetSizes() is the judge of the rest
    const fp6llmQuantConfig_t* get() const { return memory.as<fp6llmQuantConfig_t>(); }
};

/// A float matrix of `vectors` runs of `length` elements, ld apart.
struct Matrix {
    int32_t type;
    int64_t ld;
    bool wrong;       ///< type or ld
    bool misaligned;  ///< which only a call that looks at elements minds
    GuardedBuffer memory;
    void* data() const { return memory.data(); }
};

class Session {
  public:
    explicit Session(Choices& choices) : choices_(choices) {}
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// One call, or a few that belong together.
    void step();

  private:
    // capi_session.cpp
    void handle_calls();
    void text_calls();
    void drop_weight();
    int64_t size(int limit, bool& wrong);
    /// Rows and columns; rarely more rows than could be gone through, of no columns, which is legal.
    std::pair<int64_t, int64_t> shape(int row_limit, int col_limit, bool& wrong);
    Config config(bool for_floats);
    Matrix matrix(int64_t vectors, int64_t length, bool sizes_wrong);
    void fill(const Matrix& matrix, bool tame);
    LiveWeight* some_weight();
    void keep(LiveWeight weight);
    /// Checks a status; `wrong` arguments must fail, and nothing but a refusal may.
    bool succeeded(fp6llmStatus_t status, bool wrong, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());
    fp6llmHandle_t handle(bool& wrong);
    /// A pointer, or rarely NULL, which is wrong where `needed`.
    template <typename T>
    T* pointer(T* valid, bool needed, bool& wrong) {
        if (!choices_.rarely(4)) return valid;
        wrong = wrong || needed;
        return nullptr;
    }

    // capi_quantize.cpp
    void quantize_call();
    void dequantize_call();
    // capi_weight.cpp
    void create_from_floats();
    void create_from_codes();
    void round_trip_packed();
    void blob_calls();
    void export_call();
    // capi_gemm.cpp
    void gemm_call();
    void linear_call();
    void grouped_call();

    Choices& choices_;
    fp6llmHandle_t handle_ = nullptr;
    GuardedBuffer* workspace_ = nullptr;
    bool executor_skips_ = false;
    bool allocation_fails_ = false;
    std::vector<LiveWeight> weights_;
};

}  // namespace fp6llm::fuzz
