# Gates of the compiled kernels, each a check of what ptxas made of them:
#
#   check.py resources <cuobjdump> <tiles.hpp> <fatbin>...    no spills, registers as tiles.hpp promises
#   check.py decoders  <cuobjdump> <decoders.fatbin>          instructions that decode 16 weights
#   check.py hot_loops <cuobjdump> <tiles.hpp> <fatbin>...    instructions of the k128 loops
#   check.py operands  <cuobjdump> <fatbin>...                no uniform register is read that nothing sets
#
# Each prints its figures. README.md says what they mean.
import os
import re
import sys
from collections import namedtuple

import sass

REGISTERS_PER_MULTIPROCESSOR = 65536

# Instructions per 16 weights, by <tag>_<format>_<activations>: what l3_decode.cuh promises.
DECODERS = {"f16_e3m2_f16": 17, "f16_e2m3_f16": 33, "bf16_e3m2_bf16": 25, "bf16_e2m3_bf16": 41,
            "f16_e3m2_bf16": 41, "f16_e2m3_bf16": 41}
SLACK = 1.10

# Instructions per k128 slab and thread besides decoding, mma and memory: addresses, predicates, the
# pipeline's bookkeeping. They may be up to so many, by kernel: 10 % above what nvcc 13.0 makes of them.
SLAB_INSTRUCTIONS = {
    "row_n8": 72, "row_n16": 90, "row_n32": 94, "row_n64": 114, "row_n128": 124, "row_n256": 140,
    "group_n8": 101, "group_n16": 130, "group_n32": 134, "group_n64": 126, "group_n128": 140,
    "group8_n16": 191}
# For sm_120, ptxas 13.0 puts NOPs between the mma instructions of the wide tiles; they count.
WIDE_ON_SM_120 = {"row_n64": 180, "row_n128": 182, "row_n256": 183, "group_n64": 171, "group_n128": 226}
# Of one slab; what a thread waits for or moves is counted by the emulator, not here.
MEMORY_AND_MMA = {"HMMA", "LDS", "LDSM", "LDGSTS", "LDGDEPBAR", "DEPBAR", "BAR"}


Tile = namedtuple("Tile", "tokens row_units token_warps stages min_blocks")


def tiles_of(path):
    """{"row_n8": Tile} as tiles.hpp states them."""
    text, tiles = open(path).read(), {}
    for name, prefix in (("kRowTiles", "row"), ("kGroupTiles", "group"), ("kGroupK8Tiles", "group8")):
        rows = re.search(rf"{name}\[\] = \{{(.*?)\}};", text, re.S)[1]
        for tile in re.findall(r"TileShape\{([\d, ]+)\}", rows):
            tile = Tile(*map(int, tile.split(",")))
            tiles[f"{prefix}_n{tile.tokens}"] = tile
    return tiles


def tile_of(kernel):
    match = re.fullmatch(r"sm80_(\w+)_gemm_(\w+_n\d+)", kernel)
    return match.groups() if match else (None, None)


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def check_resources(tool, tiles, *fatbins):
    tiles, faults, seen = tiles_of(tiles), [], 0
    for fatbin in fatbins:
        for (arch, kernel), used in sorted(sass.resources(tool, fatbin).items()):
            seen += 1
            print(f"{arch:8} {kernel:48} {used.registers:4} registers")
            if used.stack or used.local:
                faults.append(f"{arch} {kernel}: {used.stack} bytes of stack, {used.local} of local "
                              "memory: something is spilled or indexed at run time")
            _, tile = tile_of(kernel)
            if tile is None:
                continue
            # Registers are given to warps in units of 8 per thread.
            blocks = tiles[tile].min_blocks
            registers = (used.registers + 7) // 8 * 8 * 128 * tiles[tile].token_warps * blocks
            if registers > REGISTERS_PER_MULTIPROCESSOR:
                faults.append(f"{arch} {kernel}: {blocks} blocks need {registers} registers")
    if seen < len(fatbins):
        faults.append(f"only {seen} kernels in {len(fatbins)} fatbins")
    return faults


