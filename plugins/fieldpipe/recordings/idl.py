"""IDL (OMG IDL 4.2) -> what it declares, by full name; `ros2idl.py` makes types of that.

What CDR writes as ROS 2 does can be read: modules, structs, enums, typedefs, constants, sequences, strings and arrays.
Anything else is remembered as Unsupported, and matters only where a message uses it.
"""

from __future__ import annotations

from fieldpipe.recordings.idltokens import is_name, words
from fieldpipe.recordings.idltree import (
    Constant,
    Declaration,
    Declared,
    Expression,
    Named,
    SequenceOf,
    StructOf,
    TypeSpec,
    Unsupported,
)
from fieldpipe.recordings.typetree import MAX_DEPTH, Kind, SchemaError

_KINDS = {
    "boolean": Kind.BOOL,
    "octet": Kind.UINT8,
    "char": Kind.UINT8,
    "int8": Kind.INT8,
    "uint8": Kind.UINT8,
    "int16": Kind.INT16,
    "short": Kind.INT16,
    "uint16": Kind.UINT16,
    "unsigned short": Kind.UINT16,
    "int32": Kind.INT32,
    "long": Kind.INT32,
    "uint32": Kind.UINT32,
    "unsigned long": Kind.UINT32,
    "int64": Kind.INT64,
    "long long": Kind.INT64,
    "uint64": Kind.UINT64,
    "unsigned long long": Kind.UINT64,
    "float": Kind.FLOAT32,
    "double": Kind.FLOAT64,
    "string": Kind.STRING,
    "wstring": Kind.WSTRING,
}
_LONGER = {"unsigned": ("short", "long"), "unsigned long": ("long",), "long": ("long", "double")}
_UNSUPPORTED_TYPES = ("wchar", "long double", "any", "fixed", "map", "Object", "ValueBase")
_UNSUPPORTED_DECLARATIONS = ("union", "bitmask", "bitset", "native", "interface", "valuetype", "exception")


def declarations(text: str, *, heed_annotations: bool = True) -> dict[str, Declaration]:
    """Everything that a text declares, by full name (`package::msg::Type`). Raises SchemaError.

    `heed_annotations`: whether `@optional` and `@mutable` change the layout of payloads, which is not supported.
    """
    parser = _Parser(text, heed_annotations)
    parser.definitions((), "")
    return parser.found


