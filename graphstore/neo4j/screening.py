"""What the text of a Cypher statement says before it runs: words that do more than read, and lists that grow too far.

The server's plan has no operator for what stands in a subquery inside an expression, and its limit of memory counts
nothing inside one. So the text is read as well: words, names, numbers and signs, without comments and the contents of
texts. Built like the openCypher grammar's lexical part (https://opencypher.org/resources/).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphstore.errors import StoreInputError

PROCEDURES = frozenset(
    {
        "db.labels",
        "db.propertyKeys",
        "db.relationshipTypes",
        "db.schema.nodeTypeProperties",
        "db.schema.relTypeProperties",
        "db.schema.visualization",
        "db.index.fulltext.queryNodes",
        "db.index.fulltext.queryRelationships",
        "db.index.vector.queryNodes",
        "db.index.vector.queryRelationships",
    }
)
"""Procedures that may be called: they read the graph and nothing else."""

FUNCTION_FAMILIES = frozenset(
    {"date", "datetime", "duration", "localdatetime", "localtime", "point", "time", "vector.similarity"}
)
"""What may stand before the last dot of a function's name; a plugin's functions could do anything."""

LONGEST_RANGES = 100_000
"""Numbers that the ranges of one expression may have, all multiplied."""
MEASURES = frozenset({"size", "length"})
"""Functions that a range's end may be made of: what they measure is there already."""

_ESCAPE = re.compile(r"\\u+[0-9a-fA-F]{4}")
_TOKEN = re.compile(
    r"""
      (?P<space> [\s\u180e]+ | //[^\r\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<text> '(?:\\.|[^'\\])*(?:'|\Z) | "(?:\\.|[^"\\])*(?:"|\Z) )
    | (?P<name> `(?:``|[^`])*(?:`|\Z) )
    | (?P<word> [^\W\d]\w* )
    | (?P<number> 0[xX][0-9a-fA-F_]+ | 0[oO][0-7_]+ | \d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)? )
    | (?P<sign> . )
    """,
    re.DOTALL | re.VERBOSE,
)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_SHOWN = re.compile(
    r"(TRANSACTIONS?|SETTINGS?|PROCEDURES?|FUNCTIONS?|DATABASES?|USERS?|ROLES?|PRIVILEGES?|SERVERS?|INDEX(ES)?|"
    r"CONSTRAINTS?)",
    re.IGNORECASE,
)
_BRANCH = frozenset({"CASE", "WHEN", "THEN", "ELSE", "END"})


@dataclass(frozen=True)
class Token:
    """A piece of a statement.

    Attributes:
        kind: ``text``, ``name`` (in backticks), ``word``, ``number`` or ``sign``.
        text: as it stands there; of a name what the backticks hold.
    """

    kind: str
    text: str

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, given in capitals."""
        return self.kind == "word" and self.text.upper() in words

    @property
    def names(self) -> bool:
        """Whether it can name something."""
        return self.kind in ("word", "name")


NONE = Token("sign", "")


def tokens(text: str) -> list[Token]:
    """The pieces of a statement in order, without spaces and comments."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "name":
            found.append(Token(kind, match[0].strip("`").replace("``", "`")))
        elif kind != "space":
            found.append(Token(kind, match[0]))
    return found


def parameter_names(text: str) -> frozenset[str]:
    """The parameters a statement asks for."""
    pieces = tokens(text)
    return frozenset(after.text for sign, after in itertools.pairwise(pieces) if sign.text == "$")


