"""What disappears from a bucket by itself, as S3's lifecycle document says it. Results never do.

The document is changed as XML, not through an SDK's classes: those drop what they do not know (a size in a filter,
say), and somebody else's rule would come back deleting more than it was meant to.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

OURS = "fieldpipe-"  # how the ids of our rules start; all others are somebody else's

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, slots=True)
class Rule:
    """Delete what lies under `prefix` after `days`, or, with `uploads`, what was begun in parts and never finished."""

    id: str
    prefix: str
    days: int
    uploads: bool = False


def rules_of(document: bytes | None) -> set[Rule | None]:
    """Our rules of a lifecycle document; None stands for one that was changed into something else."""
    return {_parsed(element) for element in _rules(document) if _is_ours(element)}


def with_rules(document: bytes | None, rules: Iterable[Rule]) -> bytes:
    """The document with exactly these rules as ours, and everybody else's as they were."""
    root = ET.Element("LifecycleConfiguration", xmlns=_NAMESPACE)
    for element in _rules(document):
        if not _is_ours(element):
            root.append(element)
    for rule in sorted(rules, key=lambda rule: rule.id):
        root.append(_element(rule))
    return ET.tostring(root)


def _rules(document: bytes | None) -> list[ET.Element]:
    """The rules without XML namespaces, which stores write or leave out as they like."""
    if not document:
        return []
    root = ET.fromstring(document)  # noqa: S314 -- the store's own words, which its SDK parses in the same way
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root.findall("Rule")


def _is_ours(element: ET.Element) -> bool:
    return (element.findtext("ID") or "").startswith(OURS)


def _parsed(element: ET.Element) -> Rule | None:
    uploads = element.find("AbortIncompleteMultipartUpload") is not None
    days = element.findtext("AbortIncompleteMultipartUpload/DaysAfterInitiation" if uploads else "Expiration/Days")
    prefix = element.findtext("Filter/Prefix") or element.findtext("Prefix") or ""
    rule = Rule(element.findtext("ID") or "", prefix, int(days or 0), uploads=uploads)
    return rule if _comparable(element) == _comparable(_element(rule)) else None


def _comparable(element: ET.Element) -> list[tuple[str, str]]:
    """Names and texts that mean something: stores add empty elements, and put them in an order of their own."""
    said = ((part.tag, (part.text or "").strip()) for part in element.iter())
    return sorted((tag, text) for tag, text in said if text)


def _element(rule: Rule) -> ET.Element:
    element = ET.Element("Rule")
    ET.SubElement(element, "ID").text = rule.id
    ET.SubElement(element, "Status").text = "Enabled"
    ET.SubElement(ET.SubElement(element, "Filter"), "Prefix").text = rule.prefix
    action, unit = ("AbortIncompleteMultipartUpload", "DaysAfterInitiation") if rule.uploads else ("Expiration", "Days")
    ET.SubElement(ET.SubElement(element, action), unit).text = str(rule.days)
    return element
