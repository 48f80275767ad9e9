"""The list of where KServe's SDK is used says all of it."""

import ast
import re
from pathlib import Path

import predictor
from predictor import server

PACKAGE = Path(predictor.__file__).parent
_ENTRY = re.compile(r"^(\S+\.py(?:, \S+\.py)*)\n((?: {4}.*\n)+)", re.MULTILINE)
# Every path of the list, and what is said of it.
ENTRIES = {
    path: text for paths, text in _ENTRY.findall(server.__doc__) for path in paths.split(", ")
}


def taken(path):
    """What a module imports of the SDK, and which of it its classes are subclasses of."""
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
        if "kserve" in (getattr(node, "module", None) or alias.name).split(".")
    }
    bases = {
        base.id
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in names
    }
    return names, bases


def test_every_module_that_imports_the_sdk_is_listed_with_what_it_subclasses():
    subclassed = set()
    for path in PACKAGE.rglob("*.py"):
        names, bases = taken(path)
        where = path.relative_to(PACKAGE).as_posix()
        assert not names or where in ENTRIES, where
        for base in bases:
            assert re.search(rf"\b{base}\b", ENTRIES[where]), (where, base)
        subclassed |= bases
    assert {"Model", "ModelServer", "RESTServer", "GRPCServer"} <= subclassed


def test_every_module_that_is_listed_is_there():
    assert len(ENTRIES) > 10
    assert all((PACKAGE / path).is_file() for path in ENTRIES)
