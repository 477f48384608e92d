"""Builds the code that README.md shows under "In 60 seconds" with the pkg-config command that it names, around it no
more than the matrices and sizes it speaks of, and runs it on the CPU: a weight of ones times tokens of ones is the
number of columns."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"

PROGRAM = """#include <stdio.h>
{includes}
enum {{ OC = 24, IC = 40, tokens = 3 }};
static float W[OC * IC], X[tokens * IC], Y[tokens * OC];
int main(void) {{
    for (int i = 0; i < OC * IC; ++i) W[i] = 1;
    for (int i = 0; i < tokens * IC; ++i) X[i] = 1;
{body}
    for (int i = 0; i < tokens * OC; ++i)
        if (Y[i] < 0.999f * IC || Y[i] > 1.001f * IC) return printf("Y[%d] = %g\\n", i, Y[i]);
    return 0;
}}
"""


def main():
    readme = README.read_text()
    code = re.search(r"## In 60 seconds.*?^```c\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)[1]
    flags = re.search(r"`(pkg-config [^`]*)`", readme)[1]
    includes = "\n".join(re.findall(r"^#include .*$", code, re.MULTILINE))
    program = PROGRAM.format(includes=includes, body=code.replace(includes, ""))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.c").write_text(program)
        command = f"cc -Wall -Wextra -Werror main.c $({flags}) && ./a.out"
        without_gpu = dict(os.environ, CUDA_VISIBLE_DEVICES="")
        sys.exit(subprocess.run(command, shell=True, cwd=folder, env=without_gpu).returncode)


if __name__ == "__main__":
    main()
