// A product of a 64 x K and a K x N matrix by four wgmma, K = 128 bytes: its PTX, the images of its operands
// in shared memory, and its result by the formulas of the PTX ISA.
#pragma once

#include <random>

#include "tests/emulator/tests/kernel_run.hpp"

namespace emulator {

enum Swizzle { kNone, k128, k64, k32 };  // as descriptors name them
constexpr int kWidths[4] = {16, 128, 64, 32};

/// A tile in shared memory as a descriptor sees it: `rows` of M or N, 128 bytes of K, i. e. four
/// instructions.
struct Layout {
    int rows, bytes;  ///< bytes of an element
    Swizzle swizzle;
    bool by_mn;

    int width() const { return kWidths[swizzle]; }
    int k_count() const { return 128 / bytes; }
    // Core matrices follow one another along M or N first where K is contiguous, else along K.
    int stride() const {
        if (!by_mn) return 8 * width();
        return swizzle == kNone ? 128 * k_count() / 8 : 8 * width();
    }
    int leading() const {
        if (!by_mn) return swizzle == kNone ? rows / 8 * 128 : 0;
        return swizzle == kNone ? 128 : width() * k_count();
    }
    /// Byte offset of an element from the tile's start, 1024-byte aligned.
    int offset(int mn, int k) const {
        int at;
        if (!by_mn) {
            const int byte = k * bytes;
            if (swizzle == kNone)
                at = mn % 8 * 16 + mn / 8 * stride() + byte / 16 * leading() + byte % 16;
            else
                at = mn % 8 * width() + mn / 8 * stride() + byte / width() * rows * width() +
                     byte % width();
        } else if (swizzle == kNone) {
            at = mn % 8 * 2 + mn / 8 * stride() + k % 8 * 16 + k / 8 * leading();
        } else {
            at = 2 * mn % width() + 2 * mn / width() * leading() + k % 8 * width() +
                 k / 8 * stride();
        }
        // 16-byte pieces of a line of 128 bytes are exchanged by the number of the line.
        const int line = at / 128, piece = at / 16 % 8, lines = width() / 16;
        return line * 128 + ((piece ^ (line % lines)) * 16) + at % 16;
    }
    /// Start of instruction `step` of four: 32 bytes of K each.
    int start(int step) const {
        if (by_mn) return step * 2 * (swizzle == kNone ? leading() : stride());
        if (swizzle == kNone) return step * 2 * leading();
        return 32 * step / width() * rows * width() + 32 * step % width();
    }
    int size() const {
        const int units = by_mn && swizzle != kNone
                              ? (2 * rows + width() - 1) / width() * width() * k_count()
                              : rows * 128;
        return (units + 1023) / 1024 * 1024;
    }
    uint64_t descriptor() const {
        return static_cast<uint64_t>(leading() / 16) << 16 |
               static_cast<uint64_t>(stride() / 16) << 32 | static_cast<uint64_t>(swizzle) << 62;
    }
};

struct Form {
    std::string name, d, a, b;
    int n;
    Swizzle swizzle_a = k128, swizzle_b = k128;
    bool a_by_m = false, b_by_n = false;
    bool a_in_registers = false;
    bool negate_a = false, negate_b = false;
};

/// PTX of four wgmma over a K of 128 bytes; a0 = image of A (or its fragments), a1 = image of B,
/// a2 = results. `before`, `between`, `after` go around them.
struct Program {
    Form form;
    Layout a, b;
    int registers;  ///< of D
    std::string d_prefix;

    explicit Program(const Form& f)
        : form(f),
          a{64, Number::of(f.a).bits / 8, f.swizzle_a, f.a_by_m},
          b{f.n, Number::of(f.b).bits / 8, f.swizzle_b, f.b_by_n},
          registers(f.d == "f16" ? f.n / 4 : f.n / 2),
          d_prefix(f.d == "f32" ? "%f" : "%r") {}

