// Reads what a module is loaded from: a fatbin (bare, or behind the wrapper that nvcc puts into a
// program's .nvFatBinSegment) or plain PTX, and picks the PTX for a device.
//
//   container   u32 magic 0xBA55ED50, u16 version 1, u16 header bytes 16, u64 bytes of all entries
//   entry       u16 kind (1 PTX, 2 ELF), u16 version, u32 header bytes, u64 payload bytes,
//               u32 compressed bytes (0: plain), u32, u16 minor, u16 major, u32 arch (90), ...
//               at 40: u64 flags (0x2000 LZ4, 0x8000 Zstandard), at 56: u64 uncompressed bytes
//
// Source: seen in the output of nvcc 13.0 (`-fatbin`, with and without `--no-compress`).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace emulator {

/// What cannot be loaded; `kind` says which error of the driver it is.
class FatbinError : public std::runtime_error {
  public:
    enum class Kind { kInvalidImage, kNoBinary, kCompressed };
    FatbinError(Kind error_kind, const std::string& what)
        : std::runtime_error(what), kind(error_kind) {}
    Kind kind;
};

struct FatbinEntry {
    bool is_ptx;
    bool is_compressed;
    int arch;               ///< 90
    char suffix;            ///< 'a' of sm_90a, 'f' of sm_100f, 0
    std::string_view data;  ///< of PTX: the text without trailing zeros
};

/// Whether `image` starts like a container or its wrapper.
bool is_fatbin(const void* image) noexcept;

/// All entries; throws FatbinError. The container's own sizes are trusted: an image comes without one.
std::vector<FatbinEntry> read_fatbin(const void* image);

/// Whether code of (arch, suffix) runs on a device of compute capability `device` (90): plain PTX on
/// its own and every later one, sm_90a on 90 only, sm_100f within its family.
bool runs_on(int arch, char suffix, int device) noexcept;

/// The PTX of an image, fatbin or text, that a device takes: the highest architecture that runs there,
/// the arch-specific one first. Throws FatbinError.
std::string_view select_ptx(const void* image, int device);

/// Architecture of a PTX text by its `.target`; {0, 0} if there is none.
std::pair<int, char> ptx_target(std::string_view ptx) noexcept;

}  // namespace emulator
