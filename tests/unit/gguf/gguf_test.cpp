// The examples' GGUF reader on files built by hand: values, and refusal of everything that is
// broken.
#include "examples/common/gguf.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>

namespace fp6llm::examples {
namespace {

using Bytes = std::vector<uint8_t>;

// Appends fields as they lie in a file.
class Writer {
  public:
    template <typename T>
    Writer& put(T value) {
        const auto* raw = reinterpret_cast<const uint8_t*>(&value);
        bytes_.insert(bytes_.end(), raw, raw + sizeof value);
        return *this;
    }
    Writer& text(std::string_view value) {
        put<uint64_t>(value.size());
        bytes_.insert(bytes_.end(), value.begin(), value.end());
        return *this;
    }
    Writer& header(uint64_t tensors, uint64_t metadata, uint32_t version = 3) {
        bytes_.insert(bytes_.end(), {'G', 'G', 'U', 'F'});
        return put(version).put(tensors).put(metadata);
    }
    Writer& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                   uint64_t offset) {
        text(name).put(static_cast<uint32_t>(dims.size()));
        for (const uint64_t dim : dims)
            put(dim);
        return put(type).put(offset);
    }
    Writer& align(size_t alignment) {
        bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
        return *this;
    }
    const Bytes& bytes() const { return bytes_; }

  private:
    Bytes bytes_;
};

// One tensor of each type and one metadata value of each kind.
Bytes small_file() {
    Writer out;
    out.header(4, 6);
    out.text("general.architecture").put<uint32_t>(8).text("llama");
    out.text("llama.block_count").put<uint32_t>(4).put<uint32_t>(30);
    out.text("eps").put<uint32_t>(6).put(0.5f);
    out.text("flag").put<uint32_t>(7).put<uint8_t>(1);
    out.text("below").put<uint32_t>(5).put<int32_t>(-7);
    out.text("tokens").put<uint32_t>(9).put<uint32_t>(8).put<uint64_t>(2).text("a").text("bc");
    out.tensor("f32", {2, 3}, 0, 0);
    out.tensor("f16", {4}, 1, 32);
    out.tensor("q4_1", {64, 1, 1}, 3, 64);
    out.tensor("q8_0", {32, 2}, 8, 128);
    out.align(32);
    for (int i = 0; i < 6; ++i)
        out.put(static_cast<float>(i) - 2.5f);
    out.align(32);
    for (const uint16_t half : {0x3C00, 0xC000, 0x0001, 0x7BFF})
        out.put<uint16_t>(half);
    out.align(32);
    for (int block = 0; block < 2; ++block) {
        out.put<uint16_t>(block == 0 ? 0x3800 : 0x4000).put<uint16_t>(0xBC00);  // 0.5 or 2, -1
        for (int j = 0; j < 16; ++j)
            out.put(static_cast<uint8_t>(j | (15 - j) << 4));
    }
    out.align(32);
    for (int row = 0; row < 2; ++row) {
        out.put<uint16_t>(0x3400);  // 0.25
        for (int j = 0; j < 32; ++j)
            out.put(static_cast<int8_t>(row == 0 ? j - 16 : -128 + j));
    }
    return out.bytes();
}

// Parses a copy whose buffer ends exactly at the file's end, so that a sanitizer sees a read past
// it, and dequantizes whatever was accepted.
void read_all(const Bytes& bytes) {
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
    if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
    const GgufFile file = GgufFile::parse(copy.get(), bytes.size());
    for (const GgufTensor& tensor : file.tensors()) {
        std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.cols));
        dequantize_rows(tensor, 0, tensor.rows, values.data());
    }
}

// The text of the error that `bytes` raise; "" if they are accepted.
std::string error_of(const Bytes& bytes) {
    try {
        read_all(bytes);
    } catch (const GgufError& error) {
        return error.what();
    }
    return "";
}

