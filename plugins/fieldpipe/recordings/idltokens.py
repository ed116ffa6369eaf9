"""The words of IDL (OMG IDL 4.2, section 7.2), and what its constant expressions come to."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable

from fieldpipe.recordings.typetree import SchemaError

_LEAST, _MOST = -(2**63), 2**64 - 1  # of constants
_MAX_DEPTH = 16  # of parentheses and operators
# What is never closed goes to the end, of the text or of the line: no text is looked through twice.
_WORDS = re.compile(
    r"""(?P<space>\s+ | //[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z))  # the third one: #include and its like
      | (?P<word>L?"(?:[^"\\\n]|\\.)*(?:"|\\?(?:(?=\n)|\Z))
               | L?'(?:[^'\\\n]|\\.[^'\n]{0,8})'
               | \w[\w.]* | :: | << | [^\s\w])""",
    re.VERBOSE | re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_INTEGER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|\d{1,20}")
_STRENGTHS = {"|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}


def words(text: str) -> tuple[list[str], array[int]]:
    """The words of a text and where they start, without comments and preprocessor lines; an empty one is the end.

    `>>` is two words, as it also ends types.
    """
    found, starts = [], array("L")
    for match in _WORDS.finditer(text):
        if match.lastgroup == "word":
            found.append(match[0])
            starts.append(match.start())
    return [*found, ""], array("L", [*starts, len(text)])


def is_name(word: str) -> bool:
    """Whether a word may be the name of something."""
    return _NAME.fullmatch(word) is not None


def evaluate(expression: tuple[str, ...], constant: Callable[[str], int]) -> int:
    """An expression of integers (section 7.4.1.4.3); `constant` finds the value of a name. Raises SchemaError."""
    joined = " ".join(expression).replace("> >", ">>").replace(" ::", "::").replace(":: ", "::")
    evaluator = _Evaluator(joined.split(), constant)
    value = evaluator.value(0, 0)
    if evaluator.rest:
        raise evaluator.unreadable()
    return value


class _Evaluator:
    """Precedence climbing: `value` reads operators that bind at least as strongly as `strength`."""

    def __init__(self, expression: list[str], constant: Callable[[str], int]) -> None:
        self.rest = expression[::-1]
        self._text = " ".join(expression)
        self._constant = constant

    def value(self, strength: int, depth: int) -> int:
        value = self._operand(depth)
        while self.rest and strength <= _STRENGTHS.get(self.rest[-1], -1):
            operator = self.rest.pop()
            value = self._applied(operator, value, self.value(_STRENGTHS[operator] + 1, depth + 1))
        return value

    def _operand(self, depth: int) -> int:
        if not self.rest or depth > _MAX_DEPTH:
            raise self.unreadable()
        word = self.rest.pop()
        if word == "(":
            value = self.value(0, depth + 1)
            if not self.rest or self.rest.pop() != ")":
                raise self.unreadable()
            return value
        if word in "+-~":
            value = self._operand(depth + 1)
            return {"+": value, "-": -value, "~": ~value}[word]
        if _INTEGER.fullmatch(word):
            is_octal = word[0] == "0" and word.isdigit()
            return int(word, 8 if is_octal else 0)
        return self._constant(word)

    def _applied(self, operator: str, left: int, right: int) -> int:
        if operator in ("<<", ">>") and not 0 <= right < 64:
            raise self.unreadable()
        if operator in ("/", "%") and not right:
            raise self.unreadable()
        value = _OPERATIONS[operator](left, right)
        if not _LEAST <= value <= _MOST:
            raise self.unreadable()
        return value

    def unreadable(self) -> SchemaError:
        return SchemaError(f"the expression {self._text[:200]!r} has no value")


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "|": int.__or__,
    "^": int.__xor__,
    "&": int.__and__,
    "<<": int.__lshift__,
    ">>": int.__rshift__,
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
    "/": int.__floordiv__,
    "%": int.__mod__,
}
