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

CodesAndScales check_codes(const fp6llmContext& context, const QuantSpec& spec, int64_t rows,
                           int64_t cols, const void* codes, const void* scales) {
    const QuantSizes sizes = check_quant_shape(spec, rows, cols);
    check_buffer(codes, sizes.code_bytes == 0, 1, "codes");
    check_buffer(scales, sizes.scale_bytes == 0, spec.scale_element_bytes(), "scales");
    context.check_memory(codes, sizes.code_bytes == 0, "codes");
    context.check_memory(scales, sizes.scale_bytes == 0, "scales");
    return {static_cast<const uint8_t*>(codes), scales};
}

size_t blob_bytes(const fp6llmContext& context, const QuantSpec& spec, int64_t rows, int64_t cols) {
    return context.device != nullptr ? context.device->blob_bytes(spec, rows, cols)
                                     : Weight::blob_bytes(spec, rows, cols);
}

/// Hands a finished weight to the caller; the last step of every create function.
template <typename Implementation>
void give(std::unique_ptr<Implementation> weight, fp6llmWeight_t* out) {
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

const fp6llmWeight& check_weight(const fp6llmContext& context, fp6llmWeight_t weight,
                                 const char* name) {
    const fp6llmWeight& checked = check_weight(weight, name);
    if (checked.backend != context.backend) {
        fail(Status::kInvalidValue, "%s is of backend %s, the handle of backend %s", name,
             backend_name(checked.backend), backend_name(context.backend));
    }
    if (checked.device != context.ordinal()) {
        fail(Status::kInvalidValue, "%s is on device %d, the handle on device %d", name,
             checked.device, context.ordinal());
    }
    return checked;
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
        context.check_memory(W, rows == 0 || cols == 0, "W");
        if (context.device != nullptr) {
            give(context.device->weight_from_floats(spec, w), weight);
        } else {
            give(Weight::from_floats(spec, w, context.executor()), weight);
        }
    });
}

fp6llmStatus_t fp6llmWeightCreateFromCodes(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                           int64_t rows, int64_t cols, const void* codes,
                                           const void* scales, fp6llmWeight_t* weight) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const CodesAndScales plain = check_codes(context, spec, rows, cols, codes, scales);
        check_out(weight, "weight");
        if (context.device != nullptr) {
            give(context.device->weight_from_codes(spec, rows, cols, plain.codes, plain.scales),
                 weight);
            return;
        }
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
        context.check_memory(packed, packed_bytes == 0, "packed");
        context.check_memory(scales, sizes.scale_bytes == 0, "scales");

        const auto* given = static_cast<const uint8_t*>(packed);
        if (context.device != nullptr) {
            give(context.device->weight_from_packed(from, spec, rows, cols, given, scales), weight);
            return;
        }
        const AlignedBuffer codes = plain_codes(sizes);
        unpack_layout(from, format, rows, cols, given, codes.data(), context.executor());
        give(Weight::from_codes(spec, rows, cols, codes.data(), scales, context.executor()),
             weight);
    });
}

fp6llmStatus_t fp6llmWeightExportCodes(fp6llmHandle_t handle, fp6llmWeight_t weight, void* codes,
                                       void* scales) {
    return guard(handle, [&](fp6llmContext& context) {
        const fp6llmWeight& source = check_weight(context, weight, "weight");
        check_aligned(scales, source.spec().scale_element_bytes(), "scales");
        context.check_memory(codes, "codes");
        context.check_memory(scales, "scales");
        auto* out = static_cast<uint8_t*>(codes);
        if (context.device != nullptr) {
            context.device->export_codes(*source.device_impl, out, scales);
        } else {
            source.impl->export_codes(out, scales, context.executor());
        }
    });
}

