"""Writes a C program that prints the layout of every struct of fp6llm.h, for the bindings to compare with:
a line "struct size", then a line "struct.field offset size" per field. It reads the header itself, not
what SWIG made of it. usage: generate_layout_probe.py fp6llm.h out.c"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "abi"))
from header import Header  # noqa: E402

header_path, out_path = sys.argv[1:]
lines = []
for struct, fields in Header(header_path).structs.items():
    lines.append(f'    printf("{struct} %zu\\n", sizeof({struct}));')
    for field in fields:
        lines.append(
            f'    printf("{struct}.{field} %zu %zu\\n", offsetof({struct}, {field}),'
            f" sizeof((({struct}*)0)->{field}));"
        )
Path(out_path).write_text(
    "/* Generated from fp6llm.h by generate_layout_probe.py. */\n#include <stdio.h>\n\n"
    '#include "fp6llm/fp6llm.h"\n\nint main(void) {\n' + "\n".join(lines) + "\n    return 0;\n}\n",
    encoding="utf-8",
)
