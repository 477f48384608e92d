"""Reads fp6llm.h: functions, structs with their fields, enumerators, initializer macros.

Not a C parser: it knows the plain style of that one header, and fails loudly on anything else.
"""

import re
from pathlib import Path


class Header:
    def __init__(self, path):
        text = Path(path).read_text(encoding="utf-8")
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.init_macros = re.findall(r"#define (FP6LLM_\w+_INIT)\b", text)
        text = re.sub(r"^#.*(?:\\\n.*)*$", "", text, flags=re.M)

        marked = len(re.findall(r"\bFP6LLM_API\b", text))
        self.functions = sorted(re.findall(r"\bFP6LLM_API\b[^;(]*?\b(fp6llm\w+)\s*\(", text))
        if len(self.functions) != marked or len(set(self.functions)) != marked:
            raise SystemExit(f"{path}: {marked} FP6LLM_API but {len(self.functions)} functions read")

        self.structs = {}  # name -> [field]
        for name, body in re.findall(r"typedef struct (\w+)\s*\{(.*?)\}\s*\1\s*;", text, flags=re.S):
            self.structs[name] = [self._field(path, d) for d in body.split(";") if d.strip()]

        self.enumerators = {}  # name -> value
        for body in re.findall(r"typedef enum \w+[^{;]*\{(.*?)\}", text, flags=re.S):
            for entry in filter(str.strip, body.split(",")):
                match = re.fullmatch(r"\s*(FP6LLM_\w+)\s*=\s*(0x[0-9a-fA-F]+|\d+)\s*", entry)
                if not match:
                    raise SystemExit(f"{path}: enumerator without a plain value: {entry.strip()}")
                self.enumerators[match.group(1)] = int(match.group(2), 0)

        if text.count("typedef struct") != len(self.structs) + len(
            re.findall(r"typedef struct \w+\s*\*\s*\w+;", text)
        ):
            raise SystemExit(f"{path}: a struct was not understood")

    @staticmethod
    def _field(path, declaration):
        match = re.fullmatch(r"\s*[\w\s*]+?\b(\w+)\s*(\[\w+\])?\s*", declaration)
        if not match:
            raise SystemExit(f"{path}: field not understood: {declaration.strip()}")
        return match.group(1)
