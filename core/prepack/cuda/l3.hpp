// L3, the GPU layout of six-bit codes: every place of a weight in it, for host and device code.
//
// Unit = 64 rows x 128 columns = 6144 bytes = 3 planes x 128 threads x 16 bytes. Thread t of a unit
// belongs to warp t / 32 (rows 16 (t / 32) to + 15) and holds the weights of its own A fragments of
// mma.m16n8k16 (PTX ISA, "Matrix Fragments for mma.m16n8k16"): lane l = 4 g + j has, of each k16
// step, rows g and g + 8 and columns 2j, 2j + 1, 2j + 8, 2j + 9.
//
//   plane p, thread t, word i (i = 0..3) at byte 2048 p + 16 t + 4 i: word R_p of *triple* i
//   triple i = words R_0, R_1, R_2 = 16 weights = 8 pairs: k16 steps 2i (pairs 0..3) and 2i + 1 (4..7)
//   pair 4 (step & 1) + 2 (column / 8 & 1) + (row / 8 & 1): even column low, odd column high half
//
// Bits of each 16-bit half of the words; s = sign, e/m = the code's five lower bits:
//
//   tag f16    15 14 13 12 11 10  9  8  7  6  5  4  3  2  1  0
//   R_p        sA  .  . A4 A3 A2 A1 A0 sB  .  . B4 B3 B2 B1 B0     pair 2p (A), pair 2p + 1 (B)
//   T          sC  .  . C4 C3 C2 C1 C0 sD  .  . D4 D3 D2 D1 D0     pair 6 (C), pair 7 (D)
//
//   tag bf16   15 14 13 12 11 10  9  8  7  6  5  4  3  2  1  0
//   R_p        sA  .  .  .  . sB A4 A3 A2 A1 A0 B4 B3 B2 B1 B0
//   T          sC  .  .  .  . sD C4 C3 C2 C1 C0 D4 D3 D2 D1 D0
//
// T is not stored: its bits lie in the dots of R_0, R_1 and R_2, from where rotations by r_0, r_1 and
// r_2 bits bring them home (tag f16: 2, 4, 6; tag bf16: 4, 8, 12); the masks below say which bits of T
// come from which word. So an E3M2 code in the f16 tag *is* the half v * 2^-12 once masked, and in the
// bf16 tag the bfloat16 v * 2^-124 (ZeroQuant(4+2) section 4.2's bias shift; DESIGN section 4).
//
// Codes are held as E3M2 or E2M3; E2M2, E3M1 and E2M1 are subsets of E3M2 and are held as that. Rows and
// columns beyond the matrix have code 0.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FP6LLM_HOST_DEVICE __host__ __device__
#else
#define FP6LLM_HOST_DEVICE
#endif

