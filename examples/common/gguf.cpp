// See gguf.hpp. Cursor does every read and holds every bounds check of the header.
#include "examples/common/gguf.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields are copied as they lie");

namespace fp6llm::examples {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 56;  // times 4 bytes still fits in 63 bits
constexpr uint32_t kMaxDims = 4;
constexpr int kBlock = 32;  // weights per block of Q4_1 and Q8_0

// Metadata value types.
enum ValueType : uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kFloat32,
    kBool,
    kString,
    kArray,
    kU64,
    kI64,
    kFloat64
};

std::string quoted(std::string_view name) {
    std::string text = "'";
    for (const char c : name.substr(0, 80))
        text += c >= ' ' && c <= '~' ? c : '?';
    return text + (name.size() > 80 ? "...'" : "'");
}

// Elements per block and bytes per block; zero elements for a type that cannot be read.
struct BlockShape {
    int64_t elements;
    size_t bytes;
};
BlockShape block_shape(GgufType type) noexcept {
    switch (type) {
        case GgufType::kF32:
            return {1, 4};
        case GgufType::kF16:
            return {1, 2};
        case GgufType::kQ4_1:
            return {kBlock, 2 + 2 + kBlock / 2};
        case GgufType::kQ8_0:
            return {kBlock, 2 + kBlock};
    }
    return {0, 0};
}

class Cursor {
  public:
    Cursor(const uint8_t* data, size_t size) noexcept : data_(data), size_(size) {}

    size_t position() const noexcept { return position_; }
    size_t left() const noexcept { return size_ - position_; }

    const uint8_t* take(size_t bytes, const char* what) {
        if (bytes > left()) {
            throw GgufError(std::string("truncated in ") + what + " at byte " +
                            std::to_string(position_) + ": needs " + std::to_string(bytes) +
                            " bytes, has " + std::to_string(left()));
        }
        const uint8_t* start = data_ + position_;
        position_ += bytes;
        return start;
    }

    template <typename T>
    T read(const char* what) {
        T value;
        std::memcpy(&value, take(sizeof value, what), sizeof value);
        return value;
    }

    /// A number of things that each take at least `smallest` bytes of what is left of the file, so
    /// that no count makes the reader allocate more than in proportion to the file.
    size_t read_count(size_t smallest, const char* what) {
        const uint64_t count = read<uint64_t>(what);
        if (count > left() / smallest) {
            throw GgufError(std::string(what) + " is " + std::to_string(count) + ", but only " +
                            std::to_string(left()) + " bytes are left of the file");
        }
        return static_cast<size_t>(count);
    }

    std::string_view read_string(const char* what) {
        const size_t length = read_count(1, what);
        return {reinterpret_cast<const char*>(take(length, what)), length};
    }

  private:
    const uint8_t* data_;
    size_t size_;
    size_t position_ = 0;
};

size_t smallest_bytes(uint32_t type, std::string_view key) {
    switch (type) {
        case kU8:
        case kI8:
        case kBool:
            return 1;
        case kU16:
        case kI16:
            return 2;
        case kU32:
        case kI32:
        case kFloat32:
            return 4;
        case kU64:
        case kI64:
        case kFloat64:
        case kString:
            return 8;
        default:
            throw GgufError("metadata " + quoted(key) + ": unknown value type " +
                            std::to_string(type));
    }
}

GgufScalar read_scalar(Cursor& in, uint32_t type, std::string_view key) {
    constexpr const char* kWhat = "a metadata value";
    switch (type) {
        case kU8:
            return uint64_t{in.read<uint8_t>(kWhat)};
        case kI8:
            return int64_t{in.read<int8_t>(kWhat)};
        case kU16:
            return uint64_t{in.read<uint16_t>(kWhat)};
        case kI16:
            return int64_t{in.read<int16_t>(kWhat)};
        case kU32:
            return uint64_t{in.read<uint32_t>(kWhat)};
        case kI32:
            return int64_t{in.read<int32_t>(kWhat)};
        case kU64:
            return in.read<uint64_t>(kWhat);
        case kI64:
            return in.read<int64_t>(kWhat);
        case kFloat32:
            return double{in.read<float>(kWhat)};
        case kFloat64:
            return in.read<double>(kWhat);
        case kString:
            return in.read_string("a metadata string's length");
        case kBool:
            break;
        default:
            smallest_bytes(type, key);  // throws
    }
    const uint8_t flag = in.read<uint8_t>(kWhat);
    if (flag > 1) {
        throw GgufError("metadata " + quoted(key) + ": a bool of " + std::to_string(flag));
    }
    return flag != 0;
}

GgufValue read_value(Cursor& in, std::string_view key) {
    const uint32_t type = in.read<uint32_t>("a metadata value's type");
    if (type != kArray) return read_scalar(in, type, key);
    const uint32_t element = in.read<uint32_t>("an array's element type");
    if (element == kArray) throw GgufError("metadata " + quoted(key) + ": an array of arrays");
    std::vector<GgufScalar> array(in.read_count(smallest_bytes(element, key), "an array's length"));
    for (GgufScalar& value : array)
        value = read_scalar(in, element, key);
    return array;
}

