#include "capi/src/checks.hpp"

namespace fp6llm::capi {
namespace {

[[noreturn]] void fail_enum(const char* name, int32_t value, const char* type) {
    fail(Status::kInvalidValue, "%s = %d is not an %s", name, value, type);
}

}  // namespace

void check_not_null(const void* pointer, const char* name) {
    if (pointer == nullptr) fail(Status::kInvalidValue, "%s is NULL", name);
}

void check_aligned(const void* pointer, size_t alignment, const char* name) {
    if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0) {
        fail(Status::kInvalidValue, "%s = %p is not aligned to %zu bytes", name, pointer,
             alignment);
    }
}

void check_buffer(const void* pointer, bool is_empty, size_t alignment, const char* name) {
    if (is_empty) return;
    check_not_null(pointer, name);
    check_aligned(pointer, alignment, name);
}

void check_not_negative(int64_t value, const char* name) {
    if (value < 0) {
        fail(Status::kInvalidValue, "%s = %lld is negative", name, static_cast<long long>(value));
    }
}

void check_backend(int32_t backend, const char* name) {
    if (backend < FP6LLM_BACKEND_AUTO || backend > FP6LLM_BACKEND_CUDA) {
        fail_enum(name, backend, "fp6llmBackend_t");
    }
}

const char* backend_name(fp6llmBackend_t backend) noexcept {
    return backend == FP6LLM_BACKEND_CPU ? "CPU" : backend == FP6LLM_BACKEND_CUDA ? "CUDA" : "AUTO";
}

DataType check_float_type(int32_t type, const char* name) {
    switch (type) {
        case FP6LLM_R_32F:
        case FP6LLM_R_16F:
        case FP6LLM_R_16BF:
            return static_cast<DataType>(type);
        case FP6LLM_R_8I:
        case FP6LLM_R_8F_E4M3:
        case FP6LLM_R_8F_E5M2:
        case FP6LLM_R_8F_UE8M0:
        case FP6LLM_R_6F_E2M3:
        case FP6LLM_R_6F_E3M2:
        case FP6LLM_R_4F_E2M1:
        case FP6LLM_R_5F_E2M2:
        case FP6LLM_R_5F_E3M1:
        case FP6LLM_R_6F_AUTO:
            fail(Status::kNotSupported, "%s = %d; R_32F, R_16F and R_16BF are supported", name,
                 type);
        default:
            fail_enum(name, type, "fp6llmDataType_t");
    }
}

Activation check_activation(int32_t activation, const char* name) {
    if (activation < FP6LLM_ACTIVATION_NONE || activation > FP6LLM_ACTIVATION_SILU) {
        fail_enum(name, activation, "fp6llmActivation_t");
    }
    return static_cast<Activation>(activation);
}

ComputeType check_compute_type(int32_t type, const char* name) {
    switch (type) {
        case FP6LLM_COMPUTE_32F:
        case FP6LLM_COMPUTE_32F_FAST_16F:
        case FP6LLM_COMPUTE_32F_FAST_16BF:
        case FP6LLM_COMPUTE_32F_FAST_8F:
        case FP6LLM_COMPUTE_32F_FAST_8I:
        case FP6LLM_COMPUTE_32F_FAST_16I:
            return static_cast<ComputeType>(type);
        default:
            fail_enum(name, type, "fp6llmComputeType_t");
    }
}

bool check_operation(int32_t operation, const char* name) {
    if (operation != FP6LLM_OP_N && operation != FP6LLM_OP_T) {
        fail_enum(name, operation, "fp6llmOperation_t");
    }
    return operation == FP6LLM_OP_T;
}

PackedLayout check_layout(int32_t layout) {
    if (layout != FP6LLM_LAYOUT_TC_FPX && layout != FP6LLM_LAYOUT_SPLIT_4_2) {
        fail_enum("layout", layout, "fp6llmPackedLayout_t");
    }
    return static_cast<PackedLayout>(layout);
}

void check_matrix(int64_t vectors, int64_t row_length, const char* row_name, int64_t ld,
                  const char* ld_name, DataType type) {
    const int64_t least = row_length > 1 ? row_length : 1;
    if (ld < least) {
        fail(Status::kInvalidValue, "%s = %lld < %s = %lld", ld_name, static_cast<long long>(ld),
             row_length > 1 ? row_name : "1", static_cast<long long>(least));
    }
    checked_mul(checked_mul(ld, static_cast<int64_t>(float_bytes(type)), ld_name), vectors,
                ld_name);
}

