"""Reads fp6llm.h: functions, structs with their fields, enumerators, macros, documentation.

Not a C parser: it knows the plain style of that one header, and fails loudly on anything else.
"""

import re
from pathlib import Path


class Header:
    def __init__(self, path):
        text = Path(path).read_text(encoding="utf-8")
        self.documentation = self._documentation(text)  # function -> its comment and its group's
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
        self.init_macros = re.findall(r"#define (FP6LLM_\w+_INIT)\b", text)
        self.includes = re.findall(r"^\s*#\s*include\s+(\S+)", text, flags=re.M)
        # Object-like macros with a value, initializers and the building blocks of declarations aside.
        joined = text.replace("\\\n", " ")
        self.constants = [
            name for name in re.findall(r"^#define (FP6LLM_\w+)[ \t]+[^\s]", joined, flags=re.M)
            if not name.endswith("_INIT") and name not in ("FP6LLM_API", "FP6LLM_ENUM_TYPE")
        ]  # fmt: skip
        text = re.sub(r"^#.*(?:\\\n.*)*$", "", text, flags=re.M)

        marked = len(re.findall(r"\bFP6LLM_API\b", text))
        self.functions = sorted(re.findall(r"\bFP6LLM_API\b[^;(]*?\b(fp6llm\w+)\s*\(", text))
        if len(self.functions) != marked or len(set(self.functions)) != marked:
            raise SystemExit(f"{path}: {marked} FP6LLM_API but {len(self.functions)} functions read")

        declared = len(re.findall(r"(?<![\w*])fp6llm[A-Z]\w*\s*\(", text))
        if declared != marked:
            raise SystemExit(f"{path}: {declared} functions but {marked} FP6LLM_API")

        # function or callback type -> (type it returns, [(type, name)])
        self.signatures = {
            name: (" ".join(returned.split()), [self._parameter(path, p) for p in self._split(listed)])
            for returned, name, listed in re.findall(
                r"\bFP6LLM_API\b\s*([^;(]*?)\b(fp6llm\w+)\s*\(([^;]*)\)\s*;", text)
            + re.findall(r"typedef ([^;(){}]*)\(\*(\w+)\)\(([^;]*)\)\s*;", text)
        }  # fmt: skip
        self.handles = dict(re.findall(r"typedef struct (\w+)\s*\*\s*(\w+);", text))  # struct -> type

        self.structs = {}  # name -> [field]
        self.field_types = {}  # name -> [type]
        for name, body in re.findall(r"typedef struct (\w+)\s*\{(.*?)\}\s*\1\s*;", text, flags=re.S):
            self.structs[name] = [self._field(path, d) for d in body.split(";") if d.strip()]
            self.field_types[name] = [self._parameter(path, d)[0] for d in body.split(";") if d.strip()]

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
    def _documentation(text):
        found, comment, group = {}, "", ""
        for match in re.finditer(
            r"/\*\*(?!<)(.*?)\*/|\bFP6LLM_API\b[^;(]*?\b(fp6llm\w+)\s*\(", text, flags=re.S
        ):
            if match.group(2):
                found[match.group(2)] = comment + group
                comment = ""
            elif "@}" in match.group(1):
                group = ""
            elif "@{" in match.group(1):
                group = match.group(1)
            else:
                comment = match.group(1)
        return found

    @staticmethod
    def _split(parameters):
        return [p for p in parameters.split(",") if p.strip() != "void"]

    @staticmethod
    def _parameter(path, declaration):
        """(type without spaces at its stars, name); the name of an unnamed parameter is ""."""
        match = re.fullmatch(r"\s*([\w\s*]+?[\s*])(\w+)\s*(\[\w*\])?\s*", declaration)
        if not match:
            raise SystemExit(f"{path}: parameter without a name: {declaration.strip()}")
        kind = re.sub(r"\s*\*\s*", "*", " ".join(match.group(1).split()))
        return kind + ("*" if match.group(3) else ""), match.group(2)

    @staticmethod
    def _field(path, declaration):
        match = re.fullmatch(r"\s*[\w\s*]+?\b(\w+)\s*(\[\w+\])?\s*", declaration)
        if not match:
            raise SystemExit(f"{path}: field not understood: {declaration.strip()}")
        return match.group(1)
