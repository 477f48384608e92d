// cvt to and from pairs of f16, bf16 and narrower floats, to tf32, and cvt.pack.
//
// Source: PTX ISA, "Data Movement and Conversion Instructions": "cvt", "cvt.pack". A packed result has
// its first source in the upper half.
#include <algorithm>
#include <limits>

#include "tests/emulator/isa/convert.hpp"

namespace emulator::isa {
namespace {

enum class Narrow : uint8_t { kF16, kBF16, kTF32, kE4M3, kE5M2, kE2M3, kE3M2, kE2M1, kUE8M0 };

struct NarrowName {
    const char* name;  ///< of the pair
    Narrow format;
    int bits;  ///< of one element in the pair
    int arch;
};
constexpr NarrowName kNarrowNames[] = {
    {"f16x2", Narrow::kF16, 16, 80},   {"bf16x2", Narrow::kBF16, 16, 80},
    {"e4m3x2", Narrow::kE4M3, 8, 89},  {"e5m2x2", Narrow::kE5M2, 8, 89},
    {"e2m3x2", Narrow::kE2M3, 8, 100}, {"e3m2x2", Narrow::kE3M2, 8, 100},
    {"e2m1x2", Narrow::kE2M1, 4, 100}, {"ue8m0x2", Narrow::kUE8M0, 8, 100},
};
const NarrowName* find_narrow(std::string_view name) {
    for (const NarrowName& entry : kNarrowNames)
        if (name == entry.name) return &entry;
    return nullptr;
}

const FloatFormat& format_of(Narrow narrow) {
    switch (narrow) {
        case Narrow::kF16:
            return kF16;
        case Narrow::kBF16:
            return kBF16;
        case Narrow::kTF32:
            return kTF32;
        case Narrow::kE4M3:
            return kE4M3;
        case Narrow::kE5M2:
            return kE5M2;
        case Narrow::kE2M3:
            return kE2M3;
        case Narrow::kE3M2:
            return kE3M2;
        default:
            return kE2M1;
    }
}

struct PackDetail : OpDetail {
    Narrow to{}, from{};  ///< `from`: with from_pair
    int to_bits = 16, from_bits = 16;
    bool from_pair = false;  ///< one packed source; else two f32, the upper first
    ConvertDetail modifiers;
    std::vector<uint16_t> recoded;  ///< every code of `from`, if it has at most 8 bits, as `to`
};

uint32_t round_narrow(double value, const PackDetail& detail) {
    if (detail.to == Narrow::kUE8M0)
        return encode_ue8m0(value, detail.modifiers.rounding, detail.modifiers.satfinite);
    return round_half(value, detail.to == Narrow::kBF16, detail.modifiers);
}

/// What no other executor does: .rz, .relu and .satfinite of f16x2 and bf16x2, and ue8m0x2.
Outcome run_pack_floats(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const PackDetail*>(op.detail);
    const int shift = detail.to_bits;
    alignas(64) uint32_t result[kWarpLanes] = {};
    if (detail.from_pair) {
        const uint32_t* a = warp.u32(op.src[0]);  // ue8m0x2 from bf16x2
        for_lanes(lanes, [&](int lane) {
            const double low = bf16_to_float(static_cast<uint16_t>(a[lane]));
            const double high = bf16_to_float(static_cast<uint16_t>(a[lane] >> 16));
            result[lane] = round_narrow(low, detail) | round_narrow(high, detail) << shift;
        });
    } else {
        const float* a = warp.lanes<float>(op.src[0]);
        const float* b = warp.lanes<float>(op.src[1]);
        for_lanes(lanes, [&](int lane) {
            result[lane] = round_narrow(b[lane], detail) | round_narrow(a[lane], detail) << shift;
        });
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// Pairs of at most 8 bits to pairs of 16, by table.
Outcome run_recode(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const PackDetail*>(op.detail);
    const uint32_t* a = warp.u32(op.src[0]);
    const uint16_t* table = detail.recoded.data();
    const int shift = detail.from_bits;
    const uint32_t mask = (1u << shift) - 1;
    alignas(64) uint32_t result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane)
        result[lane] = table[a[lane] & mask] | uint32_t{table[a[lane] >> shift & mask]} << 16;
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// f32, f16 or bf16 to pairs of at most 8 bits.
Outcome run_encode_small(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const PackDetail*>(op.detail);
    const SmallEncoder encoder(format_of(detail.to));
    Halves expanded;
    alignas(64) float high[kWarpLanes], low[kWarpLanes];
    if (detail.from_pair) {
        if (detail.from == Narrow::kBF16)
            expand<true>(warp.u32(op.src[0]), expanded);
        else
            expand<false>(warp.u32(op.src[0]), expanded);
        for (int lane = 0; lane < kWarpLanes; ++lane) {
            low[lane] = expanded.values[2 * lane];
            high[lane] = expanded.values[2 * lane + 1];
        }
    } else {
        std::copy_n(warp.lanes<float>(op.src[0]), kWarpLanes, high);
        std::copy_n(warp.lanes<float>(op.src[1]), kWarpLanes, low);
    }
    const float floor = detail.modifiers.relu ? 0 : -std::numeric_limits<float>::infinity();
    alignas(64) uint32_t result[kWarpLanes];
    for (int lane = 0; lane < kWarpLanes; ++lane) {
        // NaN stays; -0 becomes +0 with .relu.
        const float h = high[lane] <= floor ? floor : high[lane];
        const float l = low[lane] <= floor ? floor : low[lane];
        result[lane] = encoder(l) | encoder(h) << detail.to_bits;
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

// The two most common, plain.
Outcome run_pack_f16x2(Warp& warp, const Op& op, LaneMask lanes) {
    const float* a = warp.lanes<float>(op.src[0]);
    const float* b = warp.lanes<float>(op.src[1]);
    alignas(64) uint32_t result[kWarpLanes];
    for (int i = 0; i < kWarpLanes; i += 8) {
        const __m128i high = round_to_f16(_mm256_loadu_ps(a + i));
        const __m128i low = round_to_f16(_mm256_loadu_ps(b + i));
        auto* to = reinterpret_cast<__m128i*>(result + i);
        _mm_store_si128(to, _mm_unpacklo_epi16(low, high));
        _mm_store_si128(to + 1, _mm_unpackhi_epi16(low, high));
    }
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}
uint32_t pack_bf16x2(float a, float b) {
    return float_to_bf16(b) | float_to_bf16(a) << 16;
}

uint32_t tf32_bits(float a, Rounding rounding) {
    const uint32_t bits = bit_cast<uint32_t>(a);
    if ((bits & 0x7FFFFFFF) > 0x7F800000) return kNanF32;
    switch (rounding) {
        case Rounding::kNearestAway:
            return (bits + 0x1000) & 0xFFFFE000;
        case Rounding::kNearest:
            return (bits + 0xFFF + (bits >> 13 & 1)) & 0xFFFFE000;
        default:
            return bits & 0xFFFFE000;
    }
}
uint32_t to_tf32_away(float a) {
    return tf32_bits(a, Rounding::kNearestAway);
}
Outcome run_tf32(Warp& warp, const Op& op, LaneMask lanes) {
    const auto& detail = *static_cast<const ConvertDetail*>(op.detail);
    const float* a = warp.lanes<float>(op.src[0]);
    alignas(64) uint32_t result[kWarpLanes] = {};
    for_lanes(lanes, [&](int lane) {
        const float value = detail.relu && a[lane] <= 0 ? 0 : a[lane];
        uint32_t bits = tf32_bits(value, detail.rounding);
        if (detail.satfinite && (bits & 0x7FFFFFFF) == 0x7F800000)
            bits = (bits & 0x80000000) | 0x7F7FE000;
        result[lane] = bits;
    });
    store_lanes(warp, op.dst, lanes, result);
    return Outcome::kNext;
}

/// A register for a pair of elements of so many bits.
Type pair_type(int element_bits) {
    return bits_type(2 * element_bits / 8);
}

void lower_pair(Reader& reader, const NarrowName& to, const ConvertDetail& modifiers, bool given) {
    Op& op = reader.op();
    auto detail = std::make_unique<PackDetail>();
    detail->to = to.format;
    detail->to_bits = to.bits;
    detail->modifiers = modifiers;
    const std::string from_name(reader.instruction().last(0));
    reader.take(to.name);
    reader.take(from_name);
    reader.finish();
    reader.require_arch(to.arch, to.name);

    const bool small = to.bits <= 8, scale = to.format == Narrow::kUE8M0;
    const bool half = !small;
    if (from_name == "f32") {
        reader.require_operands(3);
        reader.sources({Type::kF32, Type::kF32});
    } else {
        const NarrowName* from = find_narrow(from_name);
        // Pairs of 16 bits to 8 bits and back; ue8m0 only with bf16.
        const bool down = from != nullptr && small && from->bits == 16;
        const bool up = from != nullptr && half && from->bits <= 8;
        if (!down && !up) reader.fail("no such conversion");
        const bool scales = scale || from->format == Narrow::kUE8M0;
        const Narrow wide = down ? from->format : to.format;
        if (scales != (wide == Narrow::kBF16)) reader.fail("no such conversion");
        if (down && (to.format == Narrow::kE2M3 || to.format == Narrow::kE3M2 ||
                     to.format == Narrow::kE2M1))
            reader.fail("no such conversion");
        reader.require_arch(from->arch, from->name);
        detail->from_pair = true;
        detail->from = from->format;
        detail->from_bits = from->bits;
        reader.require_operands(2);
        reader.source(1, pair_type(from->bits));
    }
    reader.destination(pair_type(to.bits));

    const Rounding rounding = modifiers.rounding;
    if (!given || modifiers.integral != Integral::kNone) reader.fail("needs a rounding");
    if (modifiers.ftz || modifiers.sat) reader.fail("packed conversions have no .ftz and .sat");
    const bool nearest = rounding == Rounding::kNearest, zero = rounding == Rounding::kZero;
    if (scale) {
        if (modifiers.relu || (!zero && rounding != Rounding::kUp))
            reader.fail("ue8m0 needs .rz or .rp");
    } else if (small || detail->from_pair) {
        if (!nearest) reader.fail("needs .rn");
        if (small && !modifiers.satfinite) reader.fail("needs .satfinite");
        if (!small && modifiers.satfinite) reader.fail("has no .satfinite");
        if (modifiers.relu && detail->from == Narrow::kUE8M0) reader.fail("ue8m0 has no .relu");
    } else if (!nearest && !zero) {
        reader.fail("needs .rn or .rz");
    }
    op.execute = run_pack_floats;
    if (small && !scale) op.execute = run_encode_small;
    if (detail->from_pair && half) {
        for (uint32_t code = 0; code < 256; ++code) {
            const double value = detail->from == Narrow::kUE8M0
                                     ? decode_ue8m0(code)
                                     : decode(code, format_of(detail->from));
            detail->recoded.push_back(static_cast<uint16_t>(round_narrow(value, *detail)));
        }
        op.execute = run_recode;
    }
    if (half && !detail->from_pair && nearest && !modifiers.relu && !modifiers.satfinite)
        op.execute = to.format == Narrow::kF16 ? run_pack_f16x2 : each<pack_bf16x2>;
    op.detail = reader.context().keep(std::move(detail));
}

/// mode: bits of an element, +32 if signed. The pair, a above b; what is left comes from c.
uint32_t pack_integers(const Op& op, int32_t a, int32_t b, uint32_t c) {
    const int bits = static_cast<int>(op.mode & 31);
    const bool with_sign = (op.mode & 32) != 0;
    const int32_t low = with_sign ? -(1 << (bits - 1)) : 0;
    const int32_t high = (1 << (with_sign ? bits - 1 : bits)) - 1;
    const uint32_t mask = (1u << bits) - 1;
    const uint32_t upper = static_cast<uint32_t>(std::clamp(a, low, high)) & mask;
    const uint32_t lower = static_cast<uint32_t>(std::clamp(b, low, high)) & mask;
    const uint32_t pair = upper << bits | lower;
    return bits == 16 ? pair : pair | c << 2 * bits;
}

}  // namespace

void lower_to_tf32(Reader& reader, const ConvertDetail& modifiers, bool given) {
    Op& op = reader.op();
    if (!reader.take("tf32") || !reader.take("f32")) reader.fail("tf32 is made from f32");
    reader.finish();
    const Rounding rounding = modifiers.rounding;
    if (!given || modifiers.integral != Integral::kNone || modifiers.ftz || modifiers.sat ||
        (rounding != Rounding::kNearestAway && rounding != Rounding::kNearest &&
         rounding != Rounding::kZero))
        reader.fail("needs .rna, .rn or .rz alone");
    if (rounding != Rounding::kNearestAway) reader.require_arch(90, ".rn and .rz of tf32");
    if (modifiers.relu && rounding == Rounding::kNearestAway) reader.fail(".rna has no .relu");
    reader.require_operands(2);
    reader.destination(Type::kB32);
    reader.source(1, Type::kF32);
    if (rounding == Rounding::kNearestAway && !modifiers.satfinite) {
        op.execute = each<to_tf32_away>;
        return;
    }
    op.detail = reader.context().keep(std::make_unique<ConvertDetail>(modifiers));
    op.execute = run_tf32;
}

bool lower_packed(Reader& reader, std::string_view to, const ConvertDetail& modifiers, bool given) {
    const NarrowName* narrow = find_narrow(to);
    if (narrow != nullptr) lower_pair(reader, *narrow, modifiers, given);
    return narrow != nullptr;
}

void lower_cvt_pack(const ptx::Instruction& instruction, LowerContext& context, Op& op) {
    op.kind = OpKind::kConvert;
    Reader reader(instruction, context, op);
    reader.take("pack");
    if (!reader.take("sat")) reader.fail("needs .sat");
    const std::string to = reader.take_any();
    const bool known = to == "u16" || to == "s16" || to == "u8" || to == "s8" || to == "u4" ||
                       to == "s4" || to == "u2" || to == "s2";
    if (!known) reader.fail("no such type");
    if (!reader.take("s32")) reader.fail("packs .s32");
    const uint32_t bits = static_cast<uint32_t>(std::stoi(to.substr(1)));
    const bool three = bits != 16;
    if (three && !reader.take("b32")) reader.fail("needs .b32 and a third source");
    reader.finish();
    reader.require_operands(three ? 4 : 3);
    reader.destination(Type::kB32);
    reader.sources({Type::kS32, Type::kS32});
    if (three) reader.source(3, Type::kB32);
    op.mode = bits | (to[0] == 's' ? 32 : 0);
    op.execute = each<pack_integers>;
}

}  // namespace emulator::isa
