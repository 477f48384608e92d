"""Writes a C program that takes the address of every function fp6llm.h declares, so that it links
only if the library defines each of them. usage: generate_link_all.py fp6llm.h out.c"""

import sys
from pathlib import Path

from header import Header

header_path, out_path = sys.argv[1:]
functions = Header(header_path).functions
entries = "\n".join(f'    {{"{f}", (any_function)&{f}}},' for f in functions)
Path(out_path).write_text(
    f"""/* Generated from fp6llm.h by generate_link_all.py. */
#include <stdio.h>

#include "fp6llm/fp6llm.h"

typedef void (*any_function)(void);

static const struct {{
    const char* name;
    any_function address;
}} functions[] = {{
{entries}
}};

int main(void) {{
    size_t i, missing = 0;
    for (i = 0; i < sizeof(functions) / sizeof(functions[0]); ++i) {{
        if (functions[i].address == NULL) {{
            printf("missing: %s\\n", functions[i].name);
            ++missing;
        }}
    }}
    printf("%zu functions linked\\n", i - missing);
    return missing != 0;
}}
""",
    encoding="utf-8",
)
