// f16, bf16 and their pairs: add sub mul fma neg abs min max ex2 tanh.
//
// Source: PTX ISA, "Half Precision Floating-Point Instructions". All round once, to nearest even:
// 24 bits of float hide a first rounding of sums and hold products exactly (what underflows of a
// bf16 product lies below half of bf16's last unit); fused sums are rounded to odd first. NaN is
// 7FFF.
#include <algorithm>
#include <cmath>

#include "tests/emulator/isa/narrow_float.hpp"

namespace emulator::isa {
namespace {

using ptx::Type;

// ---- One value; the result is rounded when it is stored ----------------------------------------

float add(float a, float b) {
    return a + b;
}
float sub(float a, float b) {
    return a - b;
}
float mul(float a, float b) {
    return a * b;
}
template <bool bf16>
float fma(float a, float b, float c) {
    if constexpr (!bf16) return add_odd<float>(a * b, c);
    return to_float_odd(add_odd<double>(double{a} * double{b}, double{c}));
}
float ex2(float a) {
    return std::exp2(a);
}
float tanh(float a) {
    return std::tanh(a);
}

template <bool is_min, bool nan>
float min_max(float a, float b) {
    const uint32_t x = bit_cast<uint32_t>(a), y = bit_cast<uint32_t>(b);
    // Equal values differ at most in the sign of a zero: -0 is below +0.
    const float equal = bit_cast<float>(is_min ? x | y : x & y);
    const float ordered = is_min ? (a < b   ? a
                                    : b < a ? b
                                            : equal)
                                 : (a > b   ? a
                                    : b > a ? b
                                            : equal);
    if (nan) return a != a ? a : b != b ? b : ordered;
    return a != a ? b : b != b ? a : ordered;
}
/// The sign is that of a times b, the magnitude that of the smaller (larger) magnitude.
template <bool is_min, bool nan>
float min_max_xorsign(float a, float b) {
    const uint32_t sign = (bit_cast<uint32_t>(a) ^ bit_cast<uint32_t>(b)) & 0x80000000u;
    const float value = min_max<is_min, nan>(std::fabs(a), std::fabs(b));
    return bit_cast<float>(bit_cast<uint32_t>(value) ^ sign);
}

// ---- Executors ---------------------------------------------------------------------------------

/// Bits of Op::mode.
enum Mode : uint32_t { kFlush = 1, kSaturate = 2, kRelu = 4, kScalar = 8 };

template <bool bf16>
constexpr uint32_t kExponent = bf16 ? 0x7F80 : 0x7C00;

template <bool bf16>
void read(Warp& warp, const Op& op, int source, Halves& out) {
    const uint32_t* words = warp.u32(op.src[source]);
    if ((op.mode & kFlush) == 0) return expand<bf16>(words, out);
    alignas(64) uint32_t flushed[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        flushed[lane] = flush_halves(words[lane], kExponent<bf16>);
    expand<bf16>(flushed, out);
}

template <bool bf16>
void write(Warp& warp, const Op& op, LaneMask lanes, Halves& values) {
    if ((op.mode & kSaturate) != 0)
        for (float& v : values.values) {
            const float at_least = v > 0 ? v : 0;  // NaN and -0 become +0
            v = at_least < 1 ? at_least : 1;
        }
    if ((op.mode & kRelu) != 0)
        for (float& v : values.values)
            v = v <= 0 ? 0 : v;  // NaN stays, -0 becomes +0
    alignas(64) uint32_t words[kWarpLanes];
    compress<bf16>(values, words);
    if ((op.mode & kFlush) != 0)
        for (uint32_t& word : words)
            word = flush_halves(word, kExponent<bf16>);
    const uint32_t keep = (op.mode & kScalar) != 0 ? 0xFFFFu : 0xFFFFFFFFu;
    uint32_t* d = warp.u32(op.dst);
    for (int lane = 0; lane < kWarpLanes; ++lane)
        d[lane] = (lanes >> lane & 1) != 0 ? words[lane] & keep : d[lane];
}

template <bool bf16, float (*fn)(float)>
Outcome run1(Warp& warp, const Op& op, LaneMask lanes) {
    Halves a;
    read<bf16>(warp, op, 0, a);
    for (int i = 0; i < 2 * kWarpLanes; ++i)
        a.values[i] = fn(a.values[i]);
    write<bf16>(warp, op, lanes, a);
    return Outcome::kNext;
}
template <bool bf16, float (*fn)(float, float)>
Outcome run2(Warp& warp, const Op& op, LaneMask lanes) {
    Halves a, b;
    read<bf16>(warp, op, 0, a);
    read<bf16>(warp, op, 1, b);
    for (int i = 0; i < 2 * kWarpLanes; ++i)
        a.values[i] = fn(a.values[i], b.values[i]);
    write<bf16>(warp, op, lanes, a);
    return Outcome::kNext;
}
template <bool bf16, float (*fn)(float, float, float)>
Outcome run3(Warp& warp, const Op& op, LaneMask lanes) {
    Halves a, b, c;
    read<bf16>(warp, op, 0, a);
    read<bf16>(warp, op, 1, b);
    read<bf16>(warp, op, 2, c);
    for (int i = 0; i < 2 * kWarpLanes; ++i)
        a.values[i] = fn(a.values[i], b.values[i], c.values[i]);
    write<bf16>(warp, op, lanes, a);
    return Outcome::kNext;
}

// The same eight floats at a time, for instructions without modifiers: in these kernels spend their
// time.
struct VectorAdd {
    template <bool bf16>
    static __m256 of(__m256 a, __m256 b, __m256) {
        return _mm256_add_ps(a, b);
    }
};
struct VectorSub {
    template <bool bf16>
    static __m256 of(__m256 a, __m256 b, __m256) {
        return _mm256_sub_ps(a, b);
    }
};
struct VectorMul {
    template <bool bf16>
    static __m256 of(__m256 a, __m256 b, __m256) {
        return _mm256_mul_ps(a, b);
    }
};
struct VectorFma {
    /// Products of f16 are exact in float. Those of bf16 are unless they leave its range.
    template <bool bf16>
    static __m256 of(__m256 a, __m256 b, __m256 c) {
        const __m256 product = _mm256_mul_ps(a, b);
        if (bf16 && leaves_range(a, b, product)) {
            alignas(32) float x[8], y[8], z[8];
            _mm256_store_ps(x, a);
            _mm256_store_ps(y, b);
            _mm256_store_ps(z, c);
            for (int i = 0; i < 8; ++i)
                z[i] = fma<true>(x[i], y[i], z[i]);
            return _mm256_load_ps(z);
        }
        return add_odd(product, c);
    }

  private:
    static bool leaves_range(__m256 a, __m256 b, __m256 product) {
        const __m256 zero = _mm256_setzero_ps();
        const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), product);
        const __m256 large = _mm256_cmp_ps(size, _mm256_set1_ps(0x1p127f), _CMP_NLE_UQ);
        const __m256 small = _mm256_cmp_ps(size, _mm256_set1_ps(0x1p-126f), _CMP_LT_OQ);
        const __m256 nonzero =
            _mm256_and_ps(_mm256_cmp_ps(a, zero, _CMP_NEQ_OQ), _mm256_cmp_ps(b, zero, _CMP_NEQ_OQ));
        return _mm256_movemask_ps(_mm256_or_ps(large, _mm256_and_ps(small, nonzero))) != 0;
    }
};

template <typename Vector, int sources, bool bf16, bool packed>
Outcome run_plain(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* a = warp.u32(op.src[0]);
    const uint32_t* b = warp.u32(op.src[1]);
    const uint32_t* c = warp.u32(op.src[2]);
    alignas(64) uint32_t result[kWarpLanes];
    for (int i = 0; i < kWarpLanes; i += 8) {
        const HalfPair va = load_halves<bf16, packed>(a + i), vb = load_halves<bf16, packed>(b + i);
        HalfPair vc = va;
        if (sources == 3) vc = load_halves<bf16, packed>(c + i);
        HalfPair d = va;
        d.x = Vector::template of<bf16>(va.x, vb.x, vc.x);
        if (packed) d.y = Vector::template of<bf16>(va.y, vb.y, vc.y);
        _mm256_store_si256(reinterpret_cast<__m256i*>(result + i), store_halves<bf16, packed>(d));
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}
template <typename Vector, int sources>
Execute find_plain(bool bf16, bool packed) {
    return bf16 ? (packed ? run_plain<Vector, sources, true, true>
                          : run_plain<Vector, sources, true, false>)
                : (packed ? run_plain<Vector, sources, false, true>
                          : run_plain<Vector, sources, false, false>);
}

/// neg and abs only touch signs. op.imm: the bits to flip or to keep.
template <bool is_abs>
Outcome run_sign(Warp& warp, const Op& op, LaneMask lanes) {
    const uint32_t* a = warp.u32(op.src[0]);
    const uint32_t bits = static_cast<uint32_t>(op.imm);
    uint32_t* d = warp.u32(op.dst);
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        const uint32_t in =
            (op.mode & kFlush) != 0 ? flush_halves(a[lane], kExponent<false>) : a[lane];
        const uint32_t out = is_abs ? in & bits : in ^ bits;
        d[lane] = (lanes >> lane & 1) != 0 ? out : d[lane];
    }
    return Outcome::kNext;
}

// ---- Lowering ----------------------------------------------------------------------------------

struct Half {
    Type type;
    bool bf16, packed;
};

Half take_half(Reader& reader) {
    if (reader.instruction().has("f32") || reader.instruction().has("f64"))
        reader.fail("mixed precision needs sm_100, which is not emulated");
    Half half{};
    half.type = reader.take_type();
    if (!is_half(half.type)) reader.fail("no such type");
    half.bf16 = half.type == Type::kBF16 || half.type == Type::kBF16x2;
    half.packed = half.type == Type::kF16x2 || half.type == Type::kBF16x2;
    if (!half.packed) reader.op().mode |= kScalar;
    return half;
}

void operands(Reader& reader, const Half& half, size_t sources) {
    reader.finish();
    reader.require_operands(sources + 1);
    reader.destination(half.type);
    for (size_t i = 1; i <= sources; ++i)
        reader.source(i, half.type);
}

void take_flush(Reader& reader, const Half& half) {
    if (!reader.take("ftz")) return;
    if (half.bf16) reader.fail(".ftz is for f16");
    reader.op().mode |= kFlush;
}

void lower_arithmetic(Reader& reader, const std::string& name) {
    Op& op = reader.op();
    const Half half = take_half(reader);
    const bool rn = reader.take("rn");
    const bool is_fma = name == "fma";
    if (is_fma && !rn) reader.fail("needs .rn");
    if (reader.take("sat")) {
        if (half.bf16) reader.fail(".sat is for f16");
        op.mode |= kSaturate;
    }
    if (is_fma && reader.take("relu")) {
        if ((op.mode & kSaturate) != 0) reader.fail(".relu and .sat exclude each other");
        op.mode |= kRelu;
    }
    if (reader.take("oob")) reader.fail(".oob is not emulated");
    take_flush(reader, half);
    // No modifier is left for bf16 then: only f16 has .ftz and .sat.
    if (half.bf16 && !is_fma) reader.require_arch(90, name + " of bf16");
    operands(reader, half, is_fma ? 3 : 2);
    const bool plain = (op.mode & ~kScalar) == 0;
    if (name == "add")
        op.execute = plain ? find_plain<VectorAdd, 2>(half.bf16, half.packed) : run2<false, add>;
    else if (name == "sub")
        op.execute = plain ? find_plain<VectorSub, 2>(half.bf16, half.packed) : run2<false, sub>;
    else if (name == "mul")
        op.execute = plain ? find_plain<VectorMul, 2>(half.bf16, half.packed) : run2<false, mul>;
    else if (plain)
        op.execute = find_plain<VectorFma, 3>(half.bf16, half.packed);
    else
        op.execute = half.bf16 ? run3<true, fma<true>> : run3<false, fma<false>>;
}

template <bool is_min>
void lower_min_max(Reader& reader) {
    Op& op = reader.op();
    const Half half = take_half(reader);
    const bool nan = reader.take("NaN"), xorsign = reader.take("xorsign");
    if (xorsign) {
        if (!reader.take("abs")) reader.fail(".xorsign needs .abs");
        reader.require_arch(86, ".xorsign.abs");
    }
    take_flush(reader, half);
    operands(reader, half, 2);
    with_flags(half.bf16, nan, [&](auto b, auto n) {
        constexpr bool bf16 = decltype(b)::value, keep = decltype(n)::value;
        op.execute =
            xorsign ? run2<bf16, min_max_xorsign<is_min, keep>> : run2<bf16, min_max<is_min, keep>>;
    });
}

void lower_sign(Reader& reader, bool is_abs) {
    Op& op = reader.op();
    const Half half = take_half(reader);
    take_flush(reader, half);
    operands(reader, half, 1);
    const uint32_t signs = half.packed ? 0x80008000u : 0x8000u;
    op.imm = is_abs ? ~signs & (half.packed ? 0xFFFFFFFFu : 0xFFFFu) : signs;
    op.execute = is_abs ? run_sign<true> : run_sign<false>;
}

void lower_approx(Reader& reader, bool is_ex2) {
    Op& op = reader.op();
    if (!reader.take("approx")) reader.fail("needs .approx");
    const Half half = take_half(reader);
    if (half.bf16) reader.require_arch(90, "this function of bf16");
    if (is_ex2) {
        // Subnormals of bf16 are always flushed, and the text says so.
        const bool ftz = reader.take("ftz");
        if (ftz != half.bf16) reader.fail(".ftz belongs to bf16");
        if (ftz) op.mode |= kFlush;
    }
    operands(reader, half, 1);
    if (is_ex2)
        op.execute = half.bf16 ? run1<true, ex2> : run1<false, ex2>;
    else
        op.execute = half.bf16 ? run1<true, tanh> : run1<false, tanh>;
}

}  // namespace

void lower_half(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kHalf;
    Reader reader(instruction, context, op);
    const std::string& name = instruction.opcode;
    if (name == "add" || name == "sub" || name == "mul" || name == "fma")
        return lower_arithmetic(reader, name);
    if (name == "min") return lower_min_max<true>(reader);
    if (name == "max") return lower_min_max<false>(reader);
    if (name == "neg") return lower_sign(reader, false);
    if (name == "abs") return lower_sign(reader, true);
    if (name == "ex2") return lower_approx(reader, true);
    if (name == "tanh") return lower_approx(reader, false);
    reader.fail("is not known for 16-bit floats");
}

}  // namespace emulator::isa

namespace emulator {

/// Every opcode of 16-bit floats is one of integers or floats, too: those register it and call
/// lower_half() by type.
void register_half(Registry&) {}

}  // namespace emulator
