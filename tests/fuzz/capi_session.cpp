// See capi_session.hpp: the handle, texts, and the makers of arguments.
#include "tests/fuzz/capi_session.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/common/aligned_buffer.hpp"
#include "core/common/float16.hpp"

namespace fp6llm::fuzz {
namespace {

constexpr size_t kMostWeights = 4;

// Every index once, last first.
void run_backwards(void*, int64_t count, fp6llmTask_t task, void* context) {
    for (int64_t i = count; i-- > 0;)
        task(context, i);
}

// Leaves out the first index, repeats the last, and asks for one that is not there.
void run_badly(void*, int64_t count, fp6llmTask_t task, void* context) {
    for (int64_t i = 1; i < count; ++i)
        task(context, i);
    task(context, count - 1);
    task(context, count);
}

}  // namespace

Session::~Session() {
    fail_allocation_after(0);
    for (LiveWeight& live : weights_)
        fp6llmWeightDestroy(live.weight);
    fp6llmDestroy(handle_);
    delete workspace_;
}

void Session::step() {
    if (!handle_) {
        fp6llmHandleConfig_t config = FP6LLM_HANDLE_CONFIG_INIT;
        config.backend = FP6LLM_BACKEND_CPU;
        config.numThreads = static_cast<int32_t>(1 + choices_.below(3));
        require(fp6llmCreateWithConfig(&handle_, &config) == FP6LLM_STATUS_SUCCESS);
    }
    // The n-th large allocation of this step fails.
    allocation_fails_ = choices_.rarely();
    fail_allocation_after(allocation_fails_ ? static_cast<int>(1 + choices_.below(3)) : 0);
    switch (choices_.below(12)) {
        case 0:
            gemm_call();
            break;
        case 1:
            create_from_floats();
            break;
        case 2:
            create_from_codes();
            break;
        case 3:
            blob_calls();
            break;
        case 4:
            linear_call();
            break;
        case 5:
            grouped_call();
            break;
        case 6:
            quantize_call();
            break;
        case 7:
            dequantize_call();
            break;
        case 8:
            round_trip_packed();
            break;
        case 9:
            export_call();
            break;
        case 10:
            handle_calls();
            break;
        default:
            choices_.below(2) ? drop_weight() : text_calls();
    }
    fail_allocation_after(0);
}

bool Session::succeeded(fp6llmStatus_t status, bool wrong, const char* file, int line) {
    switch (status) {
        case FP6LLM_STATUS_SUCCESS:
            require(!wrong, file, line);
            return true;
        case FP6LLM_STATUS_ALLOC_FAILED:
            require(allocation_fails_, file, line);
            break;
        case FP6LLM_STATUS_EXECUTION_FAILED:
            require(executor_skips_, file, line);
            break;
        case FP6LLM_STATUS_NOT_INITIALIZED:
        case FP6LLM_STATUS_INVALID_VALUE:
        case FP6LLM_STATUS_ARCH_MISMATCH:
        case FP6LLM_STATUS_NOT_SUPPORTED:
            break;
        default:
            require(false, file, line);
    }
    size_t needed = 0;
    require(fp6llmGetLastErrorString(nullptr, 0, &needed) == FP6LLM_STATUS_SUCCESS && needed > 1);
    return false;
}

fp6llmHandle_t Session::handle(bool& wrong) {
    return pointer(handle_, true, wrong);
}

int64_t Session::size(int limit, bool& wrong) {
    if (!choices_.rarely()) return choices_.below(limit + 1);
    wrong = true;
    return choices_.one_of<int64_t>({-1, std::numeric_limits<int64_t>::min(), int64_t{1} << 62,
                                     std::numeric_limits<int64_t>::max()});
}

std::pair<int64_t, int64_t> Session::shape(int row_limit, int col_limit, bool& wrong) {
    if (choices_.rarely(4)) return {int64_t{1} << 50, 0};
    const int64_t rows = size(row_limit, wrong);
    return {rows, size(col_limit, wrong)};
}

Config Session::config(bool for_floats) {
    fp6llmQuantConfig_t value = FP6LLM_QUANT_CONFIG_INIT;
    value.format = choices_.one_of<int32_t>(
        {FP6LLM_R_6F_E3M2, FP6LLM_R_6F_E2M3, FP6LLM_R_5F_E2M2, FP6LLM_R_5F_E3M1, FP6LLM_R_4F_E2M1});
    if (for_floats && choices_.rarely(64)) value.format = FP6LLM_R_6F_AUTO;
    value.scaleMode = static_cast<int32_t>(choices_.below(3));
    if (value.scaleMode == FP6LLM_SCALE_GROUP) {
        value.groupSize = choices_.one_of<int32_t>({16, 32, 24, 64, 128, 40});
    }
    if (value.scaleMode != FP6LLM_SCALE_MX && choices_.rarely(64)) value.scaleType = FP6LLM_R_16F;
    value.rounding = static_cast<int32_t>(choices_.below(2));
    value.mxScaleRule = static_cast<int32_t>(choices_.below(3));
    value.nonFinite = static_cast<int32_t>(choices_.below(2));
    value.scaleSearch = choices_.rarely(32) ? static_cast<int32_t>(choices_.below(65)) : 0;
    if (choices_.rarely(4)) value.computeHint = FP6LLM_COMPUTE_32F_FAST_8I;
    bool wrong = false;
    if (choices_.rarely()) {  // one field is anything
        int32_t* fields = &value.format;
        fields[choices_.below(10)] = static_cast<int32_t>(choices_.byte()) - 128;
    }

    size_t bytes = sizeof value;
    uint8_t tail = 0;
    if (choices_.rarely()) bytes = sizeof(size_t) + static_cast<size_t>(choices_.below(64));
    if (choices_.rarely()) tail = choices_.byte();
    wrong = wrong || (bytes > sizeof value && tail != 0);
    const bool off_by_one = choices_.rarely(2);
    Config config{GuardedBuffer(bytes, off_by_one), wrong || off_by_one};
    value.structSize = bytes;
    std::memset(config.memory.data(), tail, bytes);
    std::memcpy(config.memory.data(), &value, std::min(bytes, sizeof value));
    return config;
}

Matrix Session::matrix(int64_t vectors, int64_t length, bool sizes_wrong) {
    int32_t type = choices_.one_of<int32_t>({FP6LLM_R_32F, FP6LLM_R_16F, FP6LLM_R_16BF});
    bool wrong = false;
    if (choices_.rarely(4)) {
        type = choices_.one_of<int32_t>({FP6LLM_R_8I, FP6LLM_R_6F_E3M2, -1, 1, 0x7FFFFFFF});
        wrong = true;
    }
    int64_t ld = 1;
    if (!sizes_wrong) {
        ld = std::max<int64_t>(length, 1) + (choices_.rarely(96) ? choices_.below(5) : 0);
        if (choices_.rarely(4)) {
            ld = choices_.one_of<int64_t>(
                {std::max<int64_t>(length, 1) - 1, -1, std::numeric_limits<int64_t>::min()});
            wrong = true;
        }
    }
    const size_t element = type == FP6LLM_R_32F ? 4 : 2;
    const bool empty = sizes_wrong || wrong || vectors == 0 || length == 0;
    const size_t elements = empty ? 0 : static_cast<size_t>((vectors - 1) * ld + length);
    const bool off_by_one = !empty && choices_.rarely(2);
    return {type, ld, wrong, off_by_one, GuardedBuffer(elements * element, off_by_one)};
}

void Session::fill(const Matrix& matrix, bool tame) {
    uint32_t state = choices_.byte() * 2654435761u + 1;
    const size_t element = matrix.type == FP6LLM_R_32F ? 4 : 2;
    for (size_t at = 0; at + element <= matrix.memory.size(); at += element) {
        state = state * 1664525u + 1013904223u;
        float value = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-30f;  // [-2, 2)
        if (!tame) value = float_from_bits(state);
        uint8_t* to = matrix.memory.data() + at;
        if (matrix.type == FP6LLM_R_32F) {
            std::memcpy(to, &value, 4);
        } else {
            const uint16_t half =
                matrix.type == FP6LLM_R_16F ? float_to_half(value) : float_to_bf16(value);
            std::memcpy(to, &half, 2);
        }
    }
}

LiveWeight* Session::some_weight() {
    if (weights_.empty()) return nullptr;
    return &weights_[static_cast<size_t>(choices_.below(static_cast<int>(weights_.size())))];
}

void Session::keep(LiveWeight weight) {
    if (weights_.size() == kMostWeights) {
        fp6llmWeightDestroy(weights_.front().weight);
        std::vector<LiveWeight> rest;
        for (size_t i = 1; i < weights_.size(); ++i)
            rest.push_back(std::move(weights_[i]));
        weights_.swap(rest);
    }
    fp6llmWeightInfo_t info = FP6LLM_WEIGHT_INFO_INIT;
    require(fp6llmWeightGetInfo(weight.weight, &info) == FP6LLM_STATUS_SUCCESS);
    require(info.rows == weight.rows && info.cols == weight.cols && info.layout[0] != 0);
    weights_.push_back(std::move(weight));
}

void Session::drop_weight() {
    if (weights_.empty()) return;
    require(fp6llmWeightDestroy(weights_.back().weight) == FP6LLM_STATUS_SUCCESS);
    weights_.pop_back();
}

void Session::handle_calls() {
    bool wrong = false;
    switch (choices_.below(6)) {
        case 0: {
            const int threads = choices_.one_of({1, 2, 3, 0, -1, 257});
            succeeded(fp6llmSetNumThreads(handle(wrong), threads),
                      wrong || threads < 0 || threads > 256);
            break;
        }
        case 1: {
            const bool bad = choices_.rarely(64), own = choices_.rarely(64);
            if (succeeded(fp6llmSetParallelFor(handle(wrong),
                                               own   ? nullptr
                                               : bad ? run_badly
                                                     : run_backwards,
                                               nullptr),
                          wrong)) {
                executor_skips_ = bad && !own;
            }
            break;
        }
        case 2: {
            delete workspace_;
            workspace_ = nullptr;
            require(fp6llmSetWorkspace(handle_, nullptr, 0) == FP6LLM_STATUS_SUCCESS);
            const auto bytes = static_cast<size_t>(choices_.byte()) * 256;
            const bool off_by_one = choices_.rarely();
            workspace_ = new GuardedBuffer(bytes, off_by_one);
            succeeded(fp6llmSetWorkspace(handle(wrong), workspace_->data(), bytes),
                      wrong || off_by_one || bytes == 0);
            break;
        }
        case 3: {
            const auto mode = static_cast<fp6llmPointerMode_t>(choices_.below(3));
            succeeded(fp6llmSetPointerMode(handle(wrong), mode),
                      wrong || mode != FP6LLM_POINTER_MODE_HOST);
            break;
        }
        case 4: {
            fp6llmDeviceInfo_t info = FP6LLM_DEVICE_INFO_INIT;
            const auto backend = static_cast<fp6llmBackend_t>(choices_.below(4));
            const int ordinal = choices_.one_of({0, 1, -1});
            succeeded(fp6llmGetDeviceInfo(backend, ordinal, pointer(&info, true, wrong)),
                      wrong || backend != FP6LLM_BACKEND_CPU || ordinal != 0);
            break;
        }
        default: {
            fp6llmHandleConfig_t value = FP6LLM_HANDLE_CONFIG_INIT;
            value.backend = static_cast<int32_t>(choices_.below(4));
            value.device = choices_.one_of({0, 1, -1});
            value.numThreads = choices_.one_of({0, 2, 64, 257, -1});
            fp6llmHandle_t made = nullptr;
            if (succeeded(fp6llmCreateWithConfig(&made, &value), false)) {
                require(fp6llmDestroy(made) == FP6LLM_STATUS_SUCCESS);
            } else {
                require(made == nullptr);
            }
        }
    }
}

void Session::text_calls() {
    const auto size = static_cast<size_t>(choices_.byte());
    const GuardedBuffer text(size);
    char* buffer = text.as<char>();
    size_t needed = 0;
    switch (choices_.below(3)) {
        case 0:
            require(!fp6llmGetBuildInfo(buffer, size, &needed));
            break;
        case 1:
            require(!fp6llmGetLastErrorString(buffer, size, &needed));
            break;
        default:
            require(!fp6llmGetErrorString(handle_, buffer, size, &needed));
    }
    require(needed > 0);
    if (size > 0) require(std::strlen(buffer) == std::min(size, needed) - 1);
    const int32_t status = choices_.byte();
    require(fp6llmGetStatusName(static_cast<fp6llmStatus_t>(status)) != nullptr);
    require(fp6llmGetStatusString(static_cast<fp6llmStatus_t>(status)) != nullptr);
}

}  // namespace fp6llm::fuzz
