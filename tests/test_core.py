"""The compiled module says what it takes and gives, to people and to type checkers."""

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import gecko_kedro
from gecko_kedro.retrieval import levels

_PACKAGE = Path(gecko_kedro.__file__).parent
STUB = ast.parse((_PACKAGE / "_core.pyi").read_text("utf-8"))


@pytest.fixture(scope="module")
def core() -> ModuleType:
    found = levels.extension(levels.available_levels()[0])
    if found is None:
        pytest.skip("the extension is not built")
    return found


def public(thing: Any) -> dict[str, Any]:
    return {name: member for name, member in vars(thing).items() if not name.startswith("_")}


def declared(nodes: list[ast.stmt]) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name: node for node in nodes if isinstance(node, kinds)}


def test_every_function_and_class_of_the_extension_is_explained(core: ModuleType) -> None:
    assert "gecko_kedro.retrieval" in (core.__doc__ or "")
    for name, member in public(core).items():
        members = public(member) if inspect.isclass(member) else {}
        for where, one in {name: member, **members}.items():
            text = re.sub(r"^\w+\(.*\n", "", inspect.getdoc(one) or "")  # pybind11's signature
            assert len(text.strip()) > 10, f"{where} has no docstring"


def test_the_stub_has_every_name_of_the_extension_and_no_other(core: ModuleType) -> None:
    stubs = declared(STUB.body)
    assert stubs.keys() == public(core).keys()
    for name, member in public(core).items():
        if inspect.isclass(member):
            names = declared(stubs[name].body).keys() - {"__init__"}
            assert names == public(member).keys(), name


def test_the_stub_has_the_arguments_of_every_function(core: ModuleType) -> None:
    def check(name: str, member: Any, stub: ast.FunctionDef | ast.ClassDef) -> None:
        signature = re.match(r"\w+\((.*)\) ->", member.__doc__ or "")
        if isinstance(stub, ast.ClassDef) or isinstance(member, property):
            return
        assert signature, name
        found = [word for word in re.findall(r"(\w+): ", signature[1]) if word != "self"]
        assert [arg.arg for arg in stub.args.args if arg.arg != "self"] == found, name

    for name, stub in declared(STUB.body).items():
        member = getattr(core, name)
        check(name, member, stub)
        if isinstance(stub, ast.ClassDef):
            for method, of_method in declared(stub.body).items():
                check(f"{name}.{method}", getattr(member, method), of_method)


def test_the_package_says_that_it_is_typed() -> None:
    assert (_PACKAGE / "py.typed").is_file()
