"""The page and the JSON schema of episodes say what the code says."""

import json
import re
from pathlib import Path

import pytest
from patlm.stores.episodes.schema import (
    DraftRecord,
    Episode,
    EvidenceRecord,
    Feedback,
    Group,
    IterationRecord,
    Sample,
    SamplingSettings,
    TargetRecord,
)
from pydantic import BaseModel

DOCS = Path(__file__).parents[3] / "docs"
SCHEMA = DOCS / "episode.schema.json"


def test_the_schema_is_that_of_the_record() -> None:
    expected = json.dumps(Episode.model_json_schema(), indent=1) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == expected, (
        "write it anew: python -c 'import json; from patlm.stores import Episode; "
        f"print(json.dumps(Episode.model_json_schema(), indent=1))' > {SCHEMA.name}"
    )


@pytest.mark.parametrize(
    "model",
    [
        *(Episode, Sample, Group, Feedback, TargetRecord, SamplingSettings, IterationRecord),
        DraftRecord,
    ],
)
def test_every_key_is_on_the_page(model: type[BaseModel]) -> None:
    page = (DOCS / "episodes.md").read_text(encoding="utf-8")
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", page))))
    assert set(model.model_fields) <= words, set(model.model_fields) - words


def test_every_field_of_the_record_says_what_it_is() -> None:
    models = (Episode, Sample, Group, Feedback, EvidenceRecord, IterationRecord, TargetRecord)
    for model in (*models, DraftRecord):
        assert all(field.description for field in model.model_fields.values()), model
