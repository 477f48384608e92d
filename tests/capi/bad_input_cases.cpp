// The table: one row for each function that can fail. tests/capi/README.md tells how to add one.
#include "tests/capi/entry_point.hpp"

namespace fp6llm::capi_test {
namespace {

constexpr int64_t kRows = World::kRows, kCols = World::kCols, kTokens = World::kTokens;
constexpr auto kInvalid = FP6LLM_STATUS_INVALID_VALUE;
constexpr auto kNotSupported = FP6LLM_STATUS_NOT_SUPPORTED;
using ConfigFor = World::ConfigFor;

Arg<int64_t> rows(World& w) {
    return w.size("rows", kRows);
}
Arg<int64_t> cols(World& w) {
    return w.size("cols", kCols);
}
Arg<const void*> codes(World& w) {
    return w.in("codes", w.codes().data(), 1);
}
Arg<const void*> scales(World& w) {
    return w.in("scales", w.scales().data(), 4);
}

// Of the multiplying functions. A weight's shape is not m, k.
Arg<fp6llmOperation_t> transa(World& w) {
    return w.enumeration("transa", FP6LLM_OP_T).with(FP6LLM_OP_N, "transa = N", kInvalid, "A");
}
Arg<fp6llmOperation_t> transb(World& w) {
    return w.enumeration("transb", FP6LLM_OP_N);
}
Arg<int64_t> m(World& w) {
    return w.size("m", kRows).with(kRows + 1, "m one too large", kInvalid, "m.*65");
}
Arg<int64_t> n(World& w) {
    return w.size("n", kTokens, "\\bn\\b|ldb");
}
Arg<int64_t> k(World& w) {
    return w.size("k", kCols).with(kCols - 1, "k one too small", kInvalid, "k.*127.*128");
}
Arg<const void*> b(World& w) {
    return w.in("B", w.x().data(), 4);
}
Arg<fp6llmDataType_t> c_type(World& w) {
    return w.float_type("Ctype").with(FP6LLM_R_16F, "Ctype = R_16F for R_32F", kNotSupported,
                                      "Ctype.*Btype");
}
Arg<void*> c(World& w) {
    return w.out_buffer("C", kRows * kTokens * sizeof(float), 4);
}

/// Text out: the buffer must be there where it has a size.
Arg<char*> text(World& w) {
    Arg<char*> arg{static_cast<char*>(w.out_buffer("buffer", 64, 1).valid), {}};
    return std::move(arg).with(nullptr, "buffer = NULL", kInvalid, "buffer");
}
Arg<size_t> text_size() {
    return Arg<size_t>{64, {}};
}
Arg<size_t*> text_needed(World& w) {
    return w.out<size_t>("needed", /*optional=*/true);
}

template <typename T>
Arg<T> any(T value) {
    return Arg<T>{value, {}};
}

/// A struct for the init functions: any content will do.
template <typename Struct>
Arg<Struct*> struct_to_fill(World& w, const char* name) {
    Arg<void*> arg = w.out_buffer(name, sizeof(Struct), alignof(Struct));
    Arg<Struct*> typed{static_cast<Struct*>(arg.valid), {}};
    for (auto& v : arg.variants) {
        typed.variants.push_back({static_cast<Struct*>(v.value), v.what, v.status, v.names});
    }
    return typed;
}

Arg<fp6llmBackend_t> backend(World& w) {
    return w.enumeration("backend", FP6LLM_BACKEND_CPU);
}

/// NULL is a no-op for the destroyers; what was never made is refused.
template <typename T>
Arg<T> nothing_to_destroy(Arg<T> arg) {
    for (Variant<T>& v : arg.variants) {
        if (v.value == nullptr) v.status = FP6LLM_STATUS_SUCCESS;
    }
    arg.valid = nullptr;
    return arg;
}

#define ROW(function, ...)                                                                   \
    {                                                                                        \
#function, [](World& w) { static_cast<void>(w); return entry_point(function, __VA_ARGS__); } \
    }

}  // namespace

// clang-format off
const std::vector<Row>& all_rows() {
    static const std::vector<Row> table = {
    ROW(fp6llmHandleConfigInit, struct_to_fill<fp6llmHandleConfig_t>(w, "config")),
    ROW(fp6llmDeviceInfoInit, struct_to_fill<fp6llmDeviceInfo_t>(w, "info")),
    ROW(fp6llmQuantConfigInit, struct_to_fill<fp6llmQuantConfig_t>(w, "config")),
    ROW(fp6llmQuantStatsInit, struct_to_fill<fp6llmQuantStats_t>(w, "stats")),
    ROW(fp6llmWeightInfoInit, struct_to_fill<fp6llmWeightInfo_t>(w, "info")),
    ROW(fp6llmEpilogueInit, struct_to_fill<fp6llmEpilogue_t>(w, "epilogue")),
    ROW(fp6llmHeuristicResultInit, struct_to_fill<fp6llmHeuristicResult_t>(w, "result")),

    ROW(fp6llmGetVersion, w.out<int>("version")),
    ROW(fp6llmGetBuildInfo, text(w), text_size(), text_needed(w)),
    ROW(fp6llmGetLastErrorString, text(w), text_size(), text_needed(w)),
    ROW(fp6llmGetErrorString, w.handle(), text(w), text_size(), text_needed(w)),
    ROW(fp6llmGetDeviceCount, backend(w), w.out<int>("count")),
    ROW(fp6llmGetDeviceInfo,
        backend(w).with(FP6LLM_BACKEND_AUTO, "backend = AUTO", kInvalid, "backend"),
        w.in_range("ordinal", 0, 0, 0), w.out_struct<fp6llmDeviceInfo_t>("info")),
    ROW(fp6llmSetLogger, any<fp6llmLogCallback_t>(nullptr), any<void*>(nullptr)),

    ROW(fp6llmCreate, w.created<fp6llmHandle_t>("handle")),
    ROW(fp6llmCreateWithConfig, w.created<fp6llmHandle_t>("handle"), w.handle_config()),
    ROW(fp6llmDestroy, nothing_to_destroy(w.handle())),
    ROW(fp6llmSetStream, w.handle(), any<fp6llmStream_t>(nullptr)),
    ROW(fp6llmGetStream, w.handle(), w.out<fp6llmStream_t>("stream")),
    ROW(fp6llmSetWorkspace, w.handle(),
        any<void*>(w.blob()).with(nullptr, "workspace = NULL with a size", kInvalid, "workspace")
                            .with(static_cast<char*>(w.blob()) + 32, "workspace misaligned", kInvalid, "workspace"),
        any<size_t>(64).with(0, "size = 0 with a workspace", kInvalid, "size")),
    ROW(fp6llmSetPointerMode, w.handle(),
        w.enumeration("mode", FP6LLM_POINTER_MODE_HOST)
            .with(FP6LLM_POINTER_MODE_DEVICE, "mode = DEVICE", kNotSupported, "mode.*DEVICE")),
    ROW(fp6llmGetPointerMode, w.handle(), w.out<fp6llmPointerMode_t>("mode")),
    ROW(fp6llmGetBackend, w.handle(), w.out<fp6llmBackend_t>("backend")),
    ROW(fp6llmSetNumThreads, w.handle(), w.in_range("threads", 2, 0, 256)),
    ROW(fp6llmGetNumThreads, w.handle(), w.out<int>("threads")),
    ROW(fp6llmSetParallelFor, w.handle(), any<fp6llmParallelFor_t>(nullptr), any<void*>(nullptr)),

    ROW(fp6llmQuantGetSizes, w.quant_config(ConfigFor::kFloats), rows(w), cols(w),
        w.out<size_t>("codeBytes", true), w.out<size_t>("scaleBytes", true)),
    ROW(fp6llmQuantize, w.handle(), w.quant_config(ConfigFor::kFloats), rows(w), cols(w),
        w.weights_in(), w.float_type("Wtype"), w.leading_dimension("ldw", kCols),
        w.out_buffer("codes", kRows * kCols, 1), w.out_buffer("scales", 4 * kRows * kCols, 4),
        w.out_struct<fp6llmQuantStats_t>("stats", true)),
    ROW(fp6llmDequantize, w.handle(), w.quant_config(ConfigFor::kCodes), rows(w), cols(w),
        codes(w), scales(w), w.out_buffer("W", kRows * kCols * 4, 4), w.float_type("Wtype"),
        w.leading_dimension("ldw", kCols)),

    ROW(fp6llmWeightCreate, w.handle(), w.quant_config(ConfigFor::kFloats), rows(w), cols(w),
        w.weights_in(), w.float_type("Wtype"), w.leading_dimension("ldw", kCols),
        w.created<fp6llmWeight_t>("weight")),
    ROW(fp6llmWeightCreateFromCodes, w.handle(), w.quant_config(ConfigFor::kCodes), rows(w), cols(w),
        codes(w), scales(w), w.created<fp6llmWeight_t>("weight")),
    ROW(fp6llmWeightCreateFromPacked, w.handle(), w.layout(), w.quant_config(ConfigFor::kCodes),
        rows(w).with(kRows + 1, "rows not a multiple of 64", kNotSupported, "rows|TC_FPX"),
        cols(w).with(kCols - 1, "cols not a multiple of 64", kNotSupported, "cols|TC_FPX"),
        w.in("packed", w.packed().data(), 1), scales(w), w.created<fp6llmWeight_t>("weight")),
    ROW(fp6llmWeightExportCodes, w.handle(), w.weight("weight"),
        w.out_buffer("codes", kRows * kCols, 1, true), w.out_buffer("scales", kRows * 4, 4, true)),
    ROW(fp6llmWeightExportPacked, w.handle(), w.weight("weight"), w.layout(),
        w.out_buffer("packed", kRows * kCols, 1, true), w.out_buffer("scales", kRows * 4, 4, true)),
    ROW(fp6llmPackedGetSizes, w.layout(), w.quant_config(ConfigFor::kCodes),
        rows(w).with(kRows + 1, "rows not a multiple of 64", kNotSupported, "rows|TC_FPX"), cols(w),
        w.out<size_t>("packedBytes", true), w.out<size_t>("scaleBytes", true)),
    ROW(fp6llmWeightGetInfo, w.weight("weight"), w.out_struct<fp6llmWeightInfo_t>("info")),
    ROW(fp6llmWeightDestroy, nothing_to_destroy(w.weight("weight"))),
    ROW(fp6llmWeightGetBlobSize, w.handle(), w.quant_config(ConfigFor::kCodes), rows(w), cols(w),
        w.out<size_t>("bytes")),
    ROW(fp6llmWeightPackBlob, w.handle(), w.quant_config(ConfigFor::kCodes), rows(w), cols(w),
        codes(w), scales(w),
        any<void*>(w.blob()).with(nullptr, "blob = NULL", kInvalid, "blob")
                            .with(static_cast<char*>(w.blob()) + 32, "blob misaligned", kInvalid, "blob"),
        any<size_t>(w.blob_bytes()).with(w.blob_bytes() - 1, "bytes one too few", kInvalid, "bytes")
                                   .with(0, "bytes = 0", kInvalid, "bytes")),
    ROW(fp6llmWeightCreateView, w.handle(),
        any<const void*>(w.blob()).with(nullptr, "blob = NULL", kInvalid, "blob")
                                  .with(static_cast<char*>(w.blob()) + 32, "blob misaligned", kInvalid, "blob"),
        any<size_t>(w.blob_bytes()).with(w.blob_bytes() - 1, "bytes one too few", kInvalid, "bytes")
                                   .with(8, "bytes = 8", kInvalid, "bytes")
                                   .with(0, "bytes = 0", kInvalid, "bytes"),
        w.created<fp6llmWeight_t>("weight")),

    ROW(fp6llmGemmEx, w.handle(), transa(w), transb(w), m(w), n(w), k(w), w.scalar("alpha", 1.0f),
        w.weight("A"), b(w), w.float_type("Btype"), w.leading_dimension("ldb", kCols),
        w.scalar("beta", 0.0f), c(w), c_type(w), w.leading_dimension("ldc", kRows),
        w.compute_type("computeType"), w.algo()),
    ROW(fp6llmGemmGetWorkspaceSize, w.handle(), transa(w), transb(w), m(w),
        any<int64_t>(kTokens).with(-1, "n = -1", kInvalid, "\\bn\\b"), k(w), w.weight("A"),
        w.float_type("Btype"), c_type(w), w.compute_type("computeType"), w.algo(),
        w.out<size_t>("bytes")),
    ROW(fp6llmGemmGetHeuristic, w.handle(), transa(w), transb(w), m(w),
        any<int64_t>(kTokens).with(-1, "n = -1", kInvalid, "\\bn\\b"), k(w), w.weight("A"),
        w.float_type("Btype"), c_type(w), w.compute_type("computeType"),
        w.in_range("requested", 1, 1, INT32_MAX), w.out_struct<fp6llmHeuristicResult_t>("results"),
        w.out<int>("returned")),
    ROW(fp6llmLinear, w.handle(), w.size("tokens", kTokens, "tokens|ldx"),
        w.in("X", w.x().data(), 4), w.float_type("Xtype"), w.leading_dimension("ldx", kCols),
        w.weight("W"), w.epilogue(), w.out_buffer("Y", kTokens * kRows * 4, 4),
        w.float_type("Ytype").with(FP6LLM_R_16BF, "Ytype = R_16BF for R_32F", kNotSupported, "Ytype.*Xtype"),
        w.leading_dimension("ldy", kRows)),
    ROW(fp6llmGemmGroupedEx, w.handle(),
        w.size("groups", 2), transa(w),
        transb(w).with(FP6LLM_OP_T, "transb = T", kNotSupported, "transb.*T"), m(w), n(w), k(w),
        w.offsets(), w.scalar("alpha", 1.0f), w.weights(), b(w), w.float_type("Btype"),
        w.leading_dimension("ldb", kCols), w.scalar("beta", 0.0f), c(w), c_type(w),
        w.leading_dimension("ldc", kRows), w.compute_type("computeType"), w.algo()),
    };
    return table;
}
// clang-format on

}  // namespace fp6llm::capi_test