void expect_error(const Bytes& bytes, const std::string& part) {
    const std::string text = error_of(bytes);
    EXPECT_NE(text.find(part), std::string::npos) << "got: " << text << "\nwanted: " << part;
}

TEST(Gguf, ReadsMetadata) {
    const Bytes bytes = small_file();
    const GgufFile file = GgufFile::parse(bytes.data(), bytes.size());
    EXPECT_EQ(file.version(), 3u);
    EXPECT_EQ(file.text("general.architecture"), "llama");
    EXPECT_EQ(file.integer("llama.block_count"), 30u);
    const auto scalar = [&](const char* key) {
        return std::get<GgufScalar>(file.metadata().at(key));
    };
    EXPECT_EQ(std::get<double>(scalar("eps")), 0.5);
    EXPECT_EQ(std::get<bool>(scalar("flag")), true);
    EXPECT_EQ(std::get<int64_t>(scalar("below")), -7);
    const auto& tokens = std::get<std::vector<GgufScalar>>(file.metadata().at("tokens"));
    ASSERT_EQ(tokens.size(), 2u);
    EXPECT_EQ(std::get<std::string_view>(tokens[1]), "bc");

    EXPECT_THROW(file.integer("absent"), GgufError);
    EXPECT_THROW(file.integer("below"), GgufError);
    EXPECT_THROW(file.integer("tokens"), GgufError);
    EXPECT_THROW(file.text("eps"), GgufError);
    EXPECT_THROW(file.tensor("absent"), GgufError);
}

TEST(Gguf, DequantizesEveryType) {
    const Bytes bytes = small_file();
    const GgufFile file = GgufFile::parse(bytes.data(), bytes.size());
    const auto values = [&](const char* name, int64_t rows, int64_t cols) {
        const GgufTensor& tensor = file.tensor(name);
        EXPECT_EQ(tensor.rows, rows);
        EXPECT_EQ(tensor.cols, cols);
        std::vector<float> out(static_cast<size_t>(rows * cols));
        dequantize_rows(tensor, 0, rows, out.data());
        return out;
    };
    const auto f32 = values("f32", 3, 2);
    for (int i = 0; i < 6; ++i)
        EXPECT_EQ(f32[i], i - 2.5f);

    EXPECT_EQ(values("f16", 1, 4), (std::vector<float>{1.0f, -2.0f, 0x1p-24f, 65504.0f}));

    const auto q4_1 = values("q4_1", 1, 64);
    for (int j = 0; j < 16; ++j) {
        EXPECT_EQ(q4_1[j], 0.5f * j - 1);
        EXPECT_EQ(q4_1[j + 16], 0.5f * (15 - j) - 1);
        EXPECT_EQ(q4_1[j + 32], 2.0f * j - 1);
    }
    const auto q8_0 = values("q8_0", 2, 32);
    for (int j = 0; j < 32; ++j) {
        EXPECT_EQ(q8_0[j], 0.25f * (j - 16));
        EXPECT_EQ(q8_0[32 + j], 0.25f * (j - 128));
    }
    float last_row[32];
    dequantize_rows(file.tensor("q8_0"), 1, 1, last_row);
    EXPECT_EQ(0, std::memcmp(last_row, &q8_0[32], sizeof last_row));
}

TEST(Gguf, ReadsEveryHalf) {
    Writer out;
    out.header(1, 0, 2).tensor("t", {65536}, 1, 0).align(32);
    for (uint32_t half = 0; half < 65536; ++half)
        out.put(static_cast<uint16_t>(half));
    const GgufFile file = GgufFile::parse(out.bytes().data(), out.bytes().size());
    std::vector<float> values(65536);
    dequantize_rows(file.tensor("t"), 0, 1, values.data());
    for (uint32_t half = 0; half < 65536; ++half) {
        const int exponent = (half >> 10) & 31, mantissa = half & 1023;
        double magnitude =
            exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
        if (exponent == 31) magnitude = std::numeric_limits<double>::infinity();
        if (exponent == 31 && mantissa != 0) {
            EXPECT_TRUE(std::isnan(values[half])) << half;
        } else {
            EXPECT_EQ(values[half], half & 0x8000 ? -magnitude : magnitude) << half;
        }
        EXPECT_EQ(std::signbit(values[half]), half >> 15) << half;
    }
}

