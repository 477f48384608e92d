"""The raw Rust bindings against those that bindgen, another reader of C, makes of the same header.
usage: bindgen_test.py [BINDGEN]"""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = ROOT / "capi/include/fp6llm/fp6llm.h"
CRATE = ROOT / "bindings/rust/fp6llm-sys/src"
OPTIONS = (
    "--no-layout-tests --no-doc-comments --no-prepend-enum-name --default-enum-style consts --size_t-is-usize "
    "--allowlist-function fp6llm.* --allowlist-type fp6llm.* --allowlist-var FP6LLM.*"
).split()

if len(sys.argv) < 2 or sys.argv[1].endswith("NOTFOUND"):
    print("no bindgen; script/bootstrap test installs it")
    sys.exit(1 if os.environ.get("CI") else 77)
BINDGEN = sys.argv.pop(1)


class Source:
    """The items of a file of bindings, written in one way."""

    def __init__(self, text):
        text = re.sub(r"//[^\n]*|#\[[^\]]*\]|/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"::std::os::raw::|::std::option::|core::ffi::", "", text)
        text = re.sub(r"\b(\d+)usize\b", r"\1", " ".join(text.split()))
        text = re.sub(r",? ([)}>])", r"\1", re.sub(r"([(<]) ", r"\1", text))
        self.structs = {
            name: re.findall(r"pub (\w+): ([^,}]+)", body)
            for name, body in re.findall(r"pub struct (fp6llm\w+_t) \{([^}]*)\}", text)
        }
        self.functions = dict(re.findall(r"pub fn (fp6llm\w+)(\([^)]*\)(?: -> [^;{]+)?);", text))
        self.constants = {
            name: int(value, 0)
            for name, value in re.findall(r"pub const (FP6LLM_\w+): \w+ = (-?\w+);", text)
        }
        self.types = dict(re.findall(r"pub type (fp6llm\w+) = ([^;]+);", text))
        # An enum is as wide as an int; which of the two integers of that width is a matter of taste.
        self.types.update({n: "enum" for n, t in self.types.items() if t in ("c_uint", "u32", "i32")})
        self.table = dict(re.findall(r'pub (fp6llm\w+): unsafe extern "C" fn(\([^)]*\)(?: -> [^,}]+)?)', text))


class Bindings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = subprocess.run([BINDGEN, *OPTIONS, str(HEADER)], capture_output=True, text=True, check=True)
        cls.theirs = Source(made.stdout)
        cls.ours = Source((CRATE / "bindings.rs").read_text(encoding="utf-8"))

    def test_structs(self):
        self.assertGreater(len(self.theirs.structs), 5)
        self.assertEqual(self.ours.structs, self.theirs.structs)

    def test_functions(self):
        self.assertGreater(len(self.theirs.functions), 40)
        self.assertEqual(self.ours.functions, self.theirs.functions)

    def test_the_table_of_the_loaded_library(self):
        table = Source((CRATE / "table.rs").read_text(encoding="utf-8")).table
        self.assertEqual(table, self.theirs.functions)

    def test_constants(self):
        self.assertGreater(len(self.theirs.constants), 50)
        self.assertEqual(self.ours.constants, self.theirs.constants)

    def test_types(self):
        self.assertGreater(len(self.theirs.types), 15)
        self.assertEqual(self.ours.types, self.theirs.types)


if __name__ == "__main__":
    unittest.main()
