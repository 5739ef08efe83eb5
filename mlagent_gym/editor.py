"""The editor: a second model that edits and explains files on the agent's behalf.

Source: the actions "Edit Script (AI)" and "Understand File" of MLAgentBench
(arXiv 2310.03302, section 2.2).
"""

from __future__ import annotations

import functools
import importlib.util
import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlagent_gym.endpoint import Completion, EndpointConfig, complete
from mlagent_gym.errors import ConfigError, EndpointError

__all__ = ["Editor", "make_editor"]

_TEMPLATES = Path(__file__).parent / "templates" / "editor" / "prompts.toml"
_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_MAX_SHOWN_CHARS = 100_000


@dataclass(frozen=True)
class Editor:
    """A model that is asked about files; what it answered is kept in a folder."""

    config: EndpointConfig
    cache: Path

    def edit(self, name: str, content: str, instruction: str) -> Completion:
        """Return the whole text of a file after an edit described in words.

        Raises
        ------
        EndpointError
            There was no answer, or none with a file in it.
        """
        answer = self._ask("edit", name=name, content=content, instruction=instruction)
        text = _file_in(answer.text)
        if not text.strip():
            raise EndpointError(
                f"The answer of {self.config.model} has no file in it."
                " Try again, or choose a model that follows instructions."
            )
        return replace(answer, text=text)

    def understand(self, name: str, content: str, question: str) -> Completion:
        """Return what a file says about a question; of a long file, its beginning.

        Raises
        ------
        EndpointError
            There was no answer.
        """
        shown = content[:_MAX_SHOWN_CHARS]
        answer = self._ask("understand", name=name, content=shown, question=question)
        if len(shown) == len(content):
            return answer
        note = f"(Only the first {len(shown)} of {len(content)} characters were read.)"
        return replace(answer, text=f"{answer.text}\n\n{note}")

    def _ask(self, what: str, **values: str) -> Completion:
        text = string.Template(_templates()[what]).substitute(values).strip()
        return complete(self.config, [{"role": "user", "content": text}], self.cache)


def make_editor(
    editor: Editor | EndpointConfig | Mapping[str, Any] | str | None, cache: Path
) -> Editor | None:
    """Return the editor that was asked for.

    Parameters
    ----------
    editor
        An editor, an endpoint or its values; ``"auto"``: the one that ``MLAGENT_EDITOR_*``
        variables name, if they do; None: none.
    cache
        Folder of its answers.

    Raises
    ------
    ConfigError
        It cannot be used.
    """
    if editor is None or isinstance(editor, Editor):
        return editor
    config: EndpointConfig | None
    if isinstance(editor, EndpointConfig):
        config = editor
    elif isinstance(editor, Mapping):
        config = EndpointConfig.from_values(editor)
    elif editor == "auto":
        config = EndpointConfig.from_environment()
    else:
        raise ConfigError(f"There is no editor {editor!r}; known: auto, or an endpoint.")
    if config is None:
        return None
    if importlib.util.find_spec("openai") is None:
        raise ConfigError("Editors need the openai package: pip install 'mlagent-gym[endpoint]'.")
    return Editor(config, cache)


@functools.cache
def _templates() -> dict[str, str]:
    return tomllib.loads(_TEMPLATES.read_text(encoding="utf-8"))


def _file_in(answer: str) -> str:
    """Return the longest code block of an answer; without one, all of it."""
    blocks: list[str] = _FENCED.findall(answer)
    text = max(blocks, key=len) if blocks else answer
    return text if text.endswith("\n") else text + "\n"
