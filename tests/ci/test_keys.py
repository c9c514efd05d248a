"""What was built is kept under a key of all that it was built from."""

from pathlib import Path

from ci.paths import key_of


def test_a_key_stays_while_nothing_changes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    assert key_of(tmp_path, "flag") == key_of(tmp_path, "flag")


def test_a_key_changes_with_a_file_its_name_or_a_flag(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "a").write_text("1")
    before = {key_of(first), key_of(first, "flag")}
    (first / "a").write_text("2")
    before.add(key_of(first))
    (first / "a").rename(first / "b")
    before.add(key_of(first))
    assert len(before) == 4


def test_what_python_leaves_behind_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = key_of(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("x")
    assert key_of(tmp_path) == before


def test_a_key_does_not_depend_on_where_the_files_lie(tmp_path: Path) -> None:
    for clone in ("here", "there"):
        (tmp_path / clone / "node").mkdir(parents=True)
        (tmp_path / clone / "node" / "Containerfile").write_text("FROM scratch")
    assert key_of(tmp_path / "here" / "node") == key_of(tmp_path / "there" / "node")
