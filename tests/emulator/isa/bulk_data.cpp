// What bulk copies copy: tensor maps and boxes, rows and their swizzles, what nobody has written.
//
// Out-of-bounds elements of a box read as zero (or NaN, all bits of exponent and mantissa set).
#include <cstring>

#include "tests/emulator/isa/bulk_copy.hpp"
#include "tests/emulator/isa/fragments.hpp"

namespace emulator {

using ptx::Space;

void find_unwritten(Warp& warp, const Op& op, const uint8_t* source, int64_t bytes, int64_t at,
                    Moment moment, Unwritten* unwritten) {
    for (int64_t i = 0; i < bytes; ++i) {
        if (warp.memory().note_read(warp, op, source + i, 1, Proxy::kAsync, moment)) continue;
        if (!unwritten->empty() && unwritten->back().first + unwritten->back().second == at + i)
            ++unwritten->back().second;
        else
            unwritten->emplace_back(at + i, 1);
    }
}

void fill_outside(const TensorMap& map, uint8_t* to, int64_t bytes) {
    if (map.fill != TensorFill::kNan || !tensor_is_float(map.type)) {
        std::memset(to, 0, static_cast<size_t>(bytes));
        return;
    }
    const int width = tensor_element_bytes(map.type);
    for (int64_t at = 0; at < bytes; at += width) {
        std::memset(to + at, 0xFF, static_cast<size_t>(width));
        to[at + width - 1] = 0x7F;  // sign clear
    }
}

bool read_map(Warp& warp, const Op& op, int lane, const AddressSource& source, int rank,
              TensorMap* map) {
    const LaneMask self = 1u << lane;
    const auto bad = [&](const std::string& what) {
        warp.report(op, self, FindingKind::kBadDescriptor, what, true);
        return false;
    };
    const uint64_t address = source.at(warp, lane);
    if (address % 64 != 0) return bad("a tensor map is not aligned to 64 bytes");
    const uint8_t* bytes = warp.memory().resolve(warp, op, Space::kGeneric, address, 128, false);
    if (bytes == nullptr) return false;
    *map = read_tensor_map(bytes);
    if (!map->valid()) return bad("the 128 bytes hold no tensor map");
    if (map->rank != rank)
        return bad("a tensor map of rank " + std::to_string(map->rank) + " in an instruction for " +
                   std::to_string(rank) + " dimensions");
    if (tensor_element_bytes(map->type) == 0) return bad("packed element types are not emulated");
    if (map->interleave != TensorInterleave::kNone) return bad("interleaved maps are not emulated");
    if (map->swizzle > TensorSwizzle::k128) return bad("this swizzle mode does not exist here");
    int64_t row = int64_t{map->box[0]} * tensor_element_bytes(map->type);
    if (row == 0 || row % 16 != 0)
        return bad("the inner dimension of a box has " + std::to_string(row) +
                   " bytes, no multiple of 16");
    const int64_t span = map->swizzle == TensorSwizzle::k32   ? 32
                         : map->swizzle == TensorSwizzle::k64 ? 64
                                                              : 128;
    if (map->swizzle != TensorSwizzle::kNone && row > span)
        return bad("the inner dimension of a box is wider than its swizzle");
    return true;
}

TensorBox box_of(Warp& warp, const BulkDetail& detail, const TensorMap& map, int lane) {
    TensorBox box;
    box.map = map;
    for (int d = 0; d < detail.rank; ++d)
        box.start[d] = static_cast<int32_t>(warp.u32(detail.coordinates[d])[lane]);
    return box;
}

uint32_t swizzled_byte(uint32_t base, int64_t at, TensorSwizzle swizzle) {
    return swizzled(static_cast<uint32_t>(base + at) & ~15u, swizzle) +
           static_cast<uint32_t>(at % 16);
}

void gather_row(uint8_t* dense, const uint8_t* shared, uint32_t base, int64_t offset, int64_t bytes,
                TensorSwizzle swizzle) {
    for (int64_t at = 0; at < bytes; at += 16)
        std::memcpy(dense + at,
                    shared + swizzled(static_cast<uint32_t>(base + offset + at), swizzle), 16);
}
void scatter_row(const uint8_t* dense, uint8_t* shared, uint32_t base, int64_t offset,
                 int64_t bytes, TensorSwizzle swizzle) {
    for (int64_t at = 0; at < bytes; at += 16)
        std::memcpy(shared + swizzled(static_cast<uint32_t>(base + offset + at), swizzle),
                    dense + at, 16);
}

bool check_alignment(Warp& warp, const Op& op, int lane, uint64_t address, uint64_t alignment,
                     const char* what) {
    if (address % alignment == 0) return true;
    warp.report(op, 1u << lane, FindingKind::kMisaligned,
                std::string(what) + " of a bulk copy is not aligned to " +
                    std::to_string(alignment) + " bytes",
                true);
    return false;
}

int64_t size_of(Warp& warp, const Op& op, const BulkDetail& detail, int lane) {
    const uint32_t bytes = warp.u32(detail.size)[lane];
    if (bytes % 16 != 0) {
        warp.report(op, 1u << lane, FindingKind::kMisaligned,
                    "the size of a bulk copy, " + std::to_string(bytes) + ", is no multiple of 16",
                    true);
        return 0;
    }
    return bytes;
}

}  // namespace emulator
