// Weight objects: create, import, export, blobs, info.
#include "capi/src/weight.hpp"

#include <cstdio>

#include "capi/src/checks.hpp"
#include "capi/src/guard.hpp"
#include "core/prepack/published_layouts.hpp"

namespace fp6llm::capi {
namespace {

/// Plain codes in memory of ours, for layouts that go by way of them.
AlignedBuffer plain_codes(const QuantSizes& sizes) {
    return AlignedBuffer(sizes.code_bytes > 0 ? sizes.code_bytes : 1);
}

struct CodesAndScales {
    const uint8_t* codes;
    const void* scales;
};

CodesAndScales check_codes(const QuantSpec& spec, int64_t rows, int64_t cols, const void* codes,
                           const void* scales) {
    const QuantSizes sizes = check_quant_shape(spec, rows, cols);
    check_buffer(codes, sizes.code_bytes == 0, 1, "codes");
    check_buffer(scales, sizes.scale_bytes == 0, spec.scale_element_bytes(), "scales");
    return {static_cast<const uint8_t*>(codes), scales};
}

/// Hands a finished weight to the caller; the last step of every create function.
void give(std::unique_ptr<Weight> weight, fp6llmWeight_t* out) {
    *out = std::make_unique<fp6llmWeight>(std::move(weight)).release();
}

}  // namespace

const fp6llmWeight& check_weight(fp6llmWeight_t weight, const char* name) {
    check_not_null(weight, name);
    check_aligned(weight, alignof(fp6llmWeight), name);
    if (weight->magic != kWeightMagic) {
        fail(Status::kInvalidValue, "%s is not a live weight", name);
    }
    return *weight;
}

const Weight& check_weight(const fp6llmContext& context, fp6llmWeight_t weight, const char* name) {
    const fp6llmWeight& checked = check_weight(weight, name);
    if (checked.backend != context.backend) {
        fail(Status::kInvalidValue, "%s is of backend %s, the handle of backend %s", name,
             backend_name(checked.backend), backend_name(context.backend));
    }
    return *checked.impl;
}

}  // namespace fp6llm::capi

using namespace fp6llm;
using namespace fp6llm::capi;

fp6llmStatus_t fp6llmWeightCreate(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                  int64_t rows, int64_t cols, const void* W, fp6llmDataType_t Wtype,
                                  int64_t ldw, fp6llmWeight_t* weight) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kAllowed);
        check_quant_shape(spec, rows, cols);
        const MatrixView w = check_weights(W, Wtype, rows, cols, ldw);
        check_out(weight, "weight");
        give(Weight::from_floats(spec, w, context.executor()), weight);
    });
}

fp6llmStatus_t fp6llmWeightCreateFromCodes(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                           int64_t rows, int64_t cols, const void* codes,
                                           const void* scales, fp6llmWeight_t* weight) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const CodesAndScales plain = check_codes(spec, rows, cols, codes, scales);
        check_out(weight, "weight");
        give(Weight::from_codes(spec, rows, cols, plain.codes, plain.scales, context.executor()),
             weight);
    });
}

fp6llmStatus_t fp6llmWeightCreateFromPacked(fp6llmHandle_t handle, fp6llmPackedLayout_t layout,
                                            const fp6llmQuantConfig_t* config, int64_t rows,
                                            int64_t cols, const void* packed, const void* scales,
                                            fp6llmWeight_t* weight) {
    return guard(handle, [&](fp6llmContext& context) {
        const PackedLayout from = check_layout(layout);
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const QuantSizes sizes = check_quant_shape(spec, rows, cols);
        const FormatInfo& format = *find_format(spec.format);
        const size_t packed_bytes = packed_layout_bytes(from, format, rows, cols);
        check_buffer(packed, packed_bytes == 0, 1, "packed");
        check_buffer(scales, sizes.scale_bytes == 0, spec.scale_element_bytes(), "scales");
        check_out(weight, "weight");

        const AlignedBuffer codes = plain_codes(sizes);
        unpack_layout(from, format, rows, cols, static_cast<const uint8_t*>(packed), codes.data(),
                      context.executor());
        give(Weight::from_codes(spec, rows, cols, codes.data(), scales, context.executor()),
             weight);
    });
}

fp6llmStatus_t fp6llmWeightExportCodes(fp6llmHandle_t handle, fp6llmWeight_t weight, void* codes,
                                       void* scales) {
    return guard(handle, [&](fp6llmContext& context) {
        const Weight& source = check_weight(context, weight, "weight");
        check_aligned(scales, source.spec().scale_element_bytes(), "scales");
        source.export_codes(static_cast<uint8_t*>(codes), scales, context.executor());
    });
}

