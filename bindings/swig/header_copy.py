"""The copy of fp6llm.h that SWIG reads: the same declarations, with comments where SWIG wants them.

SWIG hangs a comment on the next declaration it understands. So the comments of initializer macros,
which it skips, would end up on the struct after them; and a comment about a whole group (doxygen's
@{ and @}) has to be repeated on each member.
"""

import re

_TOKEN = re.compile(
    r"(?P<initializer>/\*\*(?:(?!\*/).)*\*/\s*#define \w+_INIT\b(?:[^\n]*\\\n)*[^\n]*\n)"
    r"|(?P<trailing>/\*\*<.*?\*/)"
    r"|(?P<comment>/\*\*.*?\*/)",
    flags=re.S,
)


def for_swig(header):
    """The text of the header, as SWIG should read it."""
    group = ""

    def replace(match):
        nonlocal group
        if match["initializer"]:
            return "\n"
        if match["trailing"]:
            return match[0]
        body = match["comment"][3:-2]
        if "@}" in body:
            group = ""
            return ""
        if "@{" in body:
            group = re.sub(r"@\{|@name[^\n]*", "", body).strip(" *\n")
            return ""
        if "@file" in body or "@mainpage" in body:
            return ""
        return f"/**{body}{f'{chr(10)} *  {group} ' if group else ''}*/"

    return _TOKEN.sub(replace, header)
