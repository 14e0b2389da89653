"""The slow tests of a package run where the package changed."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from changed_tests import test_folders as folders  # noqa: E402


def test_a_changed_package_names_the_folder_that_mirrors_it() -> None:
    changed = ["training/trainer/train.py", "tests/stores/texts/test_forget.py", "README.md"]
    assert folders(changed) == ["tests/stores/texts", "tests/training/trainer"]


def test_what_all_tests_depend_on_names_all_of_them() -> None:
    assert folders(["stores/types.py", "tests/support/fakes.py"]) == ["tests"]
