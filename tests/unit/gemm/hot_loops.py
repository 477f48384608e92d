# The hot loops of the vector kernels must keep their accumulators in registers: disassembles object
# files and fails if an innermost loop that multiplies moves more vectors to or from the stack than
# allowed. What may stay there, and why, is said where CMakeLists.txt allows it.
#
#   python3 hot_loops.py --objdump PROGRAM --registers zmm|ymm --functions PATTERN --loops N OBJECT...
import argparse
import re
import subprocess
import sys

MULTIPLY = re.compile(r"vfmadd|vdpbf16ps|vpdpwssd|vpdpbusd|vpmaddwd|vpmaddubsw")
DECODE = {"zmm": re.compile(r"vperm[it]2w|vpermb"), "ymm": re.compile(r"vps[lr]l[wd]")}
# What multiplies and does this, but does not decode, is the end of a block or group: sums are stored,
# or integer ones become floats.
TO_FLOAT = re.compile(r"vcvtdq2ps")


def functions(objdump, path):
    """Yields (name, [(address, instruction)])."""
    text = subprocess.run([objdump, "-d", "-C", "--no-show-raw-insn", path],
                          check=True, capture_output=True, text=True).stdout
    name, code = None, []
    for line in text.splitlines() + ["0 <end>:"]:
        start = re.match(r"[0-9a-f]+ <(.*)>:$", line)
        if start:
            if name:
                yield name, code
            name, code = start[1], []
            continue
        instruction = re.match(r"\s*([0-9a-f]+):\s+(.*)", line)
        if instruction:
            code.append((int(instruction[1], 16), instruction[2]))


def innermost_loops(code):
    """Yields the instructions of each backward jump's range that contains no other."""
    index = {address: i for i, (address, _) in enumerate(code)}
    loops = []
    for i, (address, text) in enumerate(code):
        jump = re.match(r"j\w+\s+([0-9a-f]+)\b", text)
        if jump and int(jump[1], 16) <= address and int(jump[1], 16) in index:
            loops.append((index[int(jump[1], 16)], i))
    for first, last in loops:
        if not any((a, b) != (first, last) and first <= a and b <= last for a, b in loops):
            yield [text for _, text in code[first:last + 1]]


class Stack:
    """Tells the moves of vectors between registers and the stack."""

    def __init__(self, registers):
        address = r"\((%rsp|%rbp)\)"
        self.move = re.compile(rf"{registers}.*{address}|{address}.*{registers}")
        self.to = re.compile(rf"^vmov\w+ +%{registers}\d+,[^%]*{address}$")
        self.store = re.compile(rf"vmov\w+ +%{registers}\d+,[^%]*\(")
        self.decode = DECODE[registers]

    def ends_group(self, loop):
        """Whether a loop is not a hot one, though it multiplies."""
        if any(self.decode.search(text) for text in loop):
            return False
        return any(TO_FLOAT.search(text) or
                   (self.store.search(text) and not self.move.search(text)) for text in loop)

    def moves(self, loop):
        """Numbers of loads from it, folded into other instructions or not, and of stores to it."""
        moves = [text for text in loop if self.move.search(text)]
        stores = sum(bool(self.to.search(text.strip())) for text in moves)
        return len(moves) - stores, stores


def check(options):
    """The number of loops, and a line for each that is wrong."""
    stack, checked, problems = Stack(options.registers), 0, []
    for path in options.objects:
        for name, code in functions(options.objdump, path):
            if not re.search(options.functions, name):
                continue
            for loop in innermost_loops(code):
                multiplies = sum(bool(MULTIPLY.search(text)) for text in loop)
                if not multiplies or stack.ends_group(loop):
                    continue
                checked += 1
                loads, stores = stack.moves(loop)
                if loads > options.loads or stores > options.stores:
                    problems.append(f"{name}: {loads} loads from and {stores} stores to the stack "
                                    f"in a loop of {len(loop)} instructions, "
                                    f"{multiplies} multiplications")
    return checked, problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("--registers", choices=["ymm", "zmm"], required=True)
    parser.add_argument("--functions", required=True, help="pattern of the names that count")
    parser.add_argument("--loops", type=int, required=True,
                        help="how many there are at least: with fewer, this script has gone blind")
    parser.add_argument("--loads", type=int, default=0, help="allowed in a loop, from the stack")
    parser.add_argument("--stores", type=int, default=0, help="allowed in a loop, to the stack")
    parser.add_argument("objects", nargs="+")
    options = parser.parse_args()
    checked, problems = check(options)
    print("\n".join(problems + [f"{checked} loops, {len(problems)} with vectors on the stack"]))
    if checked < options.loops:
        print(f"expected at least {options.loops} loops")
    return 1 if problems or checked < options.loops else 0


if __name__ == "__main__":
    sys.exit(main())