// A tensor's description; `data` is still its offset, which needs the end of all descriptions.
struct TensorInfo {
    GgufTensor tensor;
    uint64_t offset;
};
TensorInfo read_tensor_info(Cursor& in) {
    TensorInfo info{};
    GgufTensor& tensor = info.tensor;
    tensor.name = in.read_string("a tensor name's length");
    const std::string who = "tensor " + quoted(tensor.name) + ": ";
    const uint32_t dims = in.read<uint32_t>("a tensor's number of dimensions");
    if (dims < 1 || dims > kMaxDims) {
        throw GgufError(who + std::to_string(dims) + " dimensions, expected 1 to 4");
    }
    tensor.rows = 1;
    for (uint32_t i = 0; i < dims; ++i) {
        const uint64_t dim = in.read<uint64_t>("a tensor's dimensions");
        int64_t& extent = i == 0 ? tensor.cols : tensor.rows;
        const int64_t others = i == 0 ? 1 : tensor.rows * tensor.cols;
        if (dim == 0 || dim > static_cast<uint64_t>(kMaxElements / others)) {
            throw GgufError(who + "dimension " + std::to_string(i) + " is " + std::to_string(dim) +
                            (dim == 0 ? "" : ", more elements than can be"));
        }
        extent = static_cast<int64_t>(dim) * (i == 0 ? 1 : extent);
    }
    const uint32_t type = in.read<uint32_t>("a tensor's type");
    tensor.type = static_cast<GgufType>(type);
    const BlockShape block = block_shape(tensor.type);
    if (block.elements == 0) {
        throw GgufError(who + "type " + std::to_string(type) +
                        " is not one of F32, F16, Q4_1, Q8_0");
    }
    if (tensor.cols % block.elements != 0) {
        throw GgufError(who + std::to_string(tensor.cols) + " columns are no multiple of " +
                        gguf_type_name(tensor.type) + "'s " + std::to_string(block.elements));
    }
    tensor.row_bytes = static_cast<size_t>(tensor.cols / block.elements) * block.bytes;
    info.offset = in.read<uint64_t>("a tensor's offset");
    return info;
}

size_t read_alignment(const std::map<std::string_view, GgufValue>& metadata) {
    const auto found = metadata.find("general.alignment");
    if (found == metadata.end()) return 32;
    const auto* scalar = std::get_if<GgufScalar>(&found->second);
    const auto* value = scalar ? std::get_if<uint64_t>(scalar) : nullptr;
    if (!value || *value < 8 || *value > (1u << 30) || (*value & (*value - 1)) != 0) {
        throw GgufError("general.alignment is not a power of two from 8 to 2^30");
    }
    return static_cast<size_t>(*value);
}

