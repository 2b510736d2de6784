"""Words of the documents in Portuguese, from `words.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct

from shared import yaml_file
from shared.errors import Misconfigured
from shared.scoring.reason_words import Code

WORDS_FILE = Path(__file__).with_name("words.yaml")


class Unused(Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of fact that no decision uses."""

    text: str
    """Its words."""
    words: list[str]
    """English words that no name and no meaning of a feature has."""


class PacketWords(Struct, frozen=True, forbid_unknown_fields=True):
    """Words on how every decision comes about."""

    procedure: list[str]
    """Steps of a decision, in their order."""
    criteria: dict[str, str]
    """Facts that a decision rests on, by the part of the feature catalogue that holds them."""
    unused: list[Unused]
    """Facts that no decision uses."""
    outcomes: dict[str, str]
    """Statuses of the outcomes of a Pix."""
    documents: dict[str, str]
    """Kinds of documents that a suspicion rests on."""
    events: dict[str, str]
    """Events of a suspicion."""
    standings: dict[str, str]
    """Standings of a suspicion."""
    norms: dict[Code, str]
    """Source of each rule by its reason code, as `norm` of rules.yaml."""


@cache
def packet_words() -> PacketWords:
    """Return the words of `words.yaml`. Raises Misconfigured."""
    try:
        return msgspec.convert(yaml_file.read(WORDS_FILE), PacketWords)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise Misconfigured(f"{WORDS_FILE.name}: {error}") from error