TEST(Gguf, RefusesEveryTruncation) {
    const Bytes bytes = small_file();
    ASSERT_EQ(error_of(bytes), "");
    for (size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_NE(error_of(Bytes(bytes.begin(), bytes.begin() + static_cast<long>(size))), "")
            << "cut to " << size;
    }
}

TEST(Gguf, SurvivesEveryCorruptedByte) {
    const Bytes bytes = small_file();
    size_t refused = 0;
    for (size_t at = 0; at < bytes.size(); ++at) {
        for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
            Bytes changed = bytes;
            changed[at] ^= static_cast<uint8_t>(flip);
            refused += !error_of(changed).empty();
        }
    }
    EXPECT_GT(refused, bytes.size());  // at least the magic, counts, lengths, types and offsets
}

TEST(Gguf, NamesWhatIsWrongWithTheHeader) {
    expect_error({'G', 'G', 'M', 'L', 0, 0, 0, 0}, "not a GGUF file");
    expect_error(Writer().header(0, 0, 1).bytes(), "version 1, expected 2 or 3");
    expect_error(Writer().header(0, 0, 0x03000000).bytes(), "big-endian");
    expect_error(Writer().header(~0ull, 0).bytes(), "the tensor count is 18446744073709551615");
    expect_error(Writer().header(0, 1ull << 60).bytes(), "the metadata count is");
    EXPECT_EQ(error_of(Writer().header(0, 0).bytes()), "");
}

TEST(Gguf, NamesWhatIsWrongWithMetadata) {
    const auto with_value = [](const std::function<void(Writer&)>& value) {
        Writer out;
        out.header(0, 1).text("key");
        value(out);
        return out.bytes();
    };
    expect_error(with_value([](Writer& w) { w.put<uint32_t>(13).put<uint64_t>(0); }),
                 "unknown value type 13");
    expect_error(with_value([](Writer& w) { w.put<uint32_t>(7).put<uint8_t>(2); }), "a bool of 2");
    expect_error(with_value([](Writer& w) { w.put<uint32_t>(8).put<uint64_t>(~0ull); }),
                 "string's length is 18446744073709551615");
    expect_error(with_value([](Writer& w) { w.put<uint32_t>(9).put<uint32_t>(9); }),
                 "an array of arrays");
    expect_error(with_value([](Writer& w) {
                     w.put<uint32_t>(9).put<uint32_t>(10).put<uint64_t>(1ull << 61);
                 }),
                 "an array's length is");
    expect_error(
        with_value([](Writer& w) { w.put<uint32_t>(9).put<uint32_t>(77).put<uint64_t>(0); }),
        "unknown value type 77");
    expect_error(Writer().header(0, 1).put<uint64_t>(1ull << 40).put<uint64_t>(0).bytes(),
                 "metadata key's length is 1099511627776");
    Writer twice;
    twice.header(0, 2);
    for (int i = 0; i < 2; ++i)
        twice.text("key").put<uint32_t>(0).put<uint8_t>(1);
    expect_error(twice.bytes(), "'key' appears twice");
}

