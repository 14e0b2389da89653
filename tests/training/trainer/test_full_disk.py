"""What libraries raise on a full disk is one error of ours."""

from pathlib import Path

import pytest
from patlm.training.errors import NotWritten
from patlm.training.trainer.quiet import quiet_training, writing_to
from raising import raises


def closes_a_file_that_is_full() -> None:
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        raise ValueError("I/O operation on closed file") from None


def ends_an_archive_that_is_full() -> None:
    try:
        raise RuntimeError("basic_ios::clear: iostream error")
    except RuntimeError as error:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos") from error


@pytest.mark.parametrize("fail", [closes_a_file_that_is_full, ends_an_archive_that_is_full])
def test_whatever_comes_of_a_full_disk_is_told(tmp_path: Path, fail: object) -> None:
    with raises(NotWritten, "not_written", tmp_path), writing_to(tmp_path):
        fail()  # type: ignore[operator]


@pytest.mark.parametrize("other", [ValueError("x"), RuntimeError("shape mismatch")])
def test_other_faults_are_raised_as_they_are(tmp_path: Path, other: Exception) -> None:
    with pytest.raises(type(other)), writing_to(tmp_path):
        raise other


def test_an_earlier_error_that_is_not_of_the_disk_hides_no_fault(tmp_path: Path) -> None:
    with pytest.raises(KeyError), writing_to(tmp_path):
        try:
            raise FileNotFoundError(2, "no cache")
        except FileNotFoundError:
            raise KeyError("a fault of ours") from None


def test_no_library_reports_on_a_training() -> None:
    from huggingface_hub import constants

    before = constants.HF_HUB_DISABLE_TELEMETRY
    with quiet_training():
        assert constants.HF_HUB_DISABLE_TELEMETRY
    assert before == constants.HF_HUB_DISABLE_TELEMETRY
