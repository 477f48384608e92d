// What the files of mov and cvt share. Private to this folder.
#pragma once

#include "tests/emulator/isa/narrow_float.hpp"

namespace emulator::isa {

using ptx::Type;

/// Type of bits of so many bytes.
Type bits_type(int bytes);

enum class Integral : uint8_t { kNone, kNearest, kZero, kDown, kUp };

struct ConvertDetail : OpDetail {
    Type to{}, from{};
    int to_bytes = 0, from_bytes = 0;  ///< of the registers
    Rounding rounding = Rounding::kNearest;
    Integral integral = Integral::kNone;
    bool ftz = false, sat = false, relu = false, satfinite = false;
};

/// A value rounded once to f16, bf16 with the modifiers of cvt; `value` may be rounded to odd.
uint32_t round_half(double value, bool bf16, const ConvertDetail& detail);

void lower_to_tf32(Reader& reader, const ConvertDetail& modifiers, bool given);
/// True if `to` names a pair of narrow floats, the conversion to which was lowered.
bool lower_packed(Reader& reader, std::string_view to, const ConvertDetail& modifiers, bool given);
void lower_cvt_pack(const ptx::Instruction& instruction, LowerContext& context, Op& op);

}  // namespace emulator::isa
