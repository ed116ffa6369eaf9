"""Which decoder reads a topic. A new encoding is a new line here."""

from __future__ import annotations

from fieldpipe.recordings import ros1msg, ros2msg
from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.executor import Decoder
from fieldpipe.recordings.options import DEFAULT, Options
from fieldpipe.recordings.plan import Shape, Wire, compile_plan
from fieldpipe.recordings.records import Schema, Topic
from fieldpipe.recordings.sidecars import FIELD, kind_of
from fieldpipe.recordings.typetree import SchemaError, Struct

MAX_TEXT = 1024 * 1024  # bytes of a schema; real ones have a few thousand

_NO_SCHEMA = Schema("", "", b"")


def decoder_for(topic: Topic, options: Options = DEFAULT) -> Decoder:
    """A decoder of the topic's payloads. Raises SchemaError with the reason why there is none."""
    if topic.defect:
        raise SchemaError(topic.defect)
    schema = topic.schema or _NO_SCHEMA
    if len(schema.data) > MAX_TEXT:
        raise SchemaError(f"the schema has {len(schema.data)} bytes, more than the {MAX_TEXT} that are accepted")
    shape = Shape(
        binary=FIELD if kind_of(topic) else None,
        explode=frozenset(options.explode),
        base64=options.base64,
    )
    match topic.encoding, schema.encoding:
        case "cdr", "ros2msg":
            return _in_order(Wire.CDR, ros2msg.parse(schema.name, _text(schema)), shape, options)
        case "cdr", "ros2idl" | "omgidl" as language:
            return _in_order(Wire.CDR, _idl(schema, by_ros=language == "ros2idl"), shape, options)
        case "ros1", "ros1msg":
            return _in_order(Wire.ROS1, ros1msg.parse(schema.name, _text(schema)), shape, options)
        case "protobuf", "protobuf":
            return _protobuf(schema, shape, options)
        case "json", "jsonschema":
            return _json(schema, shape, options)
        case "json", "":
            return _json(_NO_SCHEMA, shape, options)
        case encoding, language:
            raise SchemaError(f"message encoding {encoding!r} with schema encoding {language!r} is not supported")


def _in_order(wire: Wire, type_: Struct, shape: Shape, options: Options) -> CdrDecoder:
    return CdrDecoder(compile_plan(type_, shape, wire=wire), formula_safe=options.formula_safe)


def _idl(schema: Schema, *, by_ros: bool) -> Struct:
    # imported here, as are the next: a small recording takes little longer than its imports
    from fieldpipe.recordings import ros2idl

    return ros2idl.parse(schema.name, _text(schema), by_ros=by_ros)


def _protobuf(schema: Schema, shape: Shape, options: Options) -> Decoder:
    from fieldpipe.recordings.protorows import ProtobufDecoder
    from fieldpipe.recordings.protoschema import compile_protobuf

    return ProtobufDecoder(compile_protobuf(schema.name, schema.data, shape), formula_safe=options.formula_safe)


def _json(schema: Schema, shape: Shape, options: Options) -> Decoder:
    from fieldpipe.recordings.jsonplan import compile_json
    from fieldpipe.recordings.jsonrows import JsonDecoder

    return JsonDecoder(compile_json(schema.data, shape), formula_safe=options.formula_safe)


def _text(schema: Schema) -> str:
    """Comments may be in any encoding, all else is ASCII."""
    return schema.data.decode(errors="replace")
