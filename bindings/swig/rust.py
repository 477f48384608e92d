"""Rust's committed files, from SWIG's parse tree (SWIG itself has no Rust): bindings.rs for a linked
library, table.rs for one that is loaded at run time, and the list of fields that the layout test goes
through."""

import re
import subprocess

_TYPES = {
    "void": "c_void",
    "char": "c_char",
    "int": "c_int",
    "size_t": "usize",
    "int32_t": "i32",
    "int64_t": "i64",
    "uint64_t": "u64",
    "double": "f64",
}
_GENERATED = "// Generated from fp6llm.h by script/generate-bindings; do not edit.\n"


def formatted(text):
    """As rustfmt has it."""
    return subprocess.run(
        ["rustfmt", "--edition", "2021"],
        input=text, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def rust_type(kind):
    """SWIG's encoding of a C type, in Rust."""
    array = re.fullmatch(r"a\((\d+)\)\.(.*)", kind)
    if array:
        return f"[{rust_type(array[2])}; {array[1]}]"
    for pointer, constness in (("p.q(const).", "const"), ("a().q(const).", "const"), ("p.", "mut")):
        if kind.startswith(pointer):
            return f"*{constness} {rust_type(kind.removeprefix(pointer))}"
    return _TYPES.get(kind, kind)


class Documentation:
    """Turns the header's doxygen into rustdoc."""

    def __init__(self, tree):
        self.functions = {function.name for function in tree.functions}
        self.names = {
            thing.name
            for things in (tree.enums, tree.constants, tree.structs, tree.callbacks, tree.opaques)
            for thing in things
        } | {value.name for enum in tree.enums for value in enum.values}

    def lines(self, text, indent=""):
        """The doc comment of an item, one line each."""
        if not text:
            return []
        converted, code, listing = [], False, False
        for line in text.split("\n"):
            line = line.rstrip()
            if line.strip() in ("@code", "@endcode"):
                code = line.strip() == "@code"
                converted.append("```c" if code else "```")
                continue
            if code:
                converted.append(line)
                continue
            tag = re.match(r"@(param|retval|note)\s+((?:\w+,\s*)*\w+)?\s*(.*)", line)
            if tag and tag[1] != "note":
                if not listing:
                    converted.append("")
                listing = True
                names = ", ".join(f"`{name}`" for name in re.split(r",\s*", tag[2]))
                converted.append(f"* {names if tag[1] == 'param' else self._text(tag[2])}: "
                                 f"{self._text(tag[3])}")  # fmt: skip
            elif listing and line.startswith(" "):
                converted.append(f"  {self._text(line.strip())}")
            else:
                if listing and line:
                    converted.append("")
                listing = False
                converted.append(self._text(re.sub(r"^@note\s+", "Note: ", line)))
        return [f"{indent}/// {line}".rstrip() for line in converted]

    def _text(self, line):
        """One line outside code: names become links, brackets stay brackets."""
        parts = re.split(r"(`[^`]*`)", line)
        for i, part in enumerate(parts):
            if i % 2 == 0:
                part = re.sub(r"([\[\]<>])", r"\\\1", part)
                part = re.sub(r"\*\*|\*", lambda star: star[0] if star[0] == "**" else r"\*", part)
                parts[i] = re.sub(r"(?:::)?\b((?:fp6llm|FP6LLM_)\w+)(\(\))?", self._link, part)
        return "".join(parts)

    def _link(self, match):
        name = match[1]
        if name in self.functions:
            return f"[`{name}()`]"
        return f"[`{name}`]" if name in self.names else f"`{name}`"


def _parameters(function):
    return ", ".join(f"{p.name}: {rust_type(p.type)}" for p in function.parameters)


def _result(function):
    return "" if function.returns == "void" else f" -> {rust_type(function.returns)}"


def bindings(tree):
    """bindings.rs: types, constants, and the functions as the linker resolves them."""
    document = Documentation(tree)
    lines = [_GENERATED,
             '#[cfg(not(feature = "dlopen"))]', "use core::ffi::c_int;",
             "use core::ffi::{c_char, c_void};", "use core::marker::{PhantomData, PhantomPinned};",
             '#[cfg(feature = "dlopen")]', "use crate::table::*;"]  # fmt: skip
    for enum in tree.enums:
        lines += ["", *document.lines(enum.doc), f"pub type {enum.name} = i32;"]
        for value in enum.values:
            lines += document.lines(value.doc)
            lines.append(f"pub const {value.name}: {enum.name} = {_number(value.value)};")
    for constant in tree.constants:
        kind = "usize" if constant.name.endswith("ALIGNMENT") else "i32"
        lines += ["", *document.lines(constant.doc),
                  f"pub const {constant.name}: {kind} = {constant.value};"]  # fmt: skip
    for opaque in tree.opaques:
        lines += ["", f"/// What a [`{opaque.name}`] points to; only the library knows.",
                  "#[repr(C)]", f"pub struct {opaque.struct} {{", "    _data: [u8; 0],",
                  "    _neither_send_nor_sync_nor_unpin: PhantomData<(*mut u8, PhantomPinned)>,", "}",
                  *document.lines(opaque.doc),
                  f"pub type {opaque.name} = *mut {opaque.struct};"]  # fmt: skip
    for callback in tree.callbacks:
        lines += ["", *document.lines(callback.doc),
                  f"pub type {callback.name} = "
                  f'Option<unsafe extern "C" fn({_parameters(callback)}){_result(callback)}>;']  # fmt: skip
    for struct in tree.structs:
        lines += ["", *document.lines(struct.doc), "#[repr(C)]", "#[derive(Clone, Copy, Debug)]",
                  f"pub struct {struct.name} {{"]  # fmt: skip
        for member in struct.fields:
            lines += document.lines(member.doc, "    ")
            lines.append(f"    pub {member.name}: {rust_type(member.type)},")
        init = struct.name.removesuffix("_t") + "Init"
        lines += ["}", "", f"impl Default for {struct.name} {{",
                  "    /// What the header's initializer of the struct gives.",
                  "    fn default() -> Self {",
                  "        // SAFETY: zeros are a value of every field, and the function fills the struct in.",
                  "        unsafe {", "            let mut made: Self = core::mem::zeroed();",
                  f"            {init}(&mut made);",
                  "            // Fields of later versions than the first count, too.",
                  "            made.structSize = core::mem::size_of::<Self>();",
                  "            made", "        }", "    }", "}"]  # fmt: skip
    lines += ["", '#[cfg(not(feature = "dlopen"))]', 'unsafe extern "C" {']
    for function in tree.functions:
        lines += document.lines(function.doc, "    ")
        lines.append(f"    pub fn {function.name}({_parameters(function)}){_result(function)};")
    lines.append("}")
    return formatted("\n".join(lines) + "\n")


def _number(value):
    return hex(value) if value > 0x1000 else str(value)


def table(tree):
    """table.rs: the same functions through pointers that are looked up at run time."""
    document = Documentation(tree)
    lines = [_GENERATED, "use core::ffi::{c_char, c_int, c_void, CStr};", "", "use crate::bindings::*;", "",
             "/// The address of every function of the library.", "pub struct Table {"]  # fmt: skip
    for function in tree.functions:
        lines += [f"    pub {function.name}: unsafe extern \"C\" fn({_parameters(function)})"
                  f"{_result(function)},"]  # fmt: skip
    lines += [
        "}", "", "impl Table {",
        "    /// Looks every function up by name; the first name that is not there otherwise.",
        "    ///", "    /// # Safety",
        "    /// What `find` returns must be null or the address of that function of libfp6llm.",
        "    pub unsafe fn new(", "        mut find: impl FnMut(&CStr) -> *mut c_void,",
        "    ) -> Result<Table, &'static CStr> {",
        "        let mut address = |name: &'static CStr| match find(name) {",
        "            found if found.is_null() => Err(name),", "            found => Ok(found),", "        };",
        "        // SAFETY: the caller's promise; a function pointer is as wide as an address.",
        "        unsafe {", "            Ok(Table {",
    ]  # fmt: skip
    for function in tree.functions:
        types = ", ".join(rust_type(p.type) for p in function.parameters)
        lines.append(f"                {function.name}: core::mem::transmute::<*mut c_void, unsafe extern "
                     f"\"C\" fn({types}){_result(function)}>(address(c\"{function.name}\")?),")  # fmt: skip
    lines += ["            })", "        }", "    }", "}"]
    for function in tree.functions:
        arguments = ", ".join(p.name for p in function.parameters)
        lines += ["", *document.lines(function.doc), "///", "/// # Safety",
                  "/// Pointers must be what the C function documents.",
                  f"pub unsafe fn {function.name}({_parameters(function)}){_result(function)} {{",
                  "    // SAFETY: the caller's promise.",
                  f"    unsafe {{ (crate::table().{function.name})({arguments}) }}", "}"]  # fmt: skip
    return formatted("\n".join(lines) + "\n")


def fields(tree):
    """tests/fields/mod.rs: the layout of every struct, as this compiler has it."""
    lines = [_GENERATED, "use core::mem::{offset_of, size_of};", "", "use fp6llm_sys::*;", "",
             "fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {", "    size_of::<F>()", "}", "",
             "/// A line per struct and per field, like tests/bindings/generate_layout_probe.py's.",
             "pub fn layout() -> Vec<String> {", "    vec!["]  # fmt: skip
    for struct in tree.structs:
        lines.append(f'format!("{struct.name} {{}}", size_of::<{struct.name}>()),')
        for member in struct.fields:
            lines.append(f'format!("{struct.name}.{member.name} {{}} {{}}", '
                         f"offset_of!({struct.name}, {member.name}), "
                         f"size_of_field(|s: &{struct.name}| &s.{member.name})),")  # fmt: skip
    lines += ["    ]", "}"]
    return formatted("\n".join(lines) + "\n")
