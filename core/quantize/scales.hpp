// From the largest magnitude of a row or group to its scale (ZeroQuant(4+2) section 4; OCP MX 1.0
// section 6.3). Scales are handled as fp32 and stored as the spec's scale type, which holds them
// exactly.
#pragma once

#include "core/quantize/quantize.hpp"

namespace fp6llm {

/// The scale of a group whose largest finite magnitude is `amax`.
///
/// Row and group: amax / max in fp32, at least the smallest positive number of the scale type; F16
/// rounds it to nearest even and limits it to [2^-24, 65504]. 1 if amax is 0.
///
/// MX, with E = floor(log2 amax) and emax = floor(log2 max): 2^e limited to e in [-127, 127],
///   FLOOR  e = E - emax
///   EVEN   the same for amax plus half a step of the element's mantissa, as AMD Quark does
///   RCEIL  e = E - emax, and one more where amax > max * 2^e
/// An all-zero group gets e = -127, as with AMD Quark, torchao and Microsoft's microxcaling.
///
/// `candidate` 0 is the rule's scale; the others are for the search, see scale_candidates().
float group_scale(const QuantSpec& spec, const FormatInfo& format, float amax,
                  int candidate) noexcept;

/// Those of `count` groups.
void group_scales(const QuantSpec& spec, const FormatInfo& format, const float* amax, int64_t count,
                  int candidate, float* scales) noexcept;

/// How many scales the search tries, the rule's own included. Row and group: n more, from
/// amax * (1 - k / (2 n + 2)), k = 1..n: one octave covers every position of a float grid, and
/// shrinking further only clips. MX: 2^(e-1), and from n = 2 on 2^(e+1); others cannot be better.
int scale_candidates(const QuantSpec& spec) noexcept;

/// fp32 scales -> the scale type, which must hold them exactly.
void encode_scales(DataType type, const float* scales, int64_t count, void* out) noexcept;

/// Scales of any scale type as fp32. E8M0 255 is NaN and 0 is 2^-127.
void decode_scales(DataType type, const void* scales, int64_t count, float* out) noexcept;

}  // namespace fp6llm
