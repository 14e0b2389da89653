"""The wording of prompts: one folder a size of model, one file a role.

A file is a Jinja template: the system turn, a line of three dashes, the user turn, and where the
answer's beginning is given, another such line and that. What may stand in it is said in
docs/prompts.md. A folder of one's own (`PATLM_PROMPTS`) with the same names
replaces single files:

    my-prompts/large/style.j2
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..budget import BUDGETS
from ..errors import PromptError

if TYPE_CHECKING:
    from jinja2 import Environment, Template

FILES = ("style.j2", "preference.j2", "reasoner.j2", "merged.j2", "integrate.j2")
"""The files of a set: `reasoner` serves trajectories without a file of their own."""

_FALLBACK = {"large": "medium"}
"""The set that has the files which a set lacks: models of both sizes follow the same frames."""

_TURN = re.compile("^---$", re.MULTILINE)
# Not to be guessed, so no text of a user can begin a turn.
_MARK = f"\x1e{secrets.token_hex(8)}\x1e"
_PACKAGED = Path(__file__).parent


@dataclass(frozen=True)
class PromptSet:
    """The prompts for one size of language model.

    Attributes:
        name: Name of the set.
        sources: Text of each file.
    """

    name: str
    sources: Mapping[str, str] = field(repr=False)

    @cached_property
    def version(self) -> str:
        """Name of the set, and a hash of its files."""
        said = "\x1f".join(f"{name}\x1f{self.sources[name]}" for name in sorted(self.sources))
        return f"{self.name}@{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    def render(self, role: str, values: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return the system turn and the user turn of a role, and how the answer begins.

        Args:
            role: Name of a file, without its ending.
            values: What the file's placeholders stand for.

        Raises:
            PromptError: The file names a placeholder that does not exist, or has not two or three
                parts.
        """
        from jinja2 import TemplateError

        try:
            rendered = self._template(role).render(values)
        except TemplateError as error:
            raise PromptError(
                f"the prompt {self.name}/{role}.j2 can't be used: {error}; it may use "
                f"{', '.join(sorted(values))}"
            ) from error
        parts = [part.strip() for part in rendered.split(_MARK)]
        if len(parts) not in (2, 3):
            raise PromptError(
                f"the prompt {self.name}/{role}.j2 must hold the system turn, a line of three "
                "dashes, and the user turn, and may hold another such line and the beginning of "
                f"the answer; it has {len(parts) - 1} such lines"
            )
        system, user, begin = [*parts, ""][:3]
        return system, user, begin and f"{begin}\n\n"

    def _template(self, role: str) -> Template:
        # Jinja's own cache takes as long as a short prompt.
        if role not in self._templates:
            template = self._environment.get_template(f"{role}.j2")
            # Each rendering copies them, which out of a chain of mappings is slow.
            template.globals = dict(template.globals)
            self._templates[role] = template
        return self._templates[role]

    @cached_property
    def _templates(self) -> dict[str, Template]:
        return {}

    @cached_property
    def _environment(self) -> Environment:
        # Imported here: importing this package must stay cheap.
        from jinja2 import DictLoader, Environment, StrictUndefined

        marked = {name: _TURN.sub(_MARK, source) for name, source in self.sources.items()}
        return Environment(
            loader=DictLoader(marked),  # never from the disk while a node runs
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            autoescape=False,  # prompts are no HTML; users' texts are made harmless before
        )


@cache
def prompt_set(name: str, folder: Path | None = None) -> PromptSet:
    """Return a set of prompts; reads its files once a process.

    Args:
        name: `small`, `medium` or `large`.
        folder: Folder with files that replace ours, such as `large/style.j2`.

    Raises:
        PromptError: The folder does not exist, or holds a file that would not be used.
    """
    if folder is not None:
        folder = folder.expanduser()
        _check(folder)
    names = [each for each in (name, _FALLBACK.get(name)) if each is not None]
    places = [place / each for each in names for place in (folder, _PACKAGED) if place is not None]
    sources = {}
    for file in FILES:
        found = next(path for place in places if (path := place / file).is_file())
        sources[file] = found.read_text(encoding="utf-8")
    return PromptSet(name, sources)


def _check(folder: Path) -> None:
    names = [f"{name}/{file}" for name in BUDGETS for file in FILES]
    if not folder.is_dir():
        raise PromptError(
            f"there is no folder of prompts {folder}: make it, or unset PATLM_PROMPTS"
        )
    found = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.j2"))]
    unknown = [name for name in found if name not in names]
    if unknown or not found:
        what = f"{unknown[0]} would not be used" if unknown else "no prompt is in it"
        raise PromptError(f"the folder of prompts {folder}: {what}; it may hold {', '.join(names)}")
