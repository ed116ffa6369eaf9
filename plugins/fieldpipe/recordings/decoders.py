"""Which decoder reads a topic. A new encoding is a new line here."""

from __future__ import annotations

from fieldpipe.recordings import images
from fieldpipe.recordings.decode import CdrDecoder
from fieldpipe.recordings.jsonplan import compile_json
from fieldpipe.recordings.jsonrows import JsonDecoder
from fieldpipe.recordings.plan import Shape, compile_plan
from fieldpipe.recordings.records import Schema, Topic
from fieldpipe.recordings.ros2msg import parse
from fieldpipe.recordings.typetree import SchemaError

MAX_TEXT = 1024 * 1024  # bytes of a schema; real ones have a few thousand

Decoder = CdrDecoder | JsonDecoder


def decoder_for(topic: Topic) -> Decoder:
    """A decoder of the topic's payloads. Raises SchemaError with the reason why there is none."""
    if topic.defect:
        raise SchemaError(topic.defect)
    schema = topic.schema
    match topic.encoding, schema.encoding if schema else "":
        case "cdr", "ros2msg":
            assert schema is not None
            return _ros2(_bounded(schema))
        case "json", "jsonschema":
            assert schema is not None
            return JsonDecoder(compile_json(_bounded(schema).data))
        case "json", "":
            return JsonDecoder(compile_json())
        case encoding, language:
            raise SchemaError(f"message encoding {encoding!r} with schema encoding {language!r} is not supported")


def picture_kind(topic: Topic) -> str | None:
    """`compressed` or `raw` for topics of pictures."""
    name = topic.schema.name.replace("/msg/", "/") if topic.schema and topic.encoding == "cdr" else ""
    return "compressed" if name in images.COMPRESSED else "raw" if name in images.RAW else None


def _bounded(schema: Schema) -> Schema:
    if len(schema.data) > MAX_TEXT:
        raise SchemaError(f"the schema has {len(schema.data)} bytes, more than the {MAX_TEXT} that are accepted")
    return schema


def _ros2(schema: Schema) -> CdrDecoder:
    try:
        text = schema.data.decode()
    except UnicodeDecodeError as error:
        raise SchemaError("the schema is not UTF-8") from error
    is_picture = schema.name.replace("/msg/", "/") in images.COMPRESSED | images.RAW
    return CdrDecoder(compile_plan(parse(schema.name, text), Shape(binary=images.FIELD if is_picture else None)))
