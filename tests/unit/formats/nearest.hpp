// The oracle of encoding: a search over a format's values, in fp64, that shares nothing with the
// encoders but the table of values (which format_test.cpp checks against the definition).
#pragma once

#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

#include "core/formats/format.hpp"

namespace fp6llm::test {

/// The code whose value is nearest to `value`; ties by `rounding`, NaN to +max, zero keeps its
/// sign.
inline uint8_t nearest_code(const FormatInfo& format, float value, Rounding rounding) {
    const int sign = 1 << (format.bits - 1);
    if (std::isnan(value)) return static_cast<uint8_t>(sign - 1);
    const double magnitude = std::fmin(std::fabs(static_cast<double>(value)), format.max);
    int best = 0;
    double best_distance = std::numeric_limits<double>::infinity();
    for (int code = 0; code < sign; ++code) {
        const double distance = std::fabs(magnitude - static_cast<double>(format.values[code]));
        const bool wins_tie = rounding == Rounding::kNearestAway || code % 2 == 0;
        if (distance < best_distance || (distance == best_distance && wins_tie)) {
            best = code;
            best_distance = distance;
        }
    }
    return static_cast<uint8_t>(std::signbit(value) ? best | sign : best);
}

/// Every value, every tie, and their neighbours, of both signs; the edges of fp32; zeros, Inf, NaN.
inline std::vector<float> boundary_floats(const FormatInfo& format) {
    std::vector<float> points = {
        0.0f,     FLT_MIN,  FLT_TRUE_MIN, 1e-40f,   1e-20f, 1e20f, FLT_MAX,
        65504.0f, 0x1p-24f, 0x1p-14f,     INFINITY, NAN,    1.0f,  format.max * (1.0f + 0x1p-22f)};
    const int magnitudes = 1 << (format.bits - 1);
    for (int code = 0; code < magnitudes; ++code) {
        const float value = format.values[code];
        const float step = code + 1 < magnitudes ? format.values[code + 1] - value : value;
        for (const float point :
             {value, value + step / 2, value + step / 4, value + 3 * step / 4}) {
            float below = point, above = point;
            points.push_back(point);
            for (int i = 0; i < 3; ++i) {
                points.push_back(below = std::nextafter(below, 0.0f));
                points.push_back(above = std::nextafter(above, INFINITY));
            }
        }
    }
    for (size_t i = 0, count = points.size(); i < count; ++i)
        points.push_back(-points[i]);
    return points;
}

}  // namespace fp6llm::test
