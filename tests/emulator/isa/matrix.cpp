// ldmatrix, stmatrix, movmatrix and mma.sync.
//
// Source: PTX ISA, sections "Warp Level Matrix Instructions: mma / ldmatrix / stmatrix / movmatrix".
// fragments.hpp draws the layouts, tensor_math.hpp says how products are summed. Refused at load:
// .b1, .s4/.u4, m8n8k4 of f16, sparse and block-scaled forms, 8-bit and 6-bit ldmatrix forms.
#include <array>
#include <memory>

#include "tests/emulator/exec/block.hpp"
#include "tests/emulator/isa/address.hpp"
#include "tests/emulator/isa/fragments.hpp"
#include "tests/emulator/isa/tensor_math.hpp"

namespace emulator {
namespace {

using ptx::Operand;
using ptx::Space;
using tensor::Element;

// --- ldmatrix, stmatrix, movmatrix -----------------------------------------------------------------

struct MatrixMove : OpDetail {
    AddressSource address;
    Space space = Space::kShared;
    int count = 0;  ///< 8 x 8 tiles
    bool transposed = false;
    std::array<Slot, 4> registers{};
};

/// Row r of tile i is at lane 8 i + r's address: the first 8 * count lanes.
LaneMask row_lanes(int count) noexcept {
    return count == 4 ? kAllLanes : (1u << (8 * count)) - 1;
}

void shared_rows(Warp& warp, const MatrixMove& move, uint64_t addresses[kWarpLanes]) {
    move.address.all(warp, addresses);
    if (move.space != Space::kShared)
        for (int lane = 0; lane < kWarpLanes; ++lane)
            addresses[lane] = shared_address(move.space, addresses[lane]);
}

Outcome run_ldmatrix(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& move = static_cast<const MatrixMove&>(*op.detail);
    const LaneMask rows = row_lanes(move.count) & lanes;
    move.address.check(warp, op, rows);
    uint64_t addresses[kWarpLanes];
    shared_rows(warp, move, addresses);
    alignas(64) uint8_t data[512];
    if (rows != row_lanes(move.count)) std::memset(data, 0, sizeof data);
    Access access{&op, rows, addresses, 16};
    access.space = Space::kShared;
    const LaneMask unwritten = warp.memory().load(warp, access, data, 16);
    for (int i = 0; i < move.count; ++i) {
        uint8_t* tile = data + 128 * i;
        if (move.transposed) transpose_8x8_b16(tile, tile);
        if (lanes == kAllLanes)
            std::memcpy(warp.u32(move.registers[i]), tile, 128);
        else
            write_slot(warp, move.registers[i], tile, lanes);
        LaneMask suspicious = 0;
        if (const uint32_t tainted = unwritten >> (8 * i) & 0xFFu) {
            // Transposed, lane 4 g + t holds rows 2 t and 2 t + 1.
            suspicious = move.transposed
                             ? lanes_of_columns(tainted, 0) | lanes_of_columns(tainted, 1)
                             : lanes_of_rows(tainted);
        }
        warp.set_taint(move.registers[i], lanes, suspicious);
    }
    return Outcome::kNext;
}

Outcome run_stmatrix(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& move = static_cast<const MatrixMove&>(*op.detail);
    const LaneMask rows = row_lanes(move.count) & lanes;
    move.address.check(warp, op, rows);
    uint64_t addresses[kWarpLanes];
    shared_rows(warp, move, addresses);
    alignas(64) uint8_t data[512];
    LaneMask suspicious = 0;
    Slot cause = kZeroSlot;
    for (int i = 0; i < move.count; ++i) {
        uint8_t* tile = data + 128 * i;
        std::memcpy(tile, warp.u32(move.registers[i]), 128);
        if (move.transposed) transpose_8x8_b16(tile, tile);
        LaneMask taint = warp.taint(move.registers[i]) & lanes;
        if (taint == 0) continue;
        cause = move.registers[i];
        uint32_t tainted_rows = rows_with(taint);
        if (move.transposed) {
            tainted_rows = 0;
            for (int t = 0; t < 4; ++t)
                if (taint & 0x11111111u << t) tainted_rows |= 3u << (2 * t);
        }
        suspicious |= tainted_rows << (8 * i);
    }
    if ((suspicious & rows) != 0) warp.report_taint(op, cause, suspicious & rows, "value stored");
    Access access{&op, rows, addresses, 16};
    access.space = Space::kShared;
    warp.memory().store(warp, access, data, 16, 0);
    return Outcome::kNext;
}

Outcome run_movmatrix(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    alignas(64) uint8_t tile[128];
    transpose_8x8_b16(warp.lanes<uint8_t>(op.src[0]), tile);
    const uint32_t taint = warp.taint(op.src[0]);
    write_slot(warp, op.dst, tile, lanes);
    LaneMask suspicious = 0;
    for (int t = 0; t < 4 && taint != 0; ++t)
        if (taint & 0x11111111u << t) suspicious |= lanes_of_rows(3u << (2 * t));
    // Lane 4 g + t of the result holds column g of the source: its rows 2 t, 2 t + 1.
    LaneMask of_rows = 0;
    const uint32_t rows = rows_with(taint);
    of_rows = lanes_of_columns(rows, 0) | lanes_of_columns(rows, 1);
    warp.pass_taint(op.dst, lanes, suspicious & of_rows, op.src[0]);
    return Outcome::kNext;
}

/// ldmatrix.sync.aligned.m8n8.x4{.trans}{.shared{::cta}}.b16 d, [a]; stmatrix the other way.
void lower_matrix_move(const ptx::Instruction& in, LowerContext& context, Op& op, bool load) {
    auto detail = std::make_unique<MatrixMove>();
    size_t at = 0;
    const auto& mods = in.modifiers;
    const auto take = [&](const char* name) {
        if (at >= mods.size() || mods[at] != name) return false;
        ++at;
        return true;
    };
    if (!take("sync") || !take("aligned")) context.fail(in, "needs .sync.aligned");
    const auto take_count = [&] {
        if (take("x1"))
            detail->count = 1;
        else if (take("x2"))
            detail->count = 2;
        else if (take("x4"))
            detail->count = 4;
    };
    take_count();  // older spellings: .x4.m8n8, .x4.trans.m8n8 (CUTLASS)
    const bool trans_first = take("trans");
    if (!take("m8n8")) context.fail(in, "only .m8n8 tiles of 16-bit elements are known");
    if (detail->count == 0) take_count();
    if (detail->count == 0) context.fail(in, "needs .x1, .x2 or .x4");
    detail->transposed = trans_first || take("trans");
    detail->space = take("shared") || take("shared::cta") ? Space::kShared : Space::kGeneric;
    if (!take("b16") || at != mods.size()) context.fail(in, "unknown modifier");
    if (!load && context.arch() < 90) context.fail(in, "needs sm_90");
    if (in.operands.size() != 2) context.fail(in, "needs two operands");
    const auto registers = elements_of(in.operands[load ? 0 : 1]);
    if (registers.size() != static_cast<size_t>(detail->count))
        context.fail(in, "the vector has the wrong length");
    for (size_t i = 0; i < registers.size(); ++i)
        detail->registers[i] = load ? context.destination(registers[i])
                                    : context.source(registers[i], ptx::Type::kB32);
    detail->address.lower(context, in.operands[load ? 1 : 0]);
    op.src[0] = detail->address.base;
    op.execute = load ? run_ldmatrix : run_stmatrix;
    op.kind = OpKind::kMatrixLoad;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

void lower_movmatrix(const ptx::Instruction& in, LowerContext& context, Op& op) {
    if (in.full_opcode() != "movmatrix.sync.aligned.m8n8.trans.b16")
        context.fail(in, "unknown modifier");
    if (in.operands.size() != 2) context.fail(in, "needs two operands");
    op.dst = context.destination(in.operands[0]);
    op.src[0] = context.source(in.operands[1], ptx::Type::kB32);
    op.execute = run_movmatrix;
    op.kind = OpKind::kWarp;
    op.flags |= Op::kOwnTaint;
}

// --- mma.sync --------------------------------------------------------------------------------------

struct Mma : OpDetail {
    std::array<Slot, 8> a{}, d{}, c{};
    std::array<Slot, 4> b{};
    int m = 16, k = 0;
    int row_blocks = 2;  ///< m / 8
    int chunks = 0;      ///< pieces of 16 bytes (f64: 32) along k
    int results = 0;     ///< registers of C and D
    Element a_element = Element::kF16, b_element = Element::kF16;
    bool half_accumulator = false;
    bool saturate = false;
};

/// The result registers' taint: a suspicious element of A spoils its row, of B its column.
void spread_taint(Warp& warp, const Mma& mma, LaneMask lanes) {
    LaneMask any = 0;
    Slot cause = kZeroSlot;
    const auto look = [&](Slot slot) {
        const LaneMask taint = warp.taint(slot);
        if (__builtin_expect(taint != 0, 0)) cause = slot;
        any |= taint;
    };
    for (int i = 0; i < mma.row_blocks * mma.chunks; ++i)
        look(mma.a[i]);
    for (int i = 0; i < mma.chunks; ++i)
        look(mma.b[i]);
    for (int i = 0; i < mma.results; ++i)
        look(mma.c[i]);
    if (__builtin_expect(any == 0, 1)) {
        for (int i = 0; i < mma.results; ++i)
            warp.set_taint(mma.d[i], lanes, 0);
        return;
    }
    uint32_t rows[2] = {0, 0}, columns = 0;
    for (int i = 0; i < mma.row_blocks * mma.chunks; ++i)
        rows[i % mma.row_blocks] |= rows_with(warp.taint(mma.a[i]));
    for (int i = 0; i < mma.chunks; ++i)
        columns |= rows_with(warp.taint(mma.b[i]));
    LaneMask suspicious[8];
    for (int i = 0; i < mma.results; ++i) {
        const int block = mma.half_accumulator ? i : i / 2;
        suspicious[i] = warp.taint(mma.c[i]) | lanes_of_rows(rows[block]);
        if (mma.half_accumulator)
            suspicious[i] |= lanes_of_columns(columns, 0) | lanes_of_columns(columns, 1);
        else
            suspicious[i] |= lanes_of_columns(columns, i % 2);
    }
    for (int i = 0; i < mma.results; ++i)
        warp.pass_taint(mma.d[i], lanes, suspicious[i], cause);
}

void count(Warp& warp, const Mma& mma) {
    Counters& counters = warp.counters();
    ++counters.mma_operations;
    counters.multiply_adds += static_cast<uint64_t>(mma.m) * 8 * mma.k;
}

void write_results(Warp& warp, const Mma& mma, LaneMask lanes, const void* results) {
    for (int i = 0; i < mma.results; ++i) {
        const uint8_t* slot = static_cast<const uint8_t*>(results) + 128 * i;
        if (__builtin_expect(lanes == kAllLanes, 1))
            std::memcpy(warp.u32(mma.d[i]), slot, 128);
        else
            write_slot(warp, mma.d[i], slot, lanes);
    }
}

struct WidenByType {
    Element element;
    int per_chunk;
    void operator()(const uint8_t* in, float* out) const { tensor::widen16(element, in, out); }
};
template <Element kElement>
struct Widen {
    static constexpr int per_chunk = 16 / tensor::element_bytes(kElement);
    void operator()(const uint8_t* in, float* out) const { tensor::widen16<kElement>(in, out); }
};

constexpr int kMaxK = 32;
// The columns of C in the order in which two of its slots hold them.
constexpr int kEvenOdd[8] = {0, 2, 4, 6, 1, 3, 5, 7};
constexpr int kInOrder[8] = {0, 1, 2, 3, 4, 5, 6, 7};

template <typename WidenA, typename WidenB>
void mma_float(Warp& warp, const Mma& mma, LaneMask lanes, WidenA widen_a, WidenB widen_b) {
    alignas(64) float a[16][kMaxK];
    alignas(64) float b[8][kMaxK];
    alignas(64) float b_by_k[kMaxK * 8];
    for (int chunk = 0; chunk < mma.chunks; ++chunk) {
        for (int block = 0; block < 2; ++block) {
            const uint8_t* rows = warp.lanes<uint8_t>(mma.a[2 * chunk + block]);
            for (int g = 0; g < 8; ++g)
                widen_a(rows + 16 * g, &a[8 * block + g][chunk * widen_a.per_chunk]);
        }
        const uint8_t* columns = warp.lanes<uint8_t>(mma.b[chunk]);
        for (int g = 0; g < 8; ++g)
            widen_b(columns + 16 * g, &b[g][chunk * widen_b.per_chunk]);
    }
    if (mma.k < 8)  // the transpose takes eight
        for (int g = 0; g < 8; ++g)
            std::memset(&b[g][4], 0, 16);
    const int* order = mma.half_accumulator ? kInOrder : kEvenOdd;
    for (int k = 0; k < mma.k; k += 8) {
        const float* rows[8];
        for (int i = 0; i < 8; ++i)
            rows[i] = &b[order[i]][k];
        tensor::transpose_8x8(rows, b_by_k + 8 * k);
    }
    alignas(64) uint8_t results[4][128];
    for (int block = 0; block < 2; ++block) {
        __m256 sums[8];
        if (mma.half_accumulator) {
            const uint8_t* c = warp.lanes<uint8_t>(mma.c[block]);
            for (int g = 0; g < 8; ++g)
                sums[g] =
                    _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(c + 16 * g)));
        } else {
            const float* even = warp.lanes<float>(mma.c[2 * block]);
            const float* odd = warp.lanes<float>(mma.c[2 * block + 1]);
            for (int g = 0; g < 8; ++g)
                sums[g] = _mm256_set_m128(_mm_load_ps(odd + 4 * g), _mm_load_ps(even + 4 * g));
        }
        tensor::multiply_8x8(a[8 * block], kMaxK, b_by_k, mma.k, sums);
        if (mma.half_accumulator) {
            for (int g = 0; g < 8; ++g)
                _mm_store_si128(reinterpret_cast<__m128i*>(results[block] + 16 * g),
                                isa::round_to_f16(sums[g]));
        } else {
            float* even = reinterpret_cast<float*>(results[2 * block]);
            float* odd = reinterpret_cast<float*>(results[2 * block + 1]);
            for (int g = 0; g < 8; ++g) {
                const __m256 sum = tensor::canonical(sums[g]);
                _mm_store_ps(even + 4 * g, _mm256_castps256_ps128(sum));
                _mm_store_ps(odd + 4 * g, _mm256_extractf128_ps(sum, 1));
            }
        }
    }
    write_results(warp, mma, lanes, results);
}

template <Element kElement>
Outcome run_mma(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& mma = static_cast<const Mma&>(*op.detail);
    spread_taint(warp, mma, lanes);
    count(warp, mma);
    mma_float(warp, mma, lanes, Widen<kElement>{}, Widen<kElement>{});
    return Outcome::kNext;
}

Outcome run_mma_fp8(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& mma = static_cast<const Mma&>(*op.detail);
    spread_taint(warp, mma, lanes);
    count(warp, mma);
    mma_float(warp, mma, lanes, WidenByType{mma.a_element, 16}, WidenByType{mma.b_element, 16});
    return Outcome::kNext;
}

Outcome run_mma_int8(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& mma = static_cast<const Mma&>(*op.detail);
    spread_taint(warp, mma, lanes);
    count(warp, mma);
    const auto value = [](Element element, uint8_t byte) -> int32_t {
        return element == Element::kS8 ? static_cast<int8_t>(byte) : byte;
    };
    int32_t b[8][kMaxK];
    for (int chunk = 0; chunk < mma.chunks; ++chunk)
        for (int g = 0; g < 8; ++g)
            for (int i = 0; i < 16; ++i)
                b[g][16 * chunk + i] =
                    value(mma.b_element, warp.lanes<uint8_t>(mma.b[chunk])[16 * g + i]);
    alignas(64) int32_t results[4][kWarpLanes];
    for (int block = 0; block < mma.row_blocks; ++block) {
        for (int g = 0; g < 8; ++g) {
            int32_t a[kMaxK];
            for (int chunk = 0; chunk < mma.chunks; ++chunk) {
                const uint8_t* rows = warp.lanes<uint8_t>(mma.a[mma.row_blocks * chunk + block]);
                for (int i = 0; i < 16; ++i)
                    a[16 * chunk + i] = value(mma.a_element, rows[16 * g + i]);
            }
            for (int n = 0; n < 8; ++n) {
                int32_t sum = 0;  // 32 * 255 * 255 fits
                for (int k = 0; k < mma.k; ++k)
                    sum += a[k] * b[n][k];
                const int slot = 2 * block + n % 2, lane = 4 * g + n / 2;
                results[slot][lane] =
                    tensor::add_s32(warp.lanes<int32_t>(mma.c[slot])[lane], sum, mma.saturate);
            }
        }
    }
    write_results(warp, mma, lanes, results);
    return Outcome::kNext;
}

Outcome run_mma_f64(Warp& warp, const Op& op, LaneMask lanes) {
    if (whole_warp(warp, op, lanes) == Outcome::kBlocked) return Outcome::kBlocked;
    const auto& mma = static_cast<const Mma&>(*op.detail);
    spread_taint(warp, mma, lanes);
    count(warp, mma);
    double results[4][kWarpLanes];
    for (int block = 0; block < mma.row_blocks; ++block)
        for (int g = 0; g < 8; ++g)
            for (int n = 0; n < 8; ++n) {
                const int slot = 2 * block + n % 2, lane = 4 * g + n / 2;
                double sum = warp.lanes<double>(mma.c[slot])[lane];
                for (int k = 0; k < mma.k; ++k) {
                    const double a =
                        warp.lanes<double>(mma.a[mma.row_blocks * (k / 4) + block])[4 * g + k % 4];
                    const double b = warp.lanes<double>(mma.b[k / 4])[4 * n + k % 4];
                    sum = std::fma(a, b, sum);
                }
                results[slot][lane] = sum;
            }
    for (int i = 0; i < mma.results; ++i)
        for_lanes(lanes, [&](int lane) { warp.lanes<double>(mma.d[i])[lane] = results[i][lane]; });
    return Outcome::kNext;
}

/// mma.sync.aligned.m16n8k16.row.col{.satfinite}.<d>.<a>.<b>.<c>
void lower_mma(const ptx::Instruction& in, LowerContext& context, Op& op) {
    auto detail = std::make_unique<Mma>();
    Mma& mma = *detail;
    size_t at = 0;
    const auto& mods = in.modifiers;
    const auto take = [&](const char* name) {
        if (at >= mods.size() || mods[at] != name) return false;
        ++at;
        return true;
    };
    if (!take("sync") || !take("aligned"))
        context.fail(in, "only dense .sync.aligned forms are known");
    static const struct {
        const char* name;
        int m, k;
    } kShapes[] = {{"m16n8k4", 16, 4},   {"m16n8k8", 16, 8}, {"m16n8k16", 16, 16},
                   {"m16n8k32", 16, 32}, {"m8n8k4", 8, 4},   {"m8n8k16", 8, 16}};
    mma.k = 0;
    for (const auto& shape : kShapes) {
        if (mma.k != 0 || !take(shape.name)) continue;
        mma.m = shape.m;
        mma.k = shape.k;
    }
    if (mma.k == 0) context.fail(in, "unknown shape");
    if (!take("row") || !take("col")) context.fail(in, "needs .row.col");
    mma.saturate = take("satfinite");
    if (mods.size() - at != 4) context.fail(in, "needs four types");
    const std::string d_type = mods[at], a_type = mods[at + 1], b_type = mods[at + 2],
                      c_type = mods[at + 3];
    mma.row_blocks = mma.m / 8;
    const auto refuse = [&] { context.fail(in, "this shape does not exist for these types"); };
    ptx::Type accumulator = ptx::Type::kF32;
    if (a_type == "f64") {
        if (b_type != "f64" || c_type != "f64" || d_type != "f64" || mma.saturate) refuse();
        if (mma.m == 8 ? mma.k != 4 : mma.k > 16 || context.arch() < 90) refuse();
        mma.chunks = mma.k / 4;
        mma.results = 2 * mma.row_blocks;
        accumulator = ptx::Type::kF64;
        op.execute = run_mma_f64;
    } else {
        if (!tensor::parse_element(a_type.c_str(), &mma.a_element) ||
            !tensor::parse_element(b_type.c_str(), &mma.b_element))
            context.fail(in, "unknown type of A or B");
        const bool integer = mma.a_element == Element::kS8 || mma.a_element == Element::kU8;
        const bool b_integer = mma.b_element == Element::kS8 || mma.b_element == Element::kU8;
        const bool fp8 = mma.a_element == Element::kE4M3 || mma.a_element == Element::kE5M2;
        const bool b_fp8 = mma.b_element == Element::kE4M3 || mma.b_element == Element::kE5M2;
        if (integer != b_integer || fp8 != b_fp8) refuse();
        if (!integer && !fp8 && mma.a_element != mma.b_element) refuse();
        const int bytes = mma.k * tensor::element_bytes(mma.a_element);
        if (bytes % 16 != 0 || bytes > 32) refuse();
        mma.chunks = bytes / 16;
        if (integer) {
            if (d_type != "s32" || c_type != "s32") refuse();
            if (mma.m == 8 && mma.k != 16) refuse();
            accumulator = ptx::Type::kS32;
            mma.results = 2 * mma.row_blocks;
            op.execute = run_mma_int8;
        } else {
            if (mma.m != 16 || mma.saturate || d_type != c_type) refuse();
            mma.half_accumulator = d_type == "f16";
            if (!mma.half_accumulator && d_type != "f32") refuse();
            if (mma.half_accumulator && mma.a_element != Element::kF16 && !fp8) refuse();
            if (fp8 && context.arch() < 89) context.fail(in, "needs sm_89");
            if (mma.half_accumulator) accumulator = ptx::Type::kB32;
            mma.results = mma.half_accumulator ? 2 : 4;
            switch (mma.a_element) {
                case Element::kF16:
                    op.execute = run_mma<Element::kF16>;
                    break;
                case Element::kBF16:
                    op.execute = run_mma<Element::kBF16>;
                    break;
                case Element::kTF32:
                    op.execute = run_mma<Element::kTF32>;
                    break;
                default:
                    op.execute = run_mma_fp8;
                    break;
            }
        }
    }
    if (in.operands.size() != 4) context.fail(in, "needs four operands");
    const auto fill = [&](size_t operand, Slot* slots, int wanted, bool destination,
                          ptx::Type type) {
        const auto elements = elements_of(in.operands[operand]);
        if (elements.size() != static_cast<size_t>(wanted))
            context.fail(in, "operand " + std::to_string(operand + 1) + " needs " +
                                 std::to_string(wanted) + " registers");
        for (int i = 0; i < wanted; ++i)
            slots[i] =
                destination ? context.destination(elements[i]) : context.source(elements[i], type);
    };
    const ptx::Type multiplicand = a_type == "f64" ? ptx::Type::kF64 : ptx::Type::kB32;
    fill(0, mma.d.data(), mma.results, true, accumulator);
    fill(1, mma.a.data(), mma.row_blocks * mma.chunks, false, multiplicand);
    fill(2, mma.b.data(), mma.chunks, false, multiplicand);
    fill(3, mma.c.data(), mma.results, false, accumulator);
    op.kind = OpKind::kMma;
    op.flags |= Op::kOwnTaint;
    op.detail = context.keep(std::move(detail));
}

}  // namespace

void register_matrix(Registry& registry) {
    registry.add("ldmatrix", [](const ptx::Instruction& in, LowerContext& context, Op& op) {
        lower_matrix_move(in, context, op, true);
    });
    registry.add("stmatrix", [](const ptx::Instruction& in, LowerContext& context, Op& op) {
        lower_matrix_move(in, context, op, false);
    });
    registry.add("movmatrix", lower_movmatrix);
    registry.add("mma", lower_mma);
}

}  // namespace emulator