class _Parser:
    def __init__(self, text: str, heed_annotations: bool) -> None:
        self.found: dict[str, Declaration] = {}
        self._text = text
        self._words, self._starts = words(text)
        self._at = 0
        self._heed_annotations = heed_annotations

    def definitions(self, scope: tuple[str, ...], end: str) -> None:
        """Read until the word `end`."""
        if len(scope) > MAX_DEPTH:
            raise SchemaError(f"modules nest more than {MAX_DEPTH} deep")
        while not self._take(end):
            annotations = self._annotations()
            keyword = self._next()
            match keyword:
                case "module":
                    name = self._name()
                    self._expect("{")
                    self.definitions((*scope, name), "}")
                case "struct":
                    self._struct(scope, annotations)
                case "enum":
                    self._enum(scope, annotations)
                case "typedef":
                    for name, type_ in self._declarators(scope):
                        self._declare(scope, name, type_)
                case "const":
                    self._constant(scope)
                case _ if keyword in _UNSUPPORTED_DECLARATIONS:
                    self._unsupported(scope, keyword)
                case _:
                    raise self._unexpected("a declaration")
            if not self._take(";") and keyword != "module":
                raise self._unexpected("';'", here=True)

    def _struct(self, scope: tuple[str, ...], annotations: dict[str, Expression]) -> None:
        name = self._name()
        if self._peek() == ";":
            return  # announced; its declaration follows further down
        base = Declared(Named(self._scoped_name()), (), scope) if self._take(":") else None
        self._expect("{")
        fields: list[tuple[str, Declared]] = []
        while not self._take("}"):
            of_field = self._annotations()
            made = self._declarators(scope)
            self._expect(";")
            if self._heed_annotations and "optional" in of_field:
                made = [(each, Declared(Unsupported("@optional"), (), scope)) for each, _ in made]
            fields += made
        is_mutable = "mutable" in annotations or "MUTABLE" in annotations.get("extensibility", ())
        is_unsupported = is_mutable and self._heed_annotations
        self._declare(scope, name, Unsupported("@mutable") if is_unsupported else StructOf(base, tuple(fields)))

    def _enum(self, scope: tuple[str, ...], annotations: dict[str, Expression]) -> None:
        name = self._name()
        self._expect("{")
        self._until("}")
        bits = (annotations.get("bit_bound") or ("32",))[-1]
        kinds = {"8": Kind.UINT8, "16": Kind.UINT16, "32": Kind.UINT32}
        self._declare(scope, name, kinds.get(bits, Unsupported(f"an enum of {bits[:20]} bits")))

    def _constant(self, scope: tuple[str, ...]) -> None:
        self._type()
        name = self._name()
        self._expect("=")
        self._declare(scope, name, Constant(self._until(";"), scope))
        self._at -= 1

    def _unsupported(self, scope: tuple[str, ...], keyword: str) -> None:
        self._declare(scope, self._name(), Unsupported(keyword))
        self._until(";", "{", "}")
        self._at -= 1

    def _type(self, depth: int = 0) -> TypeSpec:
        word = self._next()
        while self._peek() in _LONGER.get(word, ()):
            word += " " + self._next()
        if word == "sequence" and depth < MAX_DEPTH:
            self._expect("<")
            element = self._type(depth + 1)
            bound = self._until(">") if self._take(",") else ()
            if not bound:
                self._expect(">")
            return SequenceOf(element, bound)
        if word in _KINDS:
            if word in ("string", "wstring") and self._take("<"):
                self._until(">")
            return _KINDS[word]
        if word in _UNSUPPORTED_TYPES:
            if self._take("<"):
                self._until(">", "<", ">")
            return Unsupported(word)
        self._at -= 1
        return Named(self._scoped_name())

    def _declarators(self, scope: tuple[str, ...]) -> list[tuple[str, Declared]]:
        """A type and the names that get it, some of them as arrays."""
        type_ = self._type()
        made: list[tuple[str, Declared]] = []
        while not made or self._take(","):
            name = self._name()
            lengths: list[Expression] = []
            while self._take("["):
                lengths.append(self._until("]"))
            made.append((name, Declared(type_, tuple(lengths), scope)))
        return made

    def _annotations(self) -> dict[str, Expression]:
        """Annotations by their names, with the words between their parentheses."""
        found: dict[str, Expression] = {}
        while self._take("@"):
            name = self._scoped_name()
            found[name] = self._until(")") if self._take("(") else ()
        return found

    def _scoped_name(self) -> str:
        name = "::" if self._take("::") else ""
        name += self._name()
        while self._take("::"):
            name += "::" + self._name()
        return name

    def _until(self, end: str, opening: str = "(", closing: str = ")") -> Expression:
        """The words before `end`, which may also stand between inner parentheses."""
        start, depth = self._at, 0
        while depth or self._peek() != end:
            word = self._next()
            depth += (word == opening) - (word == closing)
        self._at += 1
        return tuple(self._words[start : self._at - 1])

    def _declare(self, scope: tuple[str, ...], name: str, declaration: Declaration) -> None:
        self.found["::".join((*scope, name))] = declaration

    def _peek(self) -> str:
        return self._words[self._at]

    def _next(self) -> str:
        word = self._peek()
        if not word:
            raise self._unexpected("more", here=True)
        self._at += 1
        return word

    def _take(self, word: str) -> bool:
        """Whether that word is next; if so, it is behind us now."""
        is_next = self._peek() == word
        self._at += is_next
        return is_next

    def _name(self) -> str:
        name = self._next()
        if not is_name(name):
            raise self._unexpected("a name")
        return name

    def _expect(self, word: str) -> None:
        if self._next() != word:
            raise self._unexpected(repr(word))

    def _unexpected(self, wanted: str, *, here: bool = False) -> SchemaError:
        """About the word that was read last, or the one that is next (`here`)."""
        at = self._at - (not here)
        found = repr(self._words[at][:100]) if self._words[at] else "the end"
        line = self._text.count("\n", 0, self._starts[at]) + 1
        return SchemaError(f"line {line} of the IDL has {found} instead of {wanted}")
