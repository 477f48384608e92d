"""Python's committed files: `_enums.py` and the stub `_capi.pyi`, from SWIG's parse tree.

What the stub says of inputs and outputs are the rules that python.i's typemaps follow; the test
bindings.python_stub compares it with the module itself.
"""

import os

HEADER = '"""{what}\n\nGenerated from fp6llm.h by script/generate-bindings; do not edit.\n"""\n\n'
_WIDTH = 100


def short_names(enum):
    """Enumerator -> its name without what all have in common, where that leaves identifiers."""
    names = [value.name for value in enum.values]
    prefix = os.path.commonprefix(names).rpartition("_")[0]
    while prefix and not all(name[len(prefix) + 1 :].isidentifier() for name in names):
        prefix = prefix.rpartition("_")[0]
    return {name: name[len(prefix) + 1 :] for name in names}


def enum_name(name):
    return name.removeprefix("fp6llm").removesuffix("_t")


def _docstring(text, indent):
    """The lines of a docstring."""
    pad = " " * indent
    lines = text.replace("\\", "\\\\").split("\n")
    if len(lines) == 1 and len(lines[0]) + indent + 6 <= _WIDTH and not lines[0].endswith('"'):
        return [f'{pad}"""{lines[0]}"""']
    return [f'{pad}"""{lines[0]}', *[f"{pad}{line}".rstrip() for line in lines[1:]], f'{pad}"""']


def enums(tree):
    """_enums.py: the enumerations of the C ABI as IntEnum."""
    lines = [HEADER.format(what="The enumerations of the C ABI; every member equals its C value."),
             "from enum import IntEnum", ""]  # fmt: skip
    for enum in tree.enums:
        lines += ["", f"class {enum_name(enum.name)}(IntEnum):", *_docstring(enum.doc, 4), ""]
        short = short_names(enum)
        for value in enum.values:
            lines.append(f"    {short[value.name]} = {_value(value.value)}")
            if value.doc:
                lines += _docstring(value.doc, 4)
        lines.append("")
    return _text(lines)


def _value(value):
    return hex(value) if value > 0x1000 else str(value)


def _text(lines):
    return "\n".join(lines).replace("\n\n\n\n", "\n\n\n").rstrip() + "\n"


class _Types:
    """How a C type looks to Python."""

    def __init__(self, tree):
        self.enums = {enum.name for enum in tree.enums}
        self.structs = {struct.name for struct in tree.structs}
        self.opaques = {opaque.name for opaque in tree.opaques} - {"fp6llmStream_t"}

    def scalar(self, kind):
        if kind in ("int", "size_t", "int32_t", "int64_t", "uint64_t") or kind in self.enums:
            return "int"
        if kind == "double":
            return "float"
        if kind == "fp6llmStream_t":
            return "int | None"
        if kind in self.opaques:
            return kind
        return None

    def input(self, variable):
        kind = variable.type
        if self.scalar(kind):
            return self.scalar(kind) + (" | None" if kind in self.opaques else "")
        target = kind.removeprefix("p.").removeprefix("q(const).")
        if kind.startswith("a().") and kind.rpartition(".")[2] in self.opaques:
            return f"Sequence[{kind.rpartition('.')[2]} | None]"
        if variable.name in ("alpha", "beta"):
            return "float | int | None"
        if target in self.structs:
            return f"{target} | None"
        if target in ("void", "int64_t") or kind == "fp6llmParallelFor_t":
            return "int | None"
        raise SystemExit(f"no Python type for {variable}")

    def output(self, variable):
        """What a parameter adds to the result; None if it is an input."""
        target = variable.type.removeprefix("p.")
        if target == variable.type or target.startswith("q(const)"):
            return None
        if target in self.structs:
            return target if variable.name == "info" else None
        return self.scalar(target)

    def field(self, kind):
        if kind.startswith("a(") and kind.endswith(".char"):
            return "str"
        if kind in ("p.q(const).void", "p.void"):
            return "int | None"
        return self.scalar(kind)


def signature(function, types):
    """([(parameter, type)], type of the result) of a function in Python."""
    inputs, outputs = [], []
    parameters = list(function.parameters)
    while parameters:
        names = [parameter.name for parameter in parameters[:3]]
        if names == ["buffer", "size", "needed"]:
            outputs.append("str")
            del parameters[:3]
        elif names == ["requested", "results", "returned"]:
            inputs.append(("requested", "int"))
            outputs.append(f"list[{parameters[1].type.removeprefix('p.')}]")
            del parameters[:3]
        elif names[:2] == ["callback", "user"]:
            inputs.append(("callback", "Callable[[int, str], object] | None"))
            del parameters[:2]
        else:
            parameter = parameters.pop(0)
            output = types.output(parameter)
            if output:
                outputs.append(output)
            else:
                inputs.append((parameter.name, types.input(parameter)))
    if function.returns != "fp6llmStatus_t":
        outputs.insert(0, "str" if function.returns == "p.q(const).char" else "int")
    result = outputs[0] if len(outputs) == 1 else f"tuple[{', '.join(outputs)}]"
    return inputs, result if outputs else "None"


def stub(tree):
    """_capi.pyi: every name of the generated module `_capi`."""
    types = _Types(tree)
    lines = [HEADER.format(what="The C ABI of libfp6llm, call by call, as bindings/swig/python.i shapes it."),
             "from collections.abc import Callable, Sequence", "from typing import Final", ""]  # fmt: skip
    for enum in tree.enums:
        lines += [f"{value.name}: Final = {_value(value.value)}" for value in enum.values]
    lines += [f"{constant.name}: Final = {constant.value}" for constant in tree.constants]
    for opaque in tree.opaques:
        if opaque.name in types.opaques:
            lines += ["", f"class {opaque.name}:", *_docstring(opaque.doc + " Owns nothing.", 4)]
    for struct in tree.structs:
        lines += ["", f"class {struct.name}:", *_docstring(struct.doc, 4), ""]
        for member in struct.fields:
            lines.append(f"    {member.name}: {types.field(member.type)}")
        lines += ["    def __init__(self) -> None: ..."]
    lines.append("")
    for function in tree.functions:
        if function.name.endswith("Init"):
            continue
        inputs, result = signature(function, types)
        listed = ", ".join(f"{name}: {kind}" for name, kind in inputs)
        line = f"def {function.name}({listed}) -> {result}:"
        if len(line) <= _WIDTH:
            lines.append(line)
        else:
            lines += [f"def {function.name}("]
            lines += [f"    {name}: {kind}," for name, kind in inputs]
            lines += [f") -> {result}:"]
        lines += [*_docstring(function.doc, 4), "    ...", ""]
    return _text(lines)
