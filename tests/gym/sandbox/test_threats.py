"""The list of threats and the attacks name each other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ATTACKS = Path(__file__).parent / "attacks"


def test_every_threat_names_attacks_that_exist_and_every_attack_is_named() -> None:
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "docs/security.md").read_text().splitlines()
        if line.startswith("|")
    ]
    threats = rows[2:]
    assert len(threats) > 20
    attacks = {path.stem for path in ATTACKS.glob("*.py")} - {"breach"}
    named = set()
    for threat, _, cell in threats:
        words = re.findall(r"`([^`]+)`", cell)
        assert words, f"no attack for: {threat}"
        for word in words:
            if word.endswith(".py"):
                assert (ROOT / word).is_file() or (ATTACKS.parent / word).is_file(), word
            else:
                named.add(word)
    assert named == attacks