def screen(text: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a statement by its text.

    Args:
        text: the statement.
        parameters: its values, which may be a range's ends.

    Raises:
        StoreInputError: it would do more than read the graph, or build a list or text that outgrows the server.
    """
    if _ESCAPE.search(text):
        raise StoreInputError(
            "query must have its characters as they are, but got one as \\u and a number. Write the character itself."
        )
    pieces = tokens(text)
    check_words(pieces)
    _check_ranges(pieces, parameters)
    _check_reduce(pieces)


def refused(what: str) -> StoreInputError:
    """The error for a statement that would do more than read."""
    return StoreInputError(f"query must only read the graph, but this one would {what}. Leave that out.")


def check_procedure(name: str) -> None:
    """Raise StoreInputError for a procedure that is not on the list."""
    if name not in PROCEDURES:
        raise refused(f"call {name}; only these procedures may be called: {', '.join(sorted(PROCEDURES))}")


def check_family(family: str) -> None:
    """Raise StoreInputError for a family of functions that is not on the list."""
    if family.lower() not in FUNCTION_FAMILIES:
        raise refused(f"call a function of {family}, which could do anything")


def check_words(pieces: Sequence[Token]) -> None:
    """Raise StoreInputError where the pieces of a statement or a plan say that more than reading is done."""
    for index, piece in enumerate(pieces):
        before, after = _at(pieces, index - 1), _at(pieces, index + 1)
        # Behind one dot stands a property, behind two the end of a slice.
        if before.text == "$" or (before.text == "." and _at(pieces, index - 2).text != "."):
            continue
        if piece.is_word("LOAD") and after.is_word("CSV"):
            raise refused("read files or the network (LOAD CSV)")
        if piece.is_word("TERMINATE") and after.is_word("TRANSACTION", "TRANSACTIONS"):
            raise refused("end what others do (TERMINATE)")
        if piece.is_word("SHOW") and after.kind == "word" and _SHOWN.fullmatch(after.text):
            raise refused("show what the server does (SHOW)")
        braced = before.is_word("IN") and _at(pieces, index - 2).text == "}"
        if piece.is_word("TRANSACTIONS") and (braced or before.is_word("CONCURRENT")):
            raise refused("begin further transactions (IN TRANSACTIONS)")
        if not piece.names:
            continue
        parts, end = _dotted(pieces, index)
        if before.is_word("CALL"):
            # Every procedure's name has a dot: what has none is the variable of somebody who likes the word.
            if len(parts) > 1 or _at(pieces, end).text == "(":
                check_procedure(".".join(parts))
        elif len(parts) > 1 and _at(pieces, end).text == "(" and ".".join(parts) not in PROCEDURES:
            check_family(".".join(parts[:-1]))


def _dotted(pieces: Sequence[Token], start: int) -> tuple[list[str], int]:
    """The parts of a name with dots that begins here, and what comes after it."""
    parts = [pieces[start].text]
    end = start + 1
    while _at(pieces, end) == Token("sign", ".") and _at(pieces, end + 1).names:
        parts.append(pieces[end + 1].text)
        end += 2
    return parts, end


def _check_ranges(pieces: Sequence[Token], parameters: Mapping[str, Any]) -> None:
    product = 1
    depth = 0
    for index, piece in enumerate(pieces):
        depth += (piece.kind == "sign") * ((piece.text in _OPENING) - (piece.text in _CLOSING))
        if depth <= 0:
            product = 1
        if not _calls(pieces, index, "range"):
            continue
        arguments, end = _arguments(pieces, index + 1)
        # Such a range is read number by number and never held.
        if _at(pieces, index - 1).is_word("UNWIND") and _at(pieces, end).is_word("AS"):
            continue
        product *= max(1, _span(arguments, parameters))
        if product > LONGEST_RANGES:
            raise StoreInputError(
                f"ranges of a query must have at most {LONGEST_RANGES:,} numbers, one inside the other multiplied, but "
                f"got {product:,}. Narrow them, or write UNWIND range(…) AS x."
            )


def _span(arguments: Sequence[Sequence[Token]], parameters: Mapping[str, Any]) -> int:
    """How many numbers a range has; 1 where an end is measured by what the database holds."""
    values = [_whole(argument, parameters) for argument in arguments]
    for argument, value in zip(arguments, values, strict=True):
        if value is None and not _is_measured(argument, parameters):
            shown = " ".join(piece.text for piece in argument)
            raise StoreInputError(
                "ends of a range must be whole numbers, parameters, properties such as a.depth, size(…) or length(…), "
                f"or sums of these, but got {shown[:100]!r}. Write the number, or UNWIND range(…) AS x."
            )
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return max(map(abs, known), default=1)
    if len(known) < 2:
        return 1  # The server says what is wrong with it.
    step = abs(known[2]) if len(known) > 2 else 1
    return abs(known[1] - known[0]) // max(1, step) + 1


def _whole(argument: Sequence[Token], parameters: Mapping[str, Any]) -> int | None:
    """The whole number that an argument is, by itself or by its parameter."""
    sign = -1 if argument and argument[0].text == "-" else 1
    rest = argument[1:] if sign < 0 else argument
    if len(rest) == 1 and rest[0].kind == "number":
        return sign * number(rest[0].text)
    if len(rest) == 2 and rest[0].text == "$":
        value = parameters.get(rest[1].text)
        if isinstance(value, int):
            return sign * int(value)
    return None


def number(text: str) -> int:
    """The whole number a piece stands for, up to 2^64; of what is none, a number beyond all limits."""
    try:
        return min(int(text, 0 if text[:1] == "0" and text[1:2].isalpha() else 10), 2**64)
    except ValueError:
        return 2**64


def _is_measured(argument: Sequence[Token], parameters: Mapping[str, Any]) -> bool:
    """Whether an end is made of properties, size() and length(), and sums of them with short whole numbers."""
    index = 0
    while index < len(argument):
        piece = argument[index]
        if piece.names and piece.text.lower() in MEASURES and _at(argument, index + 1).text == "(":
            index = _arguments(argument, index + 1)[1]
        elif piece.names and _at(argument, index + 1).text == ".":
            index = _dotted(argument, index)[1]
            if _at(argument, index).text == "(":
                return False
        elif (piece.kind == "number" and number(piece.text) <= LONGEST_RANGES) or piece.text in ("+", "-"):
            index += 1
        elif piece.text == "$" and abs(_whole(argument[index : index + 2], parameters) or 2**64) <= LONGEST_RANGES:
            index += 2
        else:
            return False
    return bool(argument)


def _check_reduce(pieces: Sequence[Token]) -> None:
    """Refuse a text or list that is joined to itself again and again: it doubles at every step."""
    for index in range(len(pieces)):
        if not _calls(pieces, index, "reduce"):
            continue
        name, equals, begin = (_at(pieces, index + 2 + offset) for offset in range(3))
        if equals.text != "=" or begin.kind == "number":
            continue
        body = list(_body(pieces, index + 1))
        mentions = 0
        for place, piece in enumerate(body):
            if piece.is_word(*_BRANCH):
                mentions = 0
            elif piece.names and piece.text == name.text and not _looked_into(body, place):
                mentions += 1
            if mentions > 1:
                raise StoreInputError(
                    "reduce must not join what it gathers to itself, which doubles at every step, but got "
                    f"{name.text!r} twice. Name it once, or begin with a number."
                )


def _looked_into(body: Sequence[Token], place: int) -> bool:
    """Whether what stands here is only measured, searched or asked for a part."""
    before, after = _at(body, place - 1), _at(body, place + 1)
    measured = before.text == "(" and _at(body, place - 2).text.lower() in MEASURES
    return measured or before.is_word("IN") or after.text in (".", "[")


def _body(pieces: Sequence[Token], start: int) -> Iterator[Token]:
    """What stands behind the bar of a reduce whose bracket opens here."""
    depth, inside = 0, False
    for piece in pieces[start:]:
        if piece.kind == "sign":
            depth += (piece.text in _OPENING) - (piece.text in _CLOSING)
        if depth == 0:
            return
        if inside:
            yield piece
        inside = inside or (depth == 1 and piece.text == "|")


def _calls(pieces: Sequence[Token], index: int, function: str) -> bool:
    piece = pieces[index]
    return piece.names and piece.text.lower() == function and _at(pieces, index + 1) == Token("sign", "(")


def _arguments(pieces: Sequence[Token], start: int) -> tuple[list[list[Token]], int]:
    """What stands between the bracket that opens here and its end, parted at the commas; and what comes after it."""
    arguments: list[list[Token]] = [[]]
    depth = 0
    for index in range(start, len(pieces)):
        piece = pieces[index]
        if piece.kind == "sign":
            depth += (piece.text in _OPENING) - (piece.text in _CLOSING)
        if depth == 0:
            return arguments, index + 1
        if depth == 1 and piece.text == "," and piece.kind == "sign":
            arguments.append([])
        elif index > start:
            arguments[-1].append(piece)
    return arguments, len(pieces)


def _at(pieces: Sequence[Token], index: int) -> Token:
    return pieces[index] if 0 <= index < len(pieces) else NONE