QuantSpec check_quant_config(const fp6llmQuantConfig_t* input, AutoFormat auto_format) {
    const fp6llmQuantConfig_t config = read_struct(input, "config");
    QuantSpec spec;

    spec.format = static_cast<DataType>(config.format);
    if (config.format == FP6LLM_R_6F_AUTO) {
        if (auto_format == AutoFormat::kInvalid) {
            fail(Status::kInvalidValue,
                 "config->format = R_6F_AUTO says nothing about given codes; name their format");
        }
    } else if (find_format(spec.format) == nullptr) {
        fail(Status::kInvalidValue,
             "config->format = %d is not one of E3M2, E2M3, E2M2, E3M1, E2M1, AUTO", config.format);
    }

    int32_t scale_type = config.scaleType;
    switch (config.scaleMode) {
        case FP6LLM_SCALE_ROW:
            break;
        case FP6LLM_SCALE_GROUP:
            if (config.groupSize < 16 || config.groupSize > 4096 || config.groupSize % 8 != 0) {
                fail(Status::kInvalidValue,
                     "config->groupSize = %d is not a multiple of 8 in 16..4096", config.groupSize);
            }
            spec.group_size = config.groupSize;
            break;
        case FP6LLM_SCALE_MX:
            if (config.groupSize != 0 && config.groupSize != 32) {
                fail(Status::kInvalidValue, "config->groupSize = %d; MX groups are 32 (or 0)",
                     config.groupSize);
            }
            spec.group_size = 32;
            break;
        default:
            fail_enum("config->scaleMode", config.scaleMode, "fp6llmScaleMode_t");
    }
    spec.scale_mode = static_cast<ScaleMode>(config.scaleMode);

    const bool is_mx = spec.scale_mode == ScaleMode::kMx;
    if (scale_type == FP6LLM_SCALE_TYPE_DEFAULT) {
        scale_type = is_mx ? FP6LLM_R_8F_UE8M0 : FP6LLM_R_32F;
    }
    if (is_mx ? scale_type != FP6LLM_R_8F_UE8M0
              : scale_type != FP6LLM_R_32F && scale_type != FP6LLM_R_16F) {
        fail(Status::kInvalidValue, "config->scaleType = %d; %s", config.scaleType,
             is_mx ? "MX scales are R_8F_UE8M0" : "row and group scales are R_32F or R_16F");
    }
    spec.scale_type = static_cast<DataType>(scale_type);

    if (config.rounding != FP6LLM_ROUND_NEAREST_EVEN &&
        config.rounding != FP6LLM_ROUND_NEAREST_AWAY) {
        fail_enum("config->rounding", config.rounding, "fp6llmRounding_t");
    }
    spec.rounding = static_cast<Rounding>(config.rounding);
    if (config.mxScaleRule < FP6LLM_MX_SCALE_FLOOR || config.mxScaleRule > FP6LLM_MX_SCALE_RCEIL) {
        fail_enum("config->mxScaleRule", config.mxScaleRule, "fp6llmMxScaleRule_t");
    }
    spec.mx_rule = static_cast<MxScaleRule>(config.mxScaleRule);
    if (config.nonFinite != FP6LLM_NONFINITE_ERROR &&
        config.nonFinite != FP6LLM_NONFINITE_SATURATE) {
        fail_enum("config->nonFinite", config.nonFinite, "fp6llmNonFinite_t");
    }
    spec.non_finite = static_cast<NonFinite>(config.nonFinite);
    if (config.scaleSearch < 0 || config.scaleSearch > 64) {
        fail(Status::kInvalidValue, "config->scaleSearch = %d is not in 0..64", config.scaleSearch);
    }
    spec.scale_search = config.scaleSearch;
    if (config.computeHint != 0) {
        spec.compute_hint = check_compute_type(config.computeHint, "config->computeHint");
    }
    if (config.reserved != 0) {
        fail(Status::kInvalidValue, "config->reserved = %d is not 0", config.reserved);
    }
    return spec;
}

QuantSizes check_quant_shape(const QuantSpec& spec, int64_t rows, int64_t cols) {
    check_not_negative(rows, "rows");
    check_not_negative(cols, "cols");
    checked_mul(cols, 1024, "cols");  // a panel of codes, also where there are no rows
    checked_mul(checked_mul(rows, 8, "rows"), cols > 1 ? cols : 1, "rows * cols");
    return quant_sizes(spec, rows, cols);
}

MatrixView check_weights(const void* W, int32_t type, int64_t rows, int64_t cols, int64_t ldw) {
    const DataType wtype = check_float_type(type, "Wtype");
    check_matrix(rows, cols, "cols", ldw, "ldw", wtype);
    check_buffer(W, rows == 0 || cols == 0, float_bytes(wtype), "W");
    return {W, wtype, rows, cols, ldw};
}

}  // namespace fp6llm::capi
