// A small reader of GGUF files, versions 2 and 3, little-endian: metadata, and tensors of F32, F16,
// Q4_1 and Q8_0 (the GGUF specification in ggml's documentation; block layouts as ggml defines
// them).
//
// The file is input from outside: every count, length, dimension, type and offset is checked
// against what the file holds before it is used, and a file that fails a check is refused with a
// GgufError that says where and why. No byte outside the file is ever read.
//
//   "GGUF"  version u32  tensor count u64  metadata count u64
//   metadata    { key string, type u32, value }                      string = length u64, bytes
//   tensors     { name string, dims u32, dim[dims] u64, type u32, offset u64 }
//   padding to general.alignment (32 unless the metadata say otherwise)
//   data        each tensor at its offset from here, a multiple of the alignment
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fp6llm::examples {

class GgufError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Tensor types that can be read; values are ggml's.
enum class GgufType : uint32_t { kF32 = 0, kF16 = 1, kQ4_1 = 3, kQ8_0 = 8 };

/// "Q4_1"; "?" for a value that is none of GgufType.
const char* gguf_type_name(GgufType type) noexcept;

struct GgufTensor {
    std::string_view name;
    GgufType type;
    int64_t rows;         ///< product of all dimensions but the first; >= 1
    int64_t cols;         ///< the first dimension: elements that lie side by side; >= 1
    const uint8_t* data;  ///< rows * row_bytes bytes, of no particular alignment
    size_t row_bytes;
};

/// A metadata value. Integers and floats of every width are widened; text points into the file.
using GgufScalar = std::variant<uint64_t, int64_t, double, bool, std::string_view>;
using GgufValue = std::variant<GgufScalar, std::vector<GgufScalar>>;

class GgufFile {
  public:
    /// Maps a file and parses it. Throws GgufError. The file must not be truncated while mapped.
    static GgufFile open(const std::string& path);
    /// Parses `size` bytes that outlive the object. Throws GgufError.
    static GgufFile parse(const uint8_t* data, size_t size);

    uint32_t version() const noexcept { return version_; }
    const std::vector<GgufTensor>& tensors() const noexcept { return tensors_; }
    const std::map<std::string_view, GgufValue>& metadata() const noexcept { return metadata_; }

    /// The tensor of a name; throws GgufError if there is none.
    const GgufTensor& tensor(std::string_view name) const;
    /// A metadata value that must be there and a non-negative integer, or text; throws GgufError.
    uint64_t integer(std::string_view key) const;
    std::string_view text(std::string_view key) const;

  private:
    struct Unmap {
        size_t bytes;
        void operator()(const uint8_t* data) const noexcept;
    };
    GgufFile() = default;
    const GgufScalar& scalar(std::string_view key) const;

    std::unique_ptr<const uint8_t, Unmap> mapping_{nullptr, Unmap{0}};
    uint32_t version_ = 0;
    std::map<std::string_view, GgufValue> metadata_;
    std::vector<GgufTensor> tensors_;
};

/// Writes rows [first, first + count) of a tensor as fp32, row-major [count, cols]. The caller
/// keeps the range within the tensor's rows.
void dequantize_rows(const GgufTensor& tensor, int64_t first, int64_t count, float* out) noexcept;

}  // namespace fp6llm::examples
