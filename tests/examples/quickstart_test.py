"""Whether a quickstart prints the line that it should: the one that reference.py computes without the library.

quickstart_test.py                     the line that examples/README.md shows
quickstart_test.py COMMAND...          what a program prints
quickstart_test.py --as-written FILE   what the program prints that the command in FILE's first comment builds and runs,
                                       in a folder that holds nothing but FILE
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import reference

README = Path(__file__).resolve().parents[2] / "examples" / "README.md"


def printed(command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, **options)
    if result.returncode:
        sys.exit(f"answered {result.returncode}: {command}")
    return result.stdout


def shown(readme):
    return "".join(re.findall(r"^ {4}(checksum .*\n)", readme.read_text(), re.MULTILINE))


def printed_as_written(source):
    command = re.search(r"^(?://|#| \*) (.*&& .*)$", source.read_text(), re.MULTILINE)[1]
    print(command)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(source, folder)
        return printed(command, shell=True, cwd=folder)


def main(arguments):
    if not arguments:
        actual = shown(README)
    elif arguments[0] == "--as-written":
        actual = printed_as_written(Path(arguments[1]))
    else:
        actual = printed(arguments)
    expected = reference.line() + "\n"
    if actual != expected:
        sys.exit(f"expected {expected}but got  {actual}")
    print(actual, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