namespace fp6llm::cuda {

constexpr int kUnitRows = 64;
constexpr int kUnitCols = 128;
constexpr int kUnitThreads = 128;
constexpr int kUnitPlanes = 3;
constexpr int kUnitPlaneBytes = kUnitThreads * 16;
constexpr int kUnitBytes = kUnitPlanes * kUnitPlaneBytes;
static_assert(kUnitBytes * 8 == kUnitRows * kUnitCols * 6, "six bits a weight, nothing else");

/// Whose activations a unit is made for; the value is stored in blobs.
enum class L3Tag : uint32_t { kF16 = 0x10, kBF16 = 0x11 };

/// Whose codes a unit holds: the two formats that kernels decode.
enum class L3Format { kE3M2, kE2M3 };

/// Which codes of a word's spare bits make T: word p gives the bits of `mask[p]`, after a rotation to
/// the left by `rotation[p]`.
struct L3Pattern {
    int sign_a, low_a;  ///< bit of the sign; lowest bit of the five others
    int sign_b, low_b;
    int rotation[3];
    uint32_t mask[3];
};

FP6LLM_HOST_DEVICE constexpr L3Pattern l3_pattern(L3Tag tag) {
    return tag == L3Tag::kF16
               ? L3Pattern{15, 8, 7, 0, {2, 4, 6}, {0x81818181u, 0x06060606u, 0x18181818u}}
               : L3Pattern{15, 5, 10, 0, {4, 8, 12}, {0x80078007u, 0x00780078u, 0x07800780u}};
}

/// Bits of both halves of a word that pattern A (or, shifted, B) takes.
FP6LLM_HOST_DEVICE constexpr uint32_t l3_mask(L3Tag tag) {
    return tag == L3Tag::kF16 ? 0x9F009F00u : 0x83E083E0u;
}

/// Where a weight of a unit lies: pair and half within a triple of a thread.
struct L3Place {
    int thread;  ///< 0..127
    int triple;  ///< 0..3
    int pair;    ///< 0..7
    int half;    ///< 0: low, 1: high
};

FP6LLM_HOST_DEVICE constexpr L3Place l3_place(int row, int col) {
    const int lane = 4 * (row & 7) + (col & 7) / 2;
    return L3Place{32 * (row / 16) + lane, col / 32,
                   4 * (col / 16 & 1) + 2 * (col / 8 & 1) + (row / 8 & 1), col & 1};
}

/// Column of a unit (0..127) and row (0..63) of what a place holds: l3_place()'s inverse.
FP6LLM_HOST_DEVICE constexpr int l3_row(const L3Place& at) {
    return 16 * (at.thread / 32) + (at.thread % 32) / 4 + 8 * (at.pair & 1);
}
FP6LLM_HOST_DEVICE constexpr int l3_col(const L3Place& at) {
    return 32 * at.triple + 16 * (at.pair / 4) + 8 * (at.pair / 2 & 1) + 2 * (at.thread % 4) +
           at.half;
}

/// Byte of word R_plane of a triple within its unit.
FP6LLM_HOST_DEVICE constexpr int l3_word_offset(int plane, int thread, int triple) {
    return kUnitPlaneBytes * plane + 16 * thread + 4 * triple;
}

/// Puts 16 six-bit codes (pair p: codes[2 p] low, codes[2 p + 1] high) into a triple.
FP6LLM_HOST_DEVICE inline void l3_pack_triple(L3Tag tag, const uint8_t codes[16],
                                              uint32_t words[3]) {
    const L3Pattern pattern = l3_pattern(tag);
    uint32_t placed[4];  // R_0, R_1, R_2 without their spare bits, and T
    for (int w = 0; w < 4; ++w) {
        placed[w] = 0;
        for (int half = 0; half < 2; ++half) {
            const uint32_t a = codes[4 * w + half], b = codes[4 * w + 2 + half];
            placed[w] |= ((a >> 5) << pattern.sign_a | (a & 31u) << pattern.low_a |
                          (b >> 5) << pattern.sign_b | (b & 31u) << pattern.low_b)
                         << (16 * half);
        }
    }
    for (int p = 0; p < 3; ++p) {
        const uint32_t spare = placed[3] & pattern.mask[p];
        words[p] = placed[p] | spare >> pattern.rotation[p] | spare << (32 - pattern.rotation[p]);
    }
}

/// The inverse of l3_pack_triple().
FP6LLM_HOST_DEVICE inline void l3_unpack_triple(L3Tag tag, const uint32_t words[3],
                                                uint8_t codes[16]) {
    const L3Pattern pattern = l3_pattern(tag);
    uint32_t placed[4] = {words[0], words[1], words[2], 0};
    for (int p = 0; p < 3; ++p) {
        const int r = pattern.rotation[p];
        placed[3] |= (words[p] << r | words[p] >> (32 - r)) & pattern.mask[p];
    }
    for (int w = 0; w < 4; ++w) {
        for (int half = 0; half < 2; ++half) {
            const uint32_t bits = placed[w] >> (16 * half);
            codes[4 * w + half] = static_cast<uint8_t>((bits >> pattern.sign_a & 1u) << 5 |
                                                       (bits >> pattern.low_a & 31u));
            codes[4 * w + 2 + half] = static_cast<uint8_t>((bits >> pattern.sign_b & 1u) << 5 |
                                                           (bits >> pattern.low_b & 31u));
        }
    }
}

}  // namespace fp6llm::cuda