TEST(Gguf, NamesWhatIsWrongWithATensor) {
    const auto with_tensor = [](const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset,
                                size_t data_bytes) {
        Writer out;
        out.header(1, 0).tensor("w", dims, type, offset).align(32);
        for (size_t i = 0; i < data_bytes; ++i)
            out.put<uint8_t>(0);
        return out.bytes();
    };
    EXPECT_EQ(error_of(with_tensor({4, 2}, 0, 0, 32)), "");
    expect_error(with_tensor({4, 2}, 0, 0, 31), "'w': 32 bytes at offset 0 of 31 bytes");
    expect_error(with_tensor({4, 2}, 0, 32, 63), "32 bytes at offset 32 of 63");
    expect_error(with_tensor({4, 2}, 0, 1, 64), "at offset 1 of");
    expect_error(with_tensor({4, 2}, 0, ~0ull - 31, 64), "at offset 18446744073709551584");
    expect_error(with_tensor({}, 0, 0, 32), "0 dimensions");
    expect_error(with_tensor({1, 1, 1, 1, 1}, 0, 0, 32), "5 dimensions");
    expect_error(with_tensor({0, 2}, 0, 0, 32), "dimension 0 is 0");
    expect_error(with_tensor({2, 0}, 0, 0, 32), "dimension 1 is 0");
    expect_error(with_tensor({1ull << 63, 2}, 0, 0, 32), "more elements than can be");
    expect_error(with_tensor({1ull << 32, 1ull << 32}, 0, 0, 32), "more elements than can be");
    expect_error(with_tensor({1ull << 20, 1ull << 20, 1ull << 20}, 0, 0, 32), "dimension 2 is");
    expect_error(with_tensor({32, 1}, 2, 0, 64), "type 2 is not one of");
    expect_error(with_tensor({32, 1}, 0x80000003, 0, 64), "type 2147483651 is not one of");
    expect_error(with_tensor({33, 1}, 3, 0, 64), "33 columns are no multiple of Q4_1's 32");

    Writer twice;
    twice.header(2, 0).tensor("w", {1}, 0, 0).tensor("w", {1}, 0, 0).align(32).put(1.0f);
    expect_error(twice.bytes(), "'w' appears twice");
}

TEST(Gguf, HonoursAndChecksTheAlignment) {
    const auto with_alignment = [](uint32_t alignment, uint64_t offset) {
        Writer out;
        out.header(2, 1).text("general.alignment").put<uint32_t>(4).put(alignment);
        out.tensor("a", {1}, 0, 0).tensor("b", {1}, 0, offset).align(64).put(1.0f);
        return out.align(64).put(2.0f).bytes();
    };
    const Bytes bytes = with_alignment(64, 64);
    const GgufFile file = GgufFile::parse(bytes.data(), bytes.size());
    float value = 0;
    dequantize_rows(file.tensor("b"), 0, 1, &value);
    EXPECT_EQ(value, 2.0f);
    expect_error(with_alignment(64, 32), "at offset 32");
    for (const uint32_t bad : {0u, 1u, 24u, 0x80000000u}) {
        expect_error(with_alignment(bad, 64), "general.alignment is not a power of two");
    }
}

TEST(Gguf, OpensFiles) {
    const std::string path = ::testing::TempDir() + "fp6llm_gguf_test.gguf";
    const auto store = [&](const Bytes& bytes) {
        std::FILE* out = std::fopen(path.c_str(), "wb");
        ASSERT_NE(out, nullptr);
        for (const uint8_t byte : bytes)
            ASSERT_EQ(std::fputc(byte, out), byte);
        std::fclose(out);
    };
    const auto open_error = [](const std::string& name) -> std::string {
        try {
            GgufFile::open(name);
        } catch (const GgufError& error) {
            return error.what();
        }
        return "";
    };
    store(small_file());
    GgufFile file = GgufFile::open(path);
    const GgufFile moved = std::move(file);
    EXPECT_EQ(moved.tensors().size(), 4u);
    EXPECT_EQ(moved.text("general.architecture"), "llama");

    store({});
    EXPECT_EQ(open_error(path), path + ": empty file");
    store({'G', 'G'});
    EXPECT_EQ(open_error(path).find(path + ": truncated in the magic"), 0u);
    std::remove(path.c_str());
    EXPECT_NE(open_error(path).find("No such file"), std::string::npos);
    EXPECT_NE(open_error(::testing::TempDir()).find("not a regular file"), std::string::npos);
}

}  // namespace
}  // namespace fp6llm::examples