def decoder_counts(tool, fatbin):
    """{(arch, decoder): instructions per 16 weights}"""
    kernels = sass.instructions(tool, fatbin)
    ignored = ("LDG", "STG", "NOP", "BRA", "EXIT")
    counts = {}
    for (arch, kernel), code in kernels.items():
        if not kernel.endswith("_x1"):
            continue
        name = kernel[:-3]
        one, five = sass.count(code), sass.count(kernels[arch, name + "_x5"])
        for instruction in ignored:
            one.pop(instruction, None), five.pop(instruction, None)
        counts[arch, name] = (sum(five.values()) - sum(one.values())) / 4
    return counts


def check_decoders(tool, fatbin):
    faults, counts = [], decoder_counts(tool, fatbin)
    for (arch, name), instructions in sorted(counts.items()):
        print(f"{arch:8} {name:16} {instructions:6.2f} instructions per 16 weights")
        if instructions > SLACK * DECODERS[name]:
            faults.append(f"{arch} {name}: {instructions} instructions per 16 weights, "
                          f"{DECODERS[name]} + 10 % are allowed")
    if {name for _, name in counts} != set(DECODERS):
        faults.append(f"decoders found: {sorted(counts)}")
    return faults


def decoder_of(family):
    """The name in DECODERS of a kernel family such as e3m2_f16tag_bf16."""
    parts = family.split("_")
    tag = parts[1][:-3] if parts[1].endswith("tag") else parts[1]
    return f"{tag}_{parts[0]}_{parts[-1]}"


def slab_instructions(arch, tile):
    return (WIDE_ON_SM_120 if arch == "sm_120" else {}).get(tile, SLAB_INSTRUCTIONS[tile])


def check_hot_loops(tool, tiles, *fatbins):
    tiles, faults, seen = tiles_of(tiles), [], set()
    for fatbin in fatbins:
        for (arch, kernel), code in sorted(sass.instructions(tool, fatbin).items()):
            family, tile = tile_of(kernel)
            if tile is None:
                continue
            path = sass.count(sass.steady_path(sass.main_loop(code), {"HMMA", "LDGSTS"}))
            triples = 4 * tiles[tile].row_units
            rest = sum(n for name, n in path.items() if name not in MEMORY_AND_MMA)
            besides = rest - triples * DECODERS[decoder_of(family)]
            print(f"{arch:8} {kernel:48} {sum(path.values()):4} instructions per slab: "
                  f"{path['HMMA']} mma, {rest / triples:.1f} per 16 weights, {besides} "
                  "besides decoding")
            seen.add(tile)
            if path["LDS"] != 3 * tiles[tile].row_units or path["LDGSTS"] == 0:
                faults.append(f"{arch} {kernel}: no loop that loads and multiplies was found")
            elif besides > (allowed := slab_instructions(arch, tile)):
                faults.append(f"{arch} {kernel}: {besides} instructions per slab besides decoding, "
                              f"{allowed} are allowed")
            if path["LDL"] or path["STL"]:
                faults.append(f"{arch} {kernel}: the loop uses local memory")
    if seen != set(SLAB_INSTRUCTIONS):
        faults.append(f"tiles found: {sorted(seen)}")
    return faults


def check_operands(tool, *fatbins):
    faults, seen = [], 0
    for fatbin in fatbins:
        for (arch, kernel), code in sorted(sass.instructions(tool, fatbin).items()):
            seen += 1
            for instruction in sass.reads_of_unset_uniform_registers(code):
                faults.append(f"{arch} {kernel}: nothing sets a register of {instruction.text}")
    print(f"{seen} kernels")
    if seen < len(fatbins):
        faults.append(f"only {seen} kernels in {len(fatbins)} fatbins")
    return faults


CHECKS = {"resources": check_resources, "decoders": check_decoders, "hot_loops": check_hot_loops,
          "operands": check_operands}


def main(check, *arguments):
    faults = CHECKS[check](*arguments)
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
