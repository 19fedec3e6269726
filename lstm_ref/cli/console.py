"""What a person sees: text that cannot harm a terminal."""

import sys
import unicodedata


def printable(text: str) -> str:
    """Control characters, which could move the cursor or worse, as \\x escapes; line ends and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode()
        for c in text
    )


def note(message: str) -> None:
    """A line for people, on stderr."""
    print(message, file=sys.stderr, flush=True)
