"""SWIG's parse tree of fp6llm.i as plain Python objects, for the generators beside this file.

The tree comes from `swig -python -doxygen -xmlout`: the -xml target alone drops the comments. A type
is SWIG's encoding of it, e.g. "p.q(const).void" is `const void*` and "a(64).char" is `char [64]`.
"""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field


@dataclass
class Value:
    """An enumerator or a macro constant."""

    name: str
    value: int
    doc: str


@dataclass
class Enum:
    name: str
    doc: str
    values: list[Value] = field(default_factory=list)


@dataclass
class Variable:
    """A field of a struct or a parameter of a function."""

    name: str
    type: str
    doc: str = ""


@dataclass
class Struct:
    name: str
    doc: str
    fields: list[Variable] = field(default_factory=list)


@dataclass
class Function:
    name: str
    doc: str
    returns: str
    parameters: list[Variable]


@dataclass
class Opaque:
    """A handle: a pointer to a struct that only the library knows."""

    name: str
    struct: str
    doc: str


@dataclass
class Tree:
    enums: list[Enum] = field(default_factory=list)
    constants: list[Value] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    callbacks: list[Function] = field(default_factory=list)
    opaques: list[Opaque] = field(default_factory=list)


def _attributes(node):
    return {a.get("name"): a.get("value") for a in node.findall("attributelist/attribute")}


def _documentation(attributes):
    """The comment without its stars; SWIG keeps one line of it per line."""
    lines = attributes.get("doxygen", "").split("\n")
    lines = [re.sub(r"^\s*\*( {0,2}|$)", "", line).rstrip() for line in lines]
    return "\n".join(lines).strip()


def _parameters(node):
    """The parameters of a declaration; `(void)` has none."""
    found = [_attributes(p) for p in node.findall("attributelist/parmlist/parm")]
    return [Variable(p["name"], p["type"]) for p in found if p["type"] != "void"]


def _number(text):
    """A macro's value; SWIG leaves the arithmetic to others."""
    if not re.fullmatch(r"[-+*()\d\sa-fA-Fx]+", text):
        raise SystemExit(f"not a plain number: {text}")
    return int(eval(text, {"__builtins__": {}}))  # noqa: S307 (digits and operators only)


def _is_ours(name):
    return name.lower().startswith("fp6llm")


def read(path):
    """The declarations of fp6llm.h in the XML file that SWIG wrote."""
    tree = Tree()
    for node in ElementTree.parse(path).getroot().iter():
        attributes = _attributes(node) if node.tag in _READERS else {}
        if attributes and _is_ours(attributes.get("name", "")):
            _READERS[node.tag](tree, node, attributes)
    if not (tree.enums and tree.constants and tree.structs and tree.functions and tree.opaques):
        raise SystemExit(f"{path}: no declarations of fp6llm.h in it")
    return tree


def _read_enum(tree, node, attributes):
    enum = Enum(attributes["name"], _documentation(attributes))
    for item in node.findall("enumitem"):
        of_item = _attributes(item)
        enum.values.append(
            Value(of_item["name"], int(of_item["enumvalue"], 0), _documentation(of_item))
        )
    tree.enums.append(enum)


def _read_constant(tree, _node, attributes):
    tree.constants.append(
        Value(attributes["name"], _number(attributes["value"]), _documentation(attributes))
    )


def _read_struct(tree, node, attributes):
    struct = Struct(attributes["name"], _documentation(attributes))
    for member in node.findall("cdecl"):
        of_member = _attributes(member)
        struct.fields.append(
            Variable(
                of_member["name"],
                of_member.get("decl", "") + of_member["type"],
                _documentation(of_member),
            )
        )
    tree.structs.append(struct)


def _read_declaration(tree, node, attributes):
    name, kind, decl = attributes["name"], attributes["kind"], attributes.get("decl", "")
    doc, type_ = _documentation(attributes), attributes["type"]
    if kind == "function":
        # decl is "f(parameters)." and then what the result's type starts with.
        prefix = decl[_end_of_parameters(decl) :].removeprefix(".")
        tree.functions.append(Function(name, doc, prefix + type_, _parameters(node)))
    elif kind == "typedef" and decl.startswith("p.f("):
        tree.callbacks.append(Function(name, doc, type_, _parameters(node)))
    elif kind == "typedef" and decl == "p." and type_.startswith("struct "):
        tree.opaques.append(Opaque(name, type_.removeprefix("struct "), doc))
    elif (kind, decl) != ("typedef", "") or type_.split()[-1] != name:  # typedef enum X {...} X
        raise SystemExit(f"{name}: a {kind} that the generators do not know")


def _end_of_parameters(decl):
    depth = 0
    for position, character in enumerate(decl):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == ")" and depth == 0:
            return position + 1
    raise SystemExit(f"not a function: {decl}")


_READERS = {
    "enum": _read_enum,
    "constant": _read_constant,
    "class": _read_struct,
    "cdecl": _read_declaration,
}
