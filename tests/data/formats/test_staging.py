"""Files of a user's folder are replaced together or not at all."""

from __future__ import annotations

import pytest
from labelme_samples import listing

from paddlex.data.formats.staging import StagedFiles


def test_commit_writes_everything_and_leaves_no_trace(tmp_path):
    with StagedFiles(tmp_path) as staged:
        staged.add_text("a", tmp_path / "one.txt")
        staged.add_json({"b": 1}, tmp_path / "new" / "two.json")
        staged.commit()
    assert sorted(listing(tmp_path)) == ["new", "new/two.json", "one.txt"]
    assert (tmp_path / "new" / "two.json").read_text() == '{"b": 1}\n'


def test_without_commit_nothing_happens(tmp_path):
    with StagedFiles(tmp_path) as staged:
        staged.add_text("a", tmp_path / "one.txt")
    assert listing(tmp_path) == {}


def test_first_backup_is_the_true_original(tmp_path):
    target = tmp_path / "one.txt"
    target.write_text("original")
    for text in ("second", "third"):
        with StagedFiles(tmp_path) as staged:
            staged.add_text(text, target)
            staged.commit()
    assert target.read_text() == "third"
    assert (tmp_path / "one.txt.bak").read_text() == "original"


def test_equal_content_needs_no_backup(tmp_path):
    (tmp_path / "one.txt").write_text("same")
    with StagedFiles(tmp_path) as staged:
        staged.add_text("same", tmp_path / "one.txt")
        staged.commit()
    assert sorted(listing(tmp_path)) == ["one.txt"]


def test_failure_in_the_middle_takes_all_back(tmp_path):
    (tmp_path / "one.txt").write_text("original")
    (tmp_path / "blocked.txt").mkdir()
    before = listing(tmp_path)
    with pytest.raises(OSError), StagedFiles(tmp_path) as staged:
        staged.add_text("changed", tmp_path / "one.txt")
        staged.add_text("new", tmp_path / "deep" / "er" / "two.txt")
        staged.add_text("never", tmp_path / "blocked.txt")
        staged.commit()
    assert listing(tmp_path) == before


def test_sources_from_elsewhere_are_copied_not_moved(tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(b"photo")
    with StagedFiles(tmp_path) as staged:
        staged.add(source, tmp_path / "images" / "copy.bin")
        staged.commit()
    assert source.read_bytes() == (tmp_path / "images" / "copy.bin").read_bytes() == b"photo"
