"""SWIG's parse tree, from which the bindings are generated, against tests/abi/header.py's reading of the
header: nothing missing, nothing changed. usage: tree_test.py [SWIG]"""

import os
import re
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "bindings/swig"), str(ROOT / "tests/abi")]
import generate  # noqa: E402
import header_copy  # noqa: E402
from header import Header  # noqa: E402

if len(sys.argv) < 2 or sys.argv[1].endswith("NOTFOUND"):
    print("no SWIG; script/bootstrap bindings installs it")
    sys.exit(1 if os.environ.get("CI") else 77)
SWIG = sys.argv.pop(1)


def as_c(kind):
    """SWIG's encoding of a type as header.py writes it."""
    array = re.fullmatch(r"a\(\d*\)\.(.*)", kind)
    if array:
        return as_c(array[1]) + "*"
    if kind.startswith("p."):
        return as_c(kind[2:]) + "*"
    if kind.startswith("q(const)."):
        return "const " + as_c(kind[9:])
    return kind


class Tree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as scratch:
            cls.tree = generate.Swig(SWIG, scratch).tree()
        cls.header = Header(generate.HEADER)

    def test_functions_and_callbacks(self):
        found = {
            function.name: (as_c(function.returns), [(as_c(p.type), p.name) for p in function.parameters])
            for function in self.tree.functions + self.tree.callbacks
        }
        expected = {
            name: (re.sub(r"\s*\*\s*", "*", returns), parameters)
            for name, (returns, parameters) in self.header.signatures.items()
        }
        self.assertEqual(found, expected)

    def test_structs(self):
        self.assertEqual(
            {s.name: [(as_c(f.type), f.name) for f in s.fields] for s in self.tree.structs},
            {
                name: list(zip(self.header.field_types[name], fields))
                for name, fields in self.header.structs.items()
            },
        )

    def test_values(self):
        values = {value.name: value.value for enum in self.tree.enums for value in enum.values}
        self.assertEqual(values, self.header.enumerators)
        self.assertEqual([c.name for c in self.tree.constants], self.header.constants)

    def test_handles(self):
        self.assertEqual({o.struct: o.name for o in self.tree.opaques}, self.header.handles)

    def test_everything_is_documented_as_in_the_header(self):
        for thing in self.tree.functions + self.tree.structs + self.tree.enums + self.tree.constants:
            self.assertTrue(thing.doc, thing.name)
        tags = re.compile(r"@(?:param|retval)\s+\w+")
        for function in self.tree.functions:
            expected = tags.findall(self.header.documentation[function.name])
            self.assertEqual(tags.findall(function.doc), expected, function.name)
        for struct in self.tree.structs:
            self.assertNotIn("Initializer of", struct.doc)


class HeaderCopy(unittest.TestCase):
    def test_comments_go_where_swig_wants_them(self):
        made = header_copy.for_swig(
            "/** Of one. */ int one;\n/** Of A_INIT. */\n#define A_INIT \\\n    { 0 }\n"
            "/** @name Both\n * All of them.\n * @{ */\n/** Of two. */ int two;\n"
            "int three; /**< Of three. */\n/** @} */\n/** Of four. */ int four;\n"
        )
        self.assertEqual(
            re.sub(r"\s+", " ", made).strip(),
            "/** Of one. */ int one; /** Of two. * All of them. */ int two; int three; /**< Of three. */ "
            "/** Of four. */ int four;",
        )


if __name__ == "__main__":
    unittest.main()
