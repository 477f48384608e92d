# The hot loops of the AVX-512 kernels must keep their accumulators in registers: disassembles object
# files and fails if an innermost loop that decodes or multiplies touches vectors on the stack.
#
#   python3 avx512_hot_loops.py <objdump> <object>...
import re
import subprocess
import sys

MULTIPLY = re.compile(r"vfmadd|vdpbf16ps|vpdpwssd|vpdpbusd")
LOOK_UP = re.compile(r"vperm[it]2w|vpermb")
STORE = re.compile(r"vmov\w+ +%zmm\d+,[^%]*\(")
STACK = re.compile(r"zmm.*\((%rsp|%rbp)\)|\((%rsp|%rbp)\).*zmm")


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


def main(objdump, *objects):
    checked, spilled = 0, 0
    for path in objects:
        for name, code in functions(objdump, path):
            for loop in innermost_loops(code):
                multiplies = sum(bool(MULTIPLY.search(text)) for text in loop)
                look_ups = sum(bool(LOOK_UP.search(text)) for text in loop)
                if "multiply_" not in name or not multiplies:
                    continue
                # What multiplies without decoding and stores is the end of a group.
                if not look_ups and any(STORE.search(text) and not STACK.search(text)
                                        for text in loop):
                    continue
                checked += 1
                stack = [text for text in loop if STACK.search(text)]
                if stack:
                    spilled += 1
                    print(f"{name}: {len(stack)} stack moves in a loop of {len(loop)} instructions, "
                          f"{multiplies} multiplications, {look_ups} look-ups")
    print(f"{checked} loops, {spilled} with vectors on the stack")
    # 19 direct and 24 scratch kernels per object file; fewer means that this script has gone blind.
    return 1 if spilled or checked < 43 * len(objects) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