fp6llmStatus_t fp6llmWeightExportPacked(fp6llmHandle_t handle, fp6llmWeight_t weight,
                                        fp6llmPackedLayout_t layout, void* packed, void* scales) {
    return guard(handle, [&](fp6llmContext& context) {
        const Weight& source = check_weight(context, weight, "weight");
        const PackedLayout to = check_layout(layout);
        const CpuWeightView& view = source.cpu();
        packed_layout_bytes(to, *view.format, view.rows, view.cols);
        check_aligned(scales, source.spec().scale_element_bytes(), "scales");
        if (packed == nullptr) {
            source.export_codes(nullptr, scales, context.executor());
            return;
        }
        const AlignedBuffer codes = plain_codes(quant_sizes(source.spec(), view.rows, view.cols));
        source.export_codes(codes.data(), scales, context.executor());
        pack_layout(to, *view.format, view.rows, view.cols, codes.data(),
                    static_cast<uint8_t*>(packed), context.executor());
    });
}

fp6llmStatus_t fp6llmPackedGetSizes(fp6llmPackedLayout_t layout, const fp6llmQuantConfig_t* config,
                                    int64_t rows, int64_t cols, size_t* packedBytes,
                                    size_t* scaleBytes) {
    return guard([&] {
        const PackedLayout packed_layout = check_layout(layout);
        check_optional_out(packedBytes, "packedBytes");
        check_optional_out(scaleBytes, "scaleBytes");
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const QuantSizes sizes = check_quant_shape(spec, rows, cols);
        const size_t bytes =
            packed_layout_bytes(packed_layout, *find_format(spec.format), rows, cols);
        if (packedBytes != nullptr) *packedBytes = bytes;
        if (scaleBytes != nullptr) *scaleBytes = sizes.scale_bytes;
    });
}

fp6llmStatus_t fp6llmWeightGetInfo(fp6llmWeight_t weight, fp6llmWeightInfo_t* info) {
    return guard([&] {
        const fp6llmWeight& source = check_weight(weight, "weight");
        check_out_struct(info, "info");
        const QuantSpec& spec = source.impl->spec();
        const CpuWeightView& view = source.impl->cpu();
        const QuantSizes sizes = quant_sizes(spec, view.rows, view.cols);
        fp6llmWeightInfo_t out = FP6LLM_WEIGHT_INFO_INIT;
        out.rows = view.rows;
        out.cols = view.cols;
        out.format = static_cast<int32_t>(spec.format);
        out.scaleMode = static_cast<int32_t>(spec.scale_mode);
        out.groupSize = static_cast<int32_t>(spec.group_size);
        out.scaleType = static_cast<int32_t>(spec.scale_type);
        out.backend = source.backend;
        out.device = source.device;
        out.isView = source.impl->is_view() ? 1 : 0;
        out.bytes = source.impl->bytes();
        out.codeBytes = sizes.code_bytes;
        out.scaleBytes = sizes.scale_bytes;
        std::snprintf(out.layout, sizeof out.layout, "%s", source.impl->layout_name());
        write_struct(info, out);
    });
}

fp6llmStatus_t fp6llmWeightDestroy(fp6llmWeight_t weight) {
    if (weight == nullptr) return FP6LLM_STATUS_SUCCESS;
    return guard([&] {
        check_weight(weight, "weight");
        weight->magic = 0;
        delete weight;
    });
}

fp6llmStatus_t fp6llmWeightGetBlobSize(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                       int64_t rows, int64_t cols, size_t* bytes) {
    return guard(handle, [&](fp6llmContext&) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        check_quant_shape(spec, rows, cols);
        check_out(bytes, "bytes");
        *bytes = Weight::blob_bytes(spec, rows, cols);
    });
}

fp6llmStatus_t fp6llmWeightPackBlob(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                    int64_t rows, int64_t cols, const void* codes,
                                    const void* scales, void* blob, size_t bytes) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const CodesAndScales plain = check_codes(spec, rows, cols, codes, scales);
        check_not_null(blob, "blob");
        check_aligned(blob, FP6LLM_BLOB_ALIGNMENT, "blob");
        const size_t needed = Weight::blob_bytes(spec, rows, cols);
        if (bytes < needed) {
            fail(Status::kInvalidValue, "bytes = %zu < %zu needed", bytes, needed);
        }
        Weight::pack_blob(spec, rows, cols, plain.codes, plain.scales, static_cast<uint8_t*>(blob),
                          context.executor());
    });
}

fp6llmStatus_t fp6llmWeightCreateView(fp6llmHandle_t handle, const void* blob, size_t bytes,
                                      fp6llmWeight_t* weight) {
    return guard(handle, [&](fp6llmContext&) {
        check_not_null(blob, "blob");
        check_aligned(blob, FP6LLM_BLOB_ALIGNMENT, "blob");
        check_out(weight, "weight");
        give(Weight::from_blob(static_cast<const uint8_t*>(blob), bytes), weight);
    });
}
