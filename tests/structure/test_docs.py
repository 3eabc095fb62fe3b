"""What the documents name is there: paths, commands, variables, links, reasons, and what the code writes."""

import ast
import re
from pathlib import Path

import pytest

from tests.structure.commands import ROOT, VARIABLE, fault_of, variables
from tests.structure.documents import Document, documents
from tests.structure.test_walk import STEPS
from tools.docs import blocks
from tools.docs.contract import reasons
from weir import errors
from weir.errors.calls import CallError
from weir.errors.reading import _class_of
from weir_core.config import Settings

DOCUMENTS = documents()
BY_NAME = {str(document): document for document in DOCUMENTS}
TOP = {path.name for path in ROOT.iterdir()}
# Places in prose that stand for what the reader has.
PLACEHOLDER = re.compile(r"NAME|DOMAIN")
PATH = re.compile(r"[\w.-]+(/[\w.*-]+)*/?")
SUFFIXES = (".py", ".proto", ".md", ".toml", ".yml")


def paths_in(document: Document) -> list[str]:
    """The words that name a file or folder of the repository."""
    words = [word for word in document.spans if PATH.fullmatch(word) and not PLACEHOLDER.search(word)]
    return [word for word in words if word.split("/")[0] in TOP or word.endswith(SUFFIXES)]


def is_there(name: str) -> bool:
    return any(ROOT.glob(name.rstrip("/"))) or any(
        path.match(name) for top in ("sdk", "server", "workers", "tests") for path in (ROOT / top).rglob("*")
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
class TestEachDocument:
    def test_every_path_exists(self, document: Document):
        own = set(document.program_files)
        assert [name for name in paths_in(document) if name not in own and not is_there(name)] == []

    def test_every_command_and_option_exists(self, document: Document):
        faults = {" ".join(words): fault_of(words) for words in document.calls("weir")}
        assert {call: fault for call, fault in faults.items() if fault} == {}

    def test_every_make_target_exists(self, document: Document):
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {words[0] for words in document.calls("make")} <= targets

    def test_every_variable_is_one_that_weir_reads(self, document: Document):
        assert set(VARIABLE.findall(document.text)) <= variables()

    def test_every_local_link_leads_somewhere(self, document: Document):
        for link in document.links:
            file, _, anchor = link.partition("#")
            if file.startswith(("http://", "https://")):
                continue
            target = document.path.parent / file if file else document.path
            assert target.exists(), link
            if anchor:
                assert anchor in Document(target.resolve()).anchors, link

    def test_every_python_block_is_python(self, document: Document):
        for kind, code in document.fences:
            if kind == "python":
                compile(code, str(document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


class TestWhatTheCodeWrites:
    def test_nothing_is_stale(self):
        assert blocks.stale() == []

    def test_every_block_stands_in_a_document(self):
        assert blocks.used() == set(blocks.BLOCKS)

    def test_every_setting_stands_in_the_table(self):
        rows = re.findall(r"^\| `(WEIR_\w+)` \|.*\| (.*) \|$", BY_NAME["docs/operate.md"].text, re.MULTILINE)
        assert [name for name, _ in rows] == [f"WEIR_{name.upper()}" for name in Settings.model_fields]
        assert all(said for _, said in rows)


class TestErrors:
    def rows(self) -> dict[str, tuple[str, str]]:
        """Status and class by reason, as the table has them."""
        found = re.findall(
            r"^\| `([A-Z_]+)` \| ([A-Z_]+) \| `(\w+)` \| \S.* \|$",
            BY_NAME["docs/reference.md"].text,
            re.MULTILINE,
        )
        assert len({reason for reason, _, _ in found}) == len(found)
        return {reason: (status, kind) for reason, status, kind in found}

    def test_every_reason_stands_in_the_table_with_its_status(self):
        wanted = {reason: said.partition(":")[0] for reason, said in reasons().items()}
        assert {reason: status for reason, (status, _) in self.rows().items()} == wanted

    def test_the_class_is_the_one_that_the_sdk_raises(self):
        for reason, (status, kind) in self.rows().items():
            named: type[CallError] = getattr(errors, kind)
            assert _class_of(status, reason) is named, reason


def test_the_way_of_a_task_is_the_one_that_is_walked():
    text = BY_NAME["docs/architecture.md"].text
    way = re.findall(r"^\| \d+ \| `([^`]+)` \|", text.partition("## Claims")[0], re.MULTILINE)
    assert way == [file for file, _ in STEPS]


def test_the_import_rules_are_those_that_are_held():
    rules = re.findall(r'^name = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    said = BY_NAME["docs/architecture.md"].text.partition("## What may import what")[2]
    assert re.findall(r"^- (.+)\.$", said, re.MULTILINE) == rules


def test_what_messages_refer_to_is_there():
    sources = [path for top in ("sdk", "server", "workers") for path in (ROOT / top).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r"docs/\w+\.md", path.read_text())}
    assert named
    assert {name for name in named if not Path(ROOT / name).exists()} == set()


def test_the_log_lines_that_are_quoted_are_written():
    told = BY_NAME["docs/operate.md"].part("When a part dies")
    quoted = {span for span in re.findall(r"`([^`]+)`", told) if " " in span and not span.startswith("weir ")}
    sources = "".join(
        path.read_text() for top in ("server", "workers") for path in (ROOT / top).rglob("*.py")
    )
    assert len(quoted) > 3
    assert {text for text in quoted if text not in sources} == set()


def test_the_readme_leads_to_every_document():
    linked = set(BY_NAME["README.md"].links)
    assert {name for name in BY_NAME if name.startswith("docs/")} <= linked
