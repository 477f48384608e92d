// Scale rules against their definitions, and the stored types of scales.
#include "core/quantize/scales.hpp"

#include <gtest/gtest.h>

#include <cfloat>

#include "tests/unit/quantize/support.hpp"

namespace fp6llm {
namespace {

using test::group_spec;
using test::mx_spec;
using test::row_spec;

const FormatInfo& info(DataType type) {
    return *find_format(type);
}

std::vector<float> many_magnitudes() {
    std::vector<float> values = {FLT_TRUE_MIN, 1e-44f, 1e-40f, FLT_MIN, 1e-30f,  1.0f,
                                 28.0f,        7.5f,   1e30f,  FLT_MAX, 65504.0f};
    for (int exponent = -149; exponent < 128; ++exponent) {
        for (const float mantissa : {1.0f, 1.5f, 1.75f, 1.875f, 1.9375f}) {
            const float value = std::ldexp(mantissa, exponent);
            if (std::isinf(value)) continue;
            values.push_back(value);
            values.push_back(std::nextafter(value, 0.0f));
            values.push_back(std::nextafter(value, INFINITY));
        }
    }
    std::mt19937 random(3);
    for (int i = 0; i < 10000; ++i) {
        const float value = float_from_bits(static_cast<uint32_t>(random()) & 0x7FFFFFFFu);
        if (std::isfinite(value)) values.push_back(value);
    }
    return values;
}

TEST(Scales, RowScaleIsAmaxOverMax) {
    for (const FormatInfo& format : all_formats()) {
        for (const float amax : many_magnitudes()) {
            const float expected = amax == 0 ? 1.0f : std::fmax(amax / format.max, FLT_TRUE_MIN);
            EXPECT_EQ(group_scale(row_spec(format.type), format, amax, 0), expected) << amax;
        }
        EXPECT_EQ(group_scale(row_spec(format.type), format, 0.0f, 0), 1.0f);
    }
}

TEST(Scales, HalfScalesAreRoundedAndLimited) {
    QuantSpec spec = group_spec(16);
    spec.scale_type = DataType::kF16;
    const FormatInfo& format = info(DataType::kE3M2);
    for (const float amax : many_magnitudes()) {
        const float scale = group_scale(spec, format, amax, 0);
        if (amax == 0) continue;
        EXPECT_EQ(scale, half_to_float(float_to_half(scale))) << "representable";
        EXPECT_GE(scale, 0x1p-24f);
        EXPECT_LE(scale, 65504.0f);
        const float wanted = amax / 28.0f;
        if (wanted > 0x1p-14f && wanted < 65504.0f) {
            EXPECT_NEAR(scale, wanted, wanted * 0x1p-11f);
        }
    }
    EXPECT_EQ(group_scale(spec, format, 0.0f, 0), 1.0f);
    EXPECT_EQ(group_scale(spec, format, FLT_MAX, 0), 65504.0f);
    EXPECT_EQ(group_scale(spec, format, 1e-20f, 0), 0x1p-24f);
}

/// floor(log2(value)) of a positive number, in fp64.
int floor_log2(double value) {
    return std::ilogb(value);
}

TEST(Scales, MxRulesFollowTheirDefinitions) {
    for (const FormatInfo& format : all_formats()) {
        const int emax = format.max_exponent;
        const auto exponent_of = [&](MxScaleRule rule, float amax) {
            return std::ilogb(group_scale(mx_spec(format.type, rule), format, amax, 0));
        };
        const auto limited = [](int exponent) { return std::min(127, std::max(-127, exponent)); };
        for (const float amax : many_magnitudes()) {
            if (amax == 0) continue;
            SCOPED_TRACE(testing::Message() << format.name << " " << amax);
            const double a = amax;
            EXPECT_EQ(exponent_of(MxScaleRule::kFloor, amax), limited(floor_log2(a) - emax));

            // Even: from the midpoint above the largest mantissa on, the next power of two.
            const double highest = 2.0 - std::ldexp(1.0, -format.mantissa_bits - 1);
            const bool up = a >= std::ldexp(highest, floor_log2(a));
            EXPECT_EQ(exponent_of(MxScaleRule::kEven, amax), limited(floor_log2(a) - emax + up));

            int smallest = -200;
            while (a > std::ldexp(static_cast<double>(format.max), smallest))
                ++smallest;
            EXPECT_EQ(exponent_of(MxScaleRule::kRceil, amax), limited(smallest));
        }
        for (const MxScaleRule rule :
             {MxScaleRule::kFloor, MxScaleRule::kEven, MxScaleRule::kRceil}) {
            EXPECT_EQ(exponent_of(rule, 0.0f), -127) << "all-zero group";
        }
    }
}

// What AMD Quark computes: integer addition on the fp32, exponent, minus emax, limited. Numbers by
// hand for amax around E3M2's and E2M3's rounding points.
TEST(Scales, EvenRuleOnKnownNumbers) {
    const auto byte = [](DataType type, float amax) {
        const float scale = group_scale(mx_spec(type, MxScaleRule::kEven), info(type), amax, 0);
        uint8_t e8m0 = 0;
        encode_scales(DataType::kE8M0, &scale, 1, &e8m0);
        return int{e8m0};
    };
    EXPECT_EQ(byte(DataType::kE3M2, 1.0f), 127 - 4);
    EXPECT_EQ(byte(DataType::kE3M2, 1.874f), 127 - 4);
    EXPECT_EQ(byte(DataType::kE3M2, 1.875f), 127 - 3);
    EXPECT_EQ(byte(DataType::kE2M3, 1.937f), 127 - 2);
    EXPECT_EQ(byte(DataType::kE2M3, 1.9375f), 127 - 1);
    EXPECT_EQ(byte(DataType::kE3M2, 0.0f), 0);
}

TEST(Scales, CandidatesOfTheSearch) {
    const FormatInfo& format = info(DataType::kE3M2);
    QuantSpec row = row_spec(), mx = mx_spec();
    EXPECT_EQ(scale_candidates(row), 1);
    EXPECT_EQ(scale_candidates(mx), 1);
    row.scale_search = mx.scale_search = 1;
    EXPECT_EQ(scale_candidates(row), 2);
    EXPECT_EQ(scale_candidates(mx), 2);
    EXPECT_EQ(group_scale(row, format, 28.0f, 1), 0.75f);
    EXPECT_EQ(group_scale(mx, format, 28.0f, 1), 0.5f);
    row.scale_search = mx.scale_search = 64;
    EXPECT_EQ(scale_candidates(row), 65);
    EXPECT_EQ(scale_candidates(mx), 3);
    EXPECT_EQ(group_scale(row, format, 28.0f, 0), 1.0f);
    EXPECT_FLOAT_EQ(group_scale(row, format, 28.0f, 64), 1.0f - 64.0f / 130.0f);
    EXPECT_EQ(group_scale(mx, format, 28.0f, 2), 2.0f);
}

TEST(Scales, StoredTypesRoundTrip) {
    std::vector<uint8_t> e8m0(256);
    for (size_t i = 0; i < 256; ++i)
        e8m0[i] = static_cast<uint8_t>(i);
    std::vector<float> floats(256);
    decode_scales(DataType::kE8M0, e8m0.data(), 256, floats.data());
    for (int i = 0; i < 255; ++i)
        EXPECT_EQ(floats[static_cast<size_t>(i)], std::ldexp(1.0f, i - 127));
    EXPECT_TRUE(std::isnan(floats[255]));
    std::vector<uint8_t> back(255);
    encode_scales(DataType::kE8M0, floats.data(), 255, back.data());
    EXPECT_TRUE(std::equal(back.begin(), back.end(), e8m0.begin()));

    const float values[3] = {1.0f, 0x1p-24f, 65504.0f};
    for (const DataType type : {DataType::kF16, DataType::kF32}) {
        uint32_t stored[3];
        float loaded[3];
        encode_scales(type, values, 3, stored);
        decode_scales(type, stored, 3, loaded);
        EXPECT_TRUE(std::equal(values, values + 3, loaded));
    }
}

}  // namespace
}  // namespace fp6llm