    int d_first() const { return 200; }
    std::string shared() const {
        return ".shared .align 1024 .b8 tile_a[" + std::to_string(a.size()) +
               "];\n.shared .align 1024 .b8 tile_b[" + std::to_string(b.size()) + "];\n";
    }
    static std::string copy_in(const std::string& from, const std::string& tile, int bytes,
                               const std::string& label) {
        return "mov.u32 %r1, tx;\n" + label + ":\nsetp.ge.u32 %p1, %r1, " +
               std::to_string(bytes / 4) + ";\n@%p1 bra " + label +
               "_END;\nshl.b32 %r2, %r1, 2;\ncvt.u64.u32 %rd1, %r2;\n"
               "add.u64 %rd1, %rd1, " +
               from + ";\nld.global.b32 %r3, [%rd1];\nmov.u32 %r4, " + tile +
               ";\nadd.u32 %r4, %r4, %r2;\nst.shared.b32 [%r4], %r3;\nadd.u32 %r1, %r1, "
               "128;\nbra " +
               label + ";\n" + label + "_END:\n";
    }
    static std::string descriptor(const std::string& reg, const std::string& tile,
                                  const Layout& layout) {
        return "mov.u32 %r1, " + tile +
               ";\nand.b32 %r1, %r1, 0x3FFFF;\nshr.u32 %r1, %r1, 4;\n"
               "cvt.u64.u32 " +
               reg + ", %r1;\nor.b64 " + reg + ", " + reg + ", " +
               std::to_string(layout.descriptor()) + ";\n";
    }
    std::string load() const {
        std::string text = copy_in("a1", "tile_b", b.size(), "COPY_B");
        if (form.a_in_registers) {
            text += "mul.wide.u32 %rd2, tx, 64;\nadd.u64 %rd2, %rd2, a0;\n";
            for (int i = 0; i < 16; ++i)
                text += "ld.global.b32 %r" + std::to_string(20 + i) + ", [%rd2+" +
                        std::to_string(4 * i) + "];\n";
        } else {
            text += copy_in("a0", "tile_a", a.size(), "COPY_A");
        }
        return text + "fence.proxy.async.shared::cta;\nbar.sync 0;\n" +
               descriptor("%rd10", "tile_a", a) + descriptor("%rd11", "tile_b", b);
    }
    std::string preset(const std::string& value) const {
        std::string text;
        for (int i = 0; i < registers; ++i)
            text += "mov.b32 " + d_prefix + std::to_string(d_first() + i) + ", " + value + ";\n";
        return text;
    }
    std::string wgmma(int step, const std::string& scale_d) const {
        std::string text;
        text += "add.u64 %rd12, %rd10, " + std::to_string(a.start(step) / 16) +
                ";\nadd.u64 %rd13, %rd11, " + std::to_string(b.start(step) / 16) + ";\n";
        text += "wgmma.mma_async.sync.aligned.m64n" + std::to_string(form.n) + "k" +
                std::to_string(32 / a.bytes) + "." + form.d + "." + form.a + "." + form.b + " " +
                vector_of(d_prefix, d_first(), registers) + ", " +
                (form.a_in_registers ? vector_of("%r", 20 + 4 * step, 4) : std::string("%rd12")) +
                ", %rd13, " + scale_d;
        if (form.d != "s32") {
            text += std::string(", ") + (form.negate_a ? "-1" : "1") + ", " +
                    (form.negate_b ? "-1" : "1");
            if (a.bytes == 2) {
                if (!form.a_in_registers) text += form.a_by_m ? ", 1" : ", 0";
                text += form.b_by_n ? ", 1" : ", 0";
            }
        }
        return text + ";\n";
    }
    std::string store() const {
        std::string text = "mul.wide.u32 %rd5, tx, " + std::to_string(4 * registers) +
                           ";\nadd.u64 %rd5, %rd5, a2;\n";
        for (int i = 0; i < registers; ++i)
            text += "st.global.b32 [%rd5+" + std::to_string(4 * i) + "], " + d_prefix +
                    std::to_string(d_first() + i) + ";\n";
        return text;
    }
    std::string good() const {
        std::string text = load() + preset("0") +
                           "setp.ne.u32 %p5, tx, tx;\nsetp.eq.u32 %p6, tx, tx;\n"
                           "wgmma.fence.sync.aligned;\n";
        for (int step = 0; step < 4; ++step)
            text += wgmma(step, step == 0 ? "%p5" : "%p6");
        return text + "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" +
               store();
    }
};

struct Matrices {
    std::vector<uint32_t> a, b;  ///< codes, [64][k], [n][k]
    std::vector<uint8_t> a_image, b_image;
};

inline Matrices make(const Program& p, unsigned seed) {
    std::mt19937 random(seed);
    const Number &a = Number::of(p.form.a), &b = Number::of(p.form.b);
    const int k_count = p.a.k_count();
    Matrices m;
    m.a.resize(static_cast<size_t>(64 * k_count));
    m.b.resize(static_cast<size_t>(p.form.n * k_count));
    for (uint32_t& code : m.a)
        code = a.encode(static_cast<int>(random() % 9) - 4);
    for (uint32_t& code : m.b)
        code = b.encode(static_cast<int>(random() % 9) - 4);
    const auto put = [](std::vector<uint8_t>& image, int at, uint32_t code, int bytes) {
        std::memcpy(&image.at(static_cast<size_t>(at)), &code, static_cast<size_t>(bytes));
    };
    m.b_image.resize(static_cast<size_t>(p.b.size()));
    for (int n = 0; n < p.form.n; ++n)
        for (int k = 0; k < k_count; ++k)
            put(m.b_image, p.b.offset(n, k), m.b[static_cast<size_t>(n * k_count + k)], p.b.bytes);
    if (!p.form.a_in_registers) {
        m.a_image.resize(static_cast<size_t>(p.a.size()));
        for (int row = 0; row < 64; ++row)
            for (int k = 0; k < k_count; ++k)
                put(m.a_image, p.a.offset(row, k), m.a[static_cast<size_t>(row * k_count + k)],
                    p.a.bytes);
        return m;
    }
    // Thread t: 4 registers for each of 4 instructions; register r holds row lane / 4 (+ 8 for odd r)
    // of the warp's 16, bytes 4 (lane % 4) .. + 3 (+ 16 for r >= 2) of the instruction's 32.
    m.a_image.resize(128 * 64);
    for (int t = 0; t < 128; ++t)
        for (int step = 0; step < 4; ++step)
            for (int r = 0; r < 4; ++r)
                for (int i = 0; i < 4 / p.a.bytes; ++i) {
                    const int row = t / 32 * 16 + t % 32 / 4 + (r % 2) * 8;
                    const int byte = 32 * step + 4 * (t % 4) + (r / 2) * 16;
                    const int k = byte / p.a.bytes + i;
                    put(m.a_image, 64 * t + 16 * step + 4 * r + i * p.a.bytes,
                        m.a[static_cast<size_t>(row * k_count + k)], p.a.bytes);
                }
    return m;
}

inline void expect_result(const Program& p, const Matrices& m, const std::vector<uint32_t>& words) {
    const Number &a = Number::of(p.form.a), &b = Number::of(p.form.b);
    const int k_count = p.a.k_count();
    int shown = 0;
    for (int t = 0; t < 128; ++t)
        for (int e = 0; e < p.form.n / 2; ++e) {
            const int row = t / 32 * 16 + t % 32 / 4 + 8 * (e / 2 % 2);
            const int column = 8 * (e / 4) + 2 * (t % 4) + e % 2;
            double sum = 0;
            for (int k = 0; k < k_count; ++k)
                sum += a.decode(m.a[static_cast<size_t>(row * k_count + k)]) *
                       b.decode(m.b[static_cast<size_t>(column * k_count + k)]);
            if (p.form.negate_a != p.form.negate_b) sum = -sum;
            double got;
            if (p.form.d == "f16") {
                const uint32_t word = words[static_cast<size_t>(t * p.registers + e / 2)];
                got = decode_float(word >> (16 * (e % 2)) & 0xFFFFu, 5, 10);
            } else {
                const uint32_t word = words[static_cast<size_t>(t * p.registers + e)];
                float real;
                std::memcpy(&real, &word, 4);
                got = p.form.d == "s32" ? static_cast<double>(static_cast<int32_t>(word)) : real;
            }
            if (got != sum && shown++ < 3)
                ADD_FAILURE() << "row " << row << " column " << column << ": " << got
                              << ", expected " << sum;
        }
    EXPECT_EQ(shown, 0);
}

inline LaunchReport run(const Program& p, const Matrices& m, const std::string& body, uint64_t seed,
                        std::vector<uint32_t>* words = nullptr, uint32_t threads = 128) {
    Gpu gpu(90, seed);
    gpu.load(kernel(90, 3, p.shared(), body));
    const size_t count = static_cast<size_t>(128 * p.registers);
    const uint64_t out = gpu.upload(std::vector<uint32_t>(count, 0xEEEEEEEE));
    const LaunchReport report =
        gpu.launch({gpu.upload(m.a_image), gpu.upload(m.b_image), out}, threads);
    if (words != nullptr) *words = gpu.download<uint32_t>(out, count);
    return report;
}

}  // namespace emulator
