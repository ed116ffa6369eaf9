"""Protobuf cell by cell against mcap-protobuf-support, over schemas and messages of every kind."""

import random
from itertools import pairwise

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldpipe.recordings.executor import Why
from fieldpipe.recordings.plan import Shape
from fieldpipe.recordings.protorows import ProtobufDecoder
from fieldpipe.recordings.protoschema import compile_protobuf
from tests.unit.recordings import agreement, protobufs

# Google's parser hides numbers that an enum does not name, and reads members of a oneof that others have replaced; in
# proto3 it refuses texts that are not UTF-8.
COMPARABLE = {
    "syntaxes": ("proto2",),
    "labels": ("one", "list", "map"),
    "scalars": tuple(kind for kind in protobufs.SCALARS if kind != protobufs.Field.TYPE_ENUM),
}

many = settings(max_examples=300, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 2**32)


@many
@given(protobufs.files(), seeds)
def test_cells_are_what_the_official_decoder_reads(file: FileDescriptorProto, seed: int) -> None:
    decode, chance = protobufs.official(file), random.Random(seed)
    writers = [decode(b""), protobufs.official(protobufs.repacked(file))(b"")]
    payloads = [protobufs.payload(chance.choice(writers), chance, 1 + index % 3) for index in range(6)]

    decoder = ProtobufDecoder(compile_protobuf(protobufs.ROOT, protobufs.described(file)))

    assert list(decoder.plan.columns) == protobufs.columns(decode(b"").DESCRIPTOR)
    assert agreement.rows(decoder, *payloads) == [protobufs.expected(decode(payload)) for payload in payloads]
    assert not decoder.has_more


@many
@given(protobufs.files(**COMPARABLE), seeds)
def test_damaged_payloads_are_refused_where_google_refuses_them_and_read_the_same_otherwise(
    file: FileDescriptorProto, seed: int
) -> None:
    decode, chance = protobufs.official(file), random.Random(seed)
    decoder = ProtobufDecoder(compile_protobuf(protobufs.ROOT, protobufs.described(file)))
    whole = protobufs.payload(decode(b""), chance, 2)

    for payload in (damaged(whole, chance) for _ in range(6)):
        try:
            message = decode(payload)
        except DecodeError:
            assert protobufs.read(decoder, payload) == ([], Why.UNDECODABLE)
        else:
            more = Why.MORE if has_unknown(message) else None
            assert protobufs.read(decoder, payload) == ([protobufs.expected(message)], more)


@many
@given(protobufs.files(), seeds)
def test_both_executors_agree_whatever_the_payload_and_the_shape(file: FileDescriptorProto, seed: int) -> None:
    chance = random.Random(seed)
    empty = protobufs.official(file)(b"")
    payloads = [damaged(protobufs.payload(empty, chance), chance) for _ in range(6)]
    paths = frozenset(protobufs.columns(empty.DESCRIPTOR))

    for shape in (Shape(explode=paths), Shape(base64=True, binary=chance.choice(sorted(paths)))):
        plan = compile_protobuf(protobufs.ROOT, protobufs.described(file), shape)
        agreement.converted(ProtobufDecoder(plan, formula_safe=chance.random() < 0.5), payloads)


def damaged(payload: bytes, chance: random.Random) -> bytes:
    """Pieces of a payload, some of them changed, left out or repeated."""
    cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(chance.randrange(4)))
    pieces = [payload[start:end] for start, end in pairwise([0, *cuts, len(payload)])]
    for index, piece in enumerate(pieces):
        if chance.random() < 0.3:
            pieces[index] = chance.choice((b"", piece * 2, piece[:-1], chance.randbytes(1) + piece[1:]))
    return b"".join(pieces)


def has_unknown(message: Message) -> bool:
    """Whether a message, or one inside it, holds fields that its schema does not name."""
    values = [value for field, value in message.ListFields() if field.message_type]
    inner = [each for value in values for each in ([value] if isinstance(value, Message) else value)]
    return len(UnknownFieldSet(message)) > 0 or any(map(has_unknown, inner))
