#include "tests/emulator/driver/fatbin.hpp"

#include <cstring>

namespace emulator {

namespace {

constexpr uint32_t kContainerMagic = 0xBA55ED50;
constexpr uint32_t kWrapperMagic = 0x466243B1;
constexpr uint16_t kKindPtx = 1, kKindElf = 2;
constexpr uint64_t kFlagLz4 = 0x2000, kFlagZstd = 0x8000;
constexpr uint64_t kFlagSpecific = 0x100000, kFlagFamily = 0x200000;

struct ContainerHeader {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t payload_bytes;
};
static_assert(sizeof(ContainerHeader) == 16, "as nvcc writes it");

struct EntryHeader {
    uint16_t kind, version;
    uint32_t header_bytes;
    uint64_t payload_bytes;
    uint32_t compressed_bytes, options_at;
    uint16_t minor, major;
    uint32_t arch, name_at, name_bytes;
    uint64_t flags, unused, uncompressed_bytes;
};
static_assert(sizeof(EntryHeader) == 64, "as nvcc writes it");

/// What nvcc registers: it points to the container.
struct Wrapper {
    uint32_t magic, version;
    const void* container;
    const void* file_name;
};

uint32_t magic_of(const void* image) noexcept {
    uint32_t magic = 0;
    std::memcpy(&magic, image, sizeof magic);
    return magic;
}

std::string_view text_of(const char* data, uint64_t bytes) noexcept {
    while (bytes > 0 && data[bytes - 1] == '\0')
        --bytes;
    return {data, static_cast<size_t>(bytes)};
}

std::string arch_name(const FatbinEntry& entry) {
    std::string name = (entry.is_ptx ? "compute_" : "sm_") + std::to_string(entry.arch);
    if (entry.suffix != 0) name += entry.suffix;
    return name;
}

[[noreturn]] void invalid(const std::string& what) {
    throw FatbinError(FatbinError::Kind::kInvalidImage, what);
}

}  // namespace

bool is_fatbin(const void* image) noexcept {
    const uint32_t magic = magic_of(image);
    return magic == kContainerMagic || magic == kWrapperMagic;
}

std::vector<FatbinEntry> read_fatbin(const void* image) {
    if (magic_of(image) == kWrapperMagic) {
        Wrapper wrapper;
        std::memcpy(&wrapper, image, sizeof wrapper);
        image = wrapper.container;
        if (image == nullptr) invalid("the fatbin wrapper points nowhere");
    }
    ContainerHeader container;
    std::memcpy(&container, image, sizeof container);
    if (container.magic != kContainerMagic) invalid("this is no fatbin");
    if (container.version != 1 || container.header_bytes < sizeof container)
        invalid("fatbin version " + std::to_string(container.version) + " is not known");
    const char* at = static_cast<const char*>(image) + container.header_bytes;
    uint64_t left = container.payload_bytes;
    std::vector<FatbinEntry> entries;
    while (left > 0) {
        EntryHeader header;
        if (left < sizeof header) invalid("the fatbin ends inside an entry's header");
        std::memcpy(&header, at, sizeof header);
        if (header.header_bytes < sizeof header || header.header_bytes > left ||
            header.payload_bytes > left - header.header_bytes)
            invalid("an entry of the fatbin exceeds it");
        if (header.kind == kKindPtx || header.kind == kKindElf) {
            FatbinEntry entry;
            entry.is_ptx = header.kind == kKindPtx;
            entry.is_compressed =
                header.compressed_bytes != 0 || (header.flags & (kFlagLz4 | kFlagZstd)) != 0;
            entry.arch = static_cast<int>(header.arch);
            entry.suffix = (header.flags & kFlagSpecific) != 0 ? 'a'
                           : (header.flags & kFlagFamily) != 0 ? 'f'
                                                               : '\0';
            entry.data = text_of(at + header.header_bytes, header.payload_bytes);
            if (entry.is_ptx && !entry.is_compressed) {
                // What the text says counts; older compilers mark architectures otherwise.
                const auto [arch, suffix] = ptx_target(entry.data);
                if (arch == 0) invalid("PTX without a .target in the fatbin");
                entry.arch = arch;
                entry.suffix = suffix;
            }
            entries.push_back(entry);
        }
        at += header.header_bytes + header.payload_bytes;
        left -= header.header_bytes + header.payload_bytes;
    }
    return entries;
}

bool runs_on(int arch, char suffix, int device) noexcept {
    if (suffix == 'a') return arch == device;
    if (suffix == 'f') return arch / 10 == device / 10 && arch <= device;
    return arch <= device;
}

std::pair<int, char> ptx_target(std::string_view ptx) noexcept {
    constexpr std::string_view kDirective = ".target";
    size_t at = ptx.find(kDirective);
    if (at == std::string_view::npos) return {0, '\0'};
    at = ptx.find("sm_", at);
    if (at == std::string_view::npos) return {0, '\0'};
    at += 3;
    int arch = 0;
    while (at < ptx.size() && ptx[at] >= '0' && ptx[at] <= '9' && arch < 1000)
        arch = arch * 10 + (ptx[at++] - '0');
    const char suffix = at < ptx.size() && (ptx[at] == 'a' || ptx[at] == 'f') ? ptx[at] : '\0';
    return {arch, suffix};
}

std::string_view select_ptx(const void* image, int device) {
    if (!is_fatbin(image)) {
        const char* text = static_cast<const char*>(image);
        if (std::memcmp(text,
                        "\x7f"
                        "ELF",
                        4) == 0)
            throw FatbinError(FatbinError::Kind::kNoBinary,
                              "this is machine code (a cubin); the emulated GPU runs PTX: compile "
                              "with -ptx or -fatbin");
        const std::string_view ptx(text);
        const auto [arch, suffix] = ptx_target(ptx);
        if (arch == 0 || ptx.find(".version") == std::string_view::npos)
            invalid("neither a fatbin nor PTX");
        if (!runs_on(arch, suffix, device))
            throw FatbinError(FatbinError::Kind::kNoBinary,
                              "PTX for sm_" + std::to_string(arch) +
                                  (suffix != 0 ? std::string(1, suffix) : std::string()) +
                                  " does not run on a device of compute capability " +
                                  std::to_string(device));
        return ptx;
    }
    const FatbinEntry* best = nullptr;
    std::string seen;
    const std::vector<FatbinEntry> entries = read_fatbin(image);
    for (const FatbinEntry& entry : entries) {
        seen += (seen.empty() ? "" : ", ") + arch_name(entry);
        if (!entry.is_ptx || !runs_on(entry.arch, entry.suffix, device)) continue;
        if (best == nullptr || entry.arch > best->arch ||
            (entry.arch == best->arch && best->suffix == 0 && entry.suffix != 0))
            best = &entry;
    }
    if (best == nullptr)
        throw FatbinError(FatbinError::Kind::kNoBinary,
                          "the fatbin holds no PTX that runs on a device of compute capability " +
                              std::to_string(device) + ", only " +
                              (seen.empty() ? std::string("nothing") : seen) +
                              "; compile with code=[sm_90a,compute_90a] or the like");
    if (best->is_compressed)
        throw FatbinError(FatbinError::Kind::kCompressed,
                          "the PTX in the fatbin is compressed; compile with nvcc --no-compress");
    return best->data;
}

}  // namespace emulator
