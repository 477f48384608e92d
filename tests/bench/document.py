"""Documents with a part that is made of results, between two marker lines."""


def with_made(text, begin, end, made):
    """The document `text` with `made` between its lines `begin` and `end`."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + "\n" + made + end + after
