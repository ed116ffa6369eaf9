"""Lifecycle documents: ours are told from others', and others' come back as they were."""

import xml.etree.ElementTree as ET

import pytest

from fieldpipe.events.lifecycle import Rule, rules_of, with_rules

REPORTS = Rule("fieldpipe-reports", "_runs/", 30)
UPLOADS = Rule("fieldpipe-uploads", "", 7, uploads=True)
# With what no SDK class knows: without its size, the rule would delete everything.
FOREIGN = """<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>theirs</ID>
<Filter><And><Prefix>a/</Prefix><ObjectSizeGreaterThan>500</ObjectSizeGreaterThan></And></Filter>
<Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"""


def texts(document: bytes) -> list[tuple[str, str]]:
    parts = ET.fromstring(document).iter()
    return [(part.tag.rpartition("}")[2], (part.text or "").strip()) for part in parts]


def test_what_is_written_is_read() -> None:
    assert rules_of(with_rules(None, [REPORTS, UPLOADS])) == {REPORTS, UPLOADS}


def test_rule_of_others_comes_back_whole() -> None:
    document = with_rules(FOREIGN.encode(), [REPORTS])

    assert rules_of(document) == {REPORTS}
    assert ("ObjectSizeGreaterThan", "500") in texts(document)
    assert texts(with_rules(document, [])) == texts(FOREIGN.encode())


def test_same_rules_give_the_same_document() -> None:
    once = with_rules(FOREIGN.encode(), [UPLOADS, REPORTS])

    assert with_rules(once, [REPORTS, UPLOADS]) == once


@pytest.mark.parametrize(
    "change",
    [
        ("<Status>Enabled", "<Status>Disabled"),
        ("<Days>30</Days>", "<Days>3</Days>"),
        ("<Prefix>_runs/</Prefix>", "<Prefix></Prefix>"),
        (
            "</Expiration>",
            "</Expiration><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
        ),
    ],
)
def test_changed_rule_of_ours_is_not_taken_for_right(change: tuple[str, str]) -> None:
    document = with_rules(None, [REPORTS]).decode()
    assert change[0] in document

    assert rules_of(document.replace(*change).encode()) != {REPORTS}


def test_bucket_without_document_has_no_rules() -> None:
    assert rules_of(None) == set()
