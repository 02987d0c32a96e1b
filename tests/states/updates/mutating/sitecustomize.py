"""Breaks one rule of a program that is started with this directory on PYTHONPATH.

MUTATION says which: a JSON object with a module, and a piece of its source with what stands there instead. Whoever
imports the module gets the changed one; the files stay as they are.
"""

import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType


class _Mutated(importlib.machinery.SourceFileLoader):
    """Loads the changed source."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path).decode()
        # What is not there, or there twice, would break nothing, or more than was meant.
        assert source.count(_mutation["old"]) == 1, f"{fullname} has not once: {_mutation['old']}"
        code = compile(source.replace(_mutation["old"], _mutation["new"]), path, "exec", dont_inherit=True)
        assert isinstance(code, CodeType)
        return code


class _Finder:
    """Finds the one module, as everybody else finds it, and has it loaded changed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _mutation["module"]:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = _Mutated(fullname, spec.origin)
        return spec


if "MUTATION" in os.environ:
    _mutation = json.loads(os.environ["MUTATION"])
    sys.meta_path.insert(0, _Finder())