fp6llmStatus_t fp6llmWeightExportPacked(fp6llmHandle_t handle, fp6llmWeight_t weight,
                                        fp6llmPackedLayout_t layout, void* packed, void* scales) {
    return guard(handle, [&](fp6llmContext& context) {
        const fp6llmWeight& source = check_weight(context, weight, "weight");
        const PackedLayout to = check_layout(layout);
        const FormatInfo& format = *find_format(source.spec().format);
        packed_layout_bytes(to, format, source.rows(), source.cols());
        check_aligned(scales, source.spec().scale_element_bytes(), "scales");
        context.check_memory(packed, "packed");
        context.check_memory(scales, "scales");
        auto* out = static_cast<uint8_t*>(packed);
        if (context.device != nullptr) {
            context.device->export_packed(*source.device_impl, to, out, scales);
            return;
        }
        if (packed == nullptr) {
            source.impl->export_codes(nullptr, scales, context.executor());
            return;
        }
        const AlignedBuffer codes =
            plain_codes(quant_sizes(source.spec(), source.rows(), source.cols()));
        source.impl->export_codes(codes.data(), scales, context.executor());
        pack_layout(to, format, source.rows(), source.cols(), codes.data(), out,
                    context.executor());
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
        const QuantSpec& spec = source.spec();
        const QuantSizes sizes = quant_sizes(spec, source.rows(), source.cols());
        fp6llmWeightInfo_t out = FP6LLM_WEIGHT_INFO_INIT;
        out.rows = source.rows();
        out.cols = source.cols();
        out.format = static_cast<int32_t>(spec.format);
        out.scaleMode = static_cast<int32_t>(spec.scale_mode);
        out.groupSize = static_cast<int32_t>(spec.group_size);
        out.scaleType = static_cast<int32_t>(spec.scale_type);
        out.computeHint = static_cast<int32_t>(spec.compute_hint);
        out.backend = source.backend;
        out.device = source.device;
        out.codeBytes = sizes.code_bytes;
        out.scaleBytes = sizes.scale_bytes;
        const auto describe = [&out](const auto& impl) {
            out.isView = impl.is_view() ? 1 : 0;
            out.bytes = impl.bytes();
            std::snprintf(out.layout, sizeof out.layout, "%s", impl.layout_name());
        };
        if (source.impl != nullptr) {
            describe(*source.impl);
        } else {
            describe(*source.device_impl);
        }
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
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        check_quant_shape(spec, rows, cols);
        check_out(bytes, "bytes");
        *bytes = blob_bytes(context, spec, rows, cols);
    });
}

fp6llmStatus_t fp6llmWeightPackBlob(fp6llmHandle_t handle, const fp6llmQuantConfig_t* config,
                                    int64_t rows, int64_t cols, const void* codes,
                                    const void* scales, void* blob, size_t bytes) {
    return guard(handle, [&](fp6llmContext& context) {
        const QuantSpec spec = check_quant_config(config, AutoFormat::kInvalid);
        const CodesAndScales plain = check_codes(context, spec, rows, cols, codes, scales);
        check_not_null(blob, "blob");
        check_aligned(blob, FP6LLM_BLOB_ALIGNMENT, "blob");
        context.check_memory(blob, "blob");
        const size_t needed = blob_bytes(context, spec, rows, cols);
        if (bytes < needed) {
            fail(Status::kInvalidValue, "bytes = %zu < %zu needed", bytes, needed);
        }
        auto* out = static_cast<uint8_t*>(blob);
        if (context.device != nullptr) {
            context.device->pack_blob(spec, rows, cols, plain.codes, plain.scales, out);
        } else {
            Weight::pack_blob(spec, rows, cols, plain.codes, plain.scales, out, context.executor());
        }
    });
}

fp6llmStatus_t fp6llmWeightCreateView(fp6llmHandle_t handle, const void* blob, size_t bytes,
                                      fp6llmWeight_t* weight) {
    return guard(handle, [&](fp6llmContext& context) {
        check_not_null(blob, "blob");
        check_aligned(blob, FP6LLM_BLOB_ALIGNMENT, "blob");
        check_out(weight, "weight");
        context.check_memory(blob, "blob");
        const auto* given = static_cast<const uint8_t*>(blob);
        if (context.device != nullptr) {
            give(context.device->weight_from_blob(given, bytes), weight);
        } else {
            give(Weight::from_blob(given, bytes), weight);
        }
    });
}