float load_half(const uint8_t* bytes) noexcept {
    uint16_t half;
    std::memcpy(&half, bytes, sizeof half);
    // The magnitude's bits as a float are value * 2^-112, for subnormals too; Inf and NaN land on
    // 2^16 and above.
    const uint32_t shifted = static_cast<uint32_t>(half & 0x7FFFu) << 13;
    float value;
    std::memcpy(&value, &shifted, sizeof value);
    value *= 0x1p112f;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if ((half & 0x7C00u) == 0x7C00u) bits |= 0x7F800000u;
    bits |= static_cast<uint32_t>(half & 0x8000u) << 16;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace

const char* gguf_type_name(GgufType type) noexcept {
    switch (type) {
        case GgufType::kF32:
            return "F32";
        case GgufType::kF16:
            return "F16";
        case GgufType::kQ4_1:
            return "Q4_1";
        case GgufType::kQ8_0:
            return "Q8_0";
    }
    return "?";
}

void GgufFile::Unmap::operator()(const uint8_t* data) const noexcept {
    munmap(const_cast<uint8_t*>(data), bytes);
}

GgufFile GgufFile::open(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw GgufError(path + ": " + std::strerror(errno));
    struct stat status {};
    const bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    const size_t size = regular ? static_cast<size_t>(status.st_size) : 0;
    void* data = size > 0 ? mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    const int error = errno;
    close(fd);
    if (size == 0) throw GgufError(path + (regular ? ": empty file" : ": not a regular file"));
    if (data == MAP_FAILED) throw GgufError(path + ": " + std::strerror(error));

    std::unique_ptr<const uint8_t, Unmap> mapping(static_cast<const uint8_t*>(data), Unmap{size});
    try {
        GgufFile file = parse(mapping.get(), size);
        file.mapping_ = std::move(mapping);
        return file;
    } catch (const GgufError& inner) {
        throw GgufError(path + ": " + inner.what());
    }
}

GgufFile GgufFile::parse(const uint8_t* data, size_t size) {
    GgufFile file;
    Cursor in(data, size);
    if (std::memcmp(in.take(4, "the magic"), "GGUF", 4) != 0) throw GgufError("not a GGUF file");
    file.version_ = in.read<uint32_t>("the version");
    if (file.version_ != 2 && file.version_ != 3) {
        throw GgufError("GGUF version " + std::to_string(file.version_) +
                        ((file.version_ & 0xFFFF) == 0 ? " (big-endian?)" : "") +
                        ", expected 2 or 3");
    }
    // name, dimensions, one dimension, type, offset; key, type, value
    const size_t tensor_count = in.read_count(8 + 4 + 8 + 4 + 8, "the tensor count");
    const size_t metadata_count = in.read_count(8 + 4 + 1, "the metadata count");

    for (size_t i = 0; i < metadata_count; ++i) {
        const std::string_view key = in.read_string("a metadata key's length");
        if (!file.metadata_.emplace(key, read_value(in, key)).second) {
            throw GgufError("metadata " + quoted(key) + " appears twice");
        }
    }
    std::vector<TensorInfo> infos;
    infos.reserve(tensor_count);
    for (size_t i = 0; i < tensor_count; ++i)
        infos.push_back(read_tensor_info(in));

    const size_t alignment = read_alignment(file.metadata_);
    const size_t padding = (alignment - in.position() % alignment) % alignment;
    if (tensor_count > 0) in.take(padding, "the padding before the data");
    const uint8_t* base = data + in.position();
    std::map<std::string_view, size_t> names;
    file.tensors_.reserve(tensor_count);
    for (TensorInfo& info : infos) {
        GgufTensor& tensor = info.tensor;
        if (!names.emplace(tensor.name, names.size()).second) {
            throw GgufError("tensor " + quoted(tensor.name) + " appears twice");
        }
        const size_t bytes = static_cast<size_t>(tensor.rows) * tensor.row_bytes;
        if (info.offset % alignment != 0 || info.offset > in.left() ||
            bytes > in.left() - info.offset) {
            throw GgufError("tensor " + quoted(tensor.name) + ": " + std::to_string(bytes) +
                            " bytes at offset " + std::to_string(info.offset) + " of " +
                            std::to_string(in.left()) + " bytes of data aligned to " +
                            std::to_string(alignment));
        }
        tensor.data = base + info.offset;
        file.tensors_.push_back(tensor);
    }
    return file;
}

const GgufTensor& GgufFile::tensor(std::string_view name) const {
    for (const GgufTensor& tensor : tensors_) {
        if (tensor.name == name) return tensor;
    }
    throw GgufError("no tensor " + quoted(name));
}

const GgufScalar& GgufFile::scalar(std::string_view key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) throw GgufError("no metadata " + quoted(key));
    const auto* value = std::get_if<GgufScalar>(&found->second);
    if (!value) throw GgufError("metadata " + quoted(key) + " is an array");
    return *value;
}

uint64_t GgufFile::integer(std::string_view key) const {
    const GgufScalar& value = scalar(key);
    if (const auto* plain = std::get_if<uint64_t>(&value)) return *plain;
    const auto* with_sign = std::get_if<int64_t>(&value);
    if (!with_sign || *with_sign < 0) {
        throw GgufError("metadata " + quoted(key) + " is no non-negative integer");
    }
    return static_cast<uint64_t>(*with_sign);
}

std::string_view GgufFile::text(std::string_view key) const {
    const auto* value = std::get_if<std::string_view>(&scalar(key));
    if (!value) throw GgufError("metadata " + quoted(key) + " is not text");
    return *value;
}

void dequantize_rows(const GgufTensor& tensor, int64_t first, int64_t count, float* out) noexcept {
    // Rows follow each other without gaps, so a range of rows is one run of blocks.
    const BlockShape shape = block_shape(tensor.type);
    const int64_t blocks = count * (tensor.cols / shape.elements);
    const uint8_t* block = tensor.data + static_cast<size_t>(first) * tensor.row_bytes;
    switch (tensor.type) {
        case GgufType::kF32:
            std::memcpy(out, block, static_cast<size_t>(blocks) * sizeof(float));
            return;
        case GgufType::kF16:
            for (int64_t i = 0; i < blocks; ++i)
                out[i] = load_half(block + 2 * i);
            return;
        case GgufType::kQ4_1:  // scale, minimum, 16 bytes: low nibbles are weights 0-15, high 16-31
            for (int64_t i = 0; i < blocks; ++i, block += shape.bytes, out += kBlock) {
                const float scale = load_half(block), minimum = load_half(block + 2);
                for (int j = 0; j < kBlock / 2; ++j) {
                    out[j] = static_cast<float>(block[4 + j] & 15) * scale + minimum;
                    out[j + kBlock / 2] = static_cast<float>(block[4 + j] >> 4) * scale + minimum;
                }
            }
            return;
        case GgufType::kQ8_0:  // scale, 32 int8
            for (int64_t i = 0; i < blocks; ++i, block += shape.bytes, out += kBlock) {
                const float scale = load_half(block);
                for (int j = 0; j < kBlock; ++j) {
                    out[j] = static_cast<float>(static_cast<int8_t>(block[2 + j])) * scale;
                }
            }
            return;
    }
}

}  // namespace fp6llm::examples
