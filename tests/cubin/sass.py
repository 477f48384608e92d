# Reads what cuobjdump says of fatbins: the resources of kernels, and their instructions as basic blocks.
import re
import subprocess
from collections import Counter, namedtuple

# A line of a listing: its address, the mnemonic without predicate and modifiers, the whole text.
Instruction = namedtuple("Instruction", "address name text")
Resources = namedtuple("Resources", "registers stack local shared")

PREDICATE = r"@!?U?P(?:T|\d+)\s+"
NEVER = ("@!PT ", "@!UPT ")


def _run(tool, *arguments):
    result = subprocess.run([tool, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{tool} {' '.join(arguments)}: {result.stdout}{result.stderr}")
    return result.stdout


def resources(tool, fatbin):
    """{(arch, kernel): Resources} of the cubins in a fatbin."""
    found, arch, kernel = {}, None, None
    for line in _run(tool, "-res-usage", fatbin).splitlines():
        if start := re.match(r"\s*arch = (\S+)", line):
            arch = start[1]
        elif start := re.match(r"\s*Function (\S+):", line):
            kernel = start[1]
        elif kernel and "REG:" in line:
            found[arch, kernel] = Resources(*(int(re.search(rf"\b{name}:(\d+)", line)[1])
                                              for name in ("REG", "STACK", "LOCAL", "SHARED")))
            kernel = None
    return found


def instructions(tool, fatbin):
    """{(arch, kernel): [Instruction]}"""
    found, arch, code = {}, None, None
    for line in _run(tool, "-sass", fatbin).splitlines():
        if start := re.match(r"\s*code for (\S+)", line):
            arch = start[1]
        elif start := re.match(r"\s*Function : (\S+)", line):
            code = found.setdefault((arch, start[1]), [])
        elif match := re.match(rf"\s*/\*([0-9a-f]{{4,}})\*/\s+({PREDICATE})?([A-Z0-9]+)(.*?)\s*;",
                               line):
            text = f"{match[2] or ''}{match[3]}{match[4]}"
            if not text.startswith(NEVER):  # ptxas puts such around some instructions
                code.append(Instruction(int(match[1], 16), match[3], text))
    return found


def count(code):
    return Counter(instruction.name for instruction in code)


def _uniform_registers(text):
    """The uniform registers that operands name; a descriptor and what ends in .64 are two."""
    return [register for match in re.finditer(r"(desc\[)?\bUR(\d+)(\.64)?", text)
            for register in range(int(match[2]), int(match[2]) + (2 if match[1] or match[3] else 1))]


def reads_of_unset_uniform_registers(code):
    """Instructions with an address or a descriptor in uniform registers that nothing in the kernel sets."""
    written = set()
    for instruction in code:
        # The result comes first, or after a predicate that is one, too: UIADD3 UP0, UR4, ...
        result = re.match(rf"({PREDICATE})?(\S+)\s+(?:U?P\w+, )*UR(\d+)", instruction.text)
        if result:
            wide = re.search(r"\.(64|128|256|WIDE)", result[2])
            count = {None: 1, "64": 2, "WIDE": 2, "128": 4, "256": 8}[wide and wide[1]]
            written.update(range(int(result[3]), int(result[3]) + count))
    return [x for x in code for address in [" ".join(re.findall(r"(?:desc)?\[[^]]*\]", x.text))]
            if not written.issuperset(_uniform_registers(address))]


def _target(instruction):
    match = re.search(r"\b0x([0-9a-f]+)$", instruction.text)
    return int(match[1], 16) if instruction.name == "BRA" and match else None


def main_loop(code, inner="HMMA"):
    """The instructions from the head of the outermost loop around all `inner` to its jump back."""
    at = {instruction.address: i for i, instruction in enumerate(code)}
    first = min(i for i, x in enumerate(code) if x.name == inner)
    last = max(i for i, x in enumerate(code) if x.name == inner)
    loops = [(at[_target(x)], i) for i, x in enumerate(code)
             if _target(x) in at and at[_target(x)] <= first and i >= last]
    if not loops:
        raise ValueError(f"no loop around {inner}")
    head, back = max(loops, key=lambda loop: loop[1] - loop[0])
    return code[head:back + 1]


def steady_path(loop, wanted):
    """The shortest way once through a loop, among those with the most instructions of `wanted`: what a
    loop executes when nothing special happens. Jumps back within the loop are not taken."""
    at = {instruction.address: i for i, instruction in enumerate(loop)}
    # best[i]: (wanted instructions, -length, predecessor) of the best way to before instruction i.
    best = [None] * (len(loop) + 1)
    best[0] = (0, 0, None)
    for i, x in enumerate(loop):
        if best[i] is None:
            continue
        score = (best[i][0] + (x.name in wanted), best[i][1] - 1, i)
        following = []
        target = _target(x)
        is_conditional = x.text.startswith("@") or re.search(r"\bBRA(\.\w+)* !?U?P", x.text)
        if target is None or is_conditional:
            following.append(i + 1)
        if target in at and at[target] > i:
            following.append(at[target])
        if i + 1 == len(loop):
            following = [len(loop)]
        for j in following:
            if best[j] is None or score[:2] > best[j][:2]:
                best[j] = score
    path, i = [], len(loop)
    while best[i][2] is not None:
        i = best[i][2]
        path.append(loop[i])
    return path[::-1]
