// Dispatch of published layouts to their codecs.
#include "core/prepack/published_layouts.hpp"

#include "core/common/error.hpp"
#include "core/prepack/layout_codec.hpp"

namespace fp6llm {
namespace {

const LayoutCodec& codec_of(PackedLayout layout) {
    for (const LayoutCodec* codec : {&kTcFpxCodec, &kSplit42Codec}) {
        if (codec->layout == layout) return *codec;
    }
    fail(Status::kInvalidValue, "layout = %d is none of TC_FPX (1), SPLIT_4_2 (2)",
         static_cast<int>(layout));
}

}  // namespace

size_t packed_layout_bytes(PackedLayout layout, const FormatInfo& format, int64_t rows,
                           int64_t cols) {
    return codec_of(layout).bytes(format, rows, cols);
}

void pack_layout(PackedLayout layout, const FormatInfo& format, int64_t rows, int64_t cols,
                 const uint8_t* codes, uint8_t* packed, Executor& executor) {
    codec_of(layout).pack(format, rows, cols, codes, packed, executor);
}

void unpack_layout(PackedLayout layout, const FormatInfo& format, int64_t rows, int64_t cols,
                   const uint8_t* packed, uint8_t* codes, Executor& executor) {
    codec_of(layout).unpack(format, rows, cols, packed, codes, executor);
}

}  // namespace fp6llm
