"""The state folder: whose it is, what in it is ours, and that nothing else in it is ever touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import SandboxError, UsageError
from harness.rollback import rollback
from harness.sandbox.identity import LEASH, Identity
from harness.sandbox.state import STATE, State, folder_of, folders, is_dead, read_state, state_root


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own, with a short name."""
    root = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("GAMEDAY_STATE_DIR", str(root))
    return root


def put(root: Path, name: str, *, supervisor: Identity, owner: Identity | None) -> State:
    """A sandbox's folder as its supervisor would have left it."""
    folder = root / name
    folder.mkdir()
    (folder / LEASH).touch()
    state = State(
        folder=folder,
        supervisor=supervisor,
        owner=owner,
        detached=owner is None,
        created=1.0,
        topology="x.yml",
        processes={"a.1": Identity(1, "0@other-boot")},
        ports=(20000,),
    )
    state.save()
    return state


def me() -> Identity:
    found = Identity.of(os.getpid())
    assert found
    return found


NOBODY = Identity(1, "0@another-boot")  # pid 1 lives, but is not the process that was meant


def test_a_state_is_read_as_it_was_saved(root: Path) -> None:
    """Saving and reading a state gives the same state."""
    state = put(root, "box-1", supervisor=me(), owner=None)
    assert read_state(root / "box-1") == state
    assert folders() == (root / "box-1",)
    assert folder_of("box-1") == folder_of(root / "box-1") == (root / "box-1").resolve()


@pytest.mark.parametrize(
    ("supervisor", "owner", "dead"),
    [
        (me(), me(), False),  # a run is on
        (me(), None, False),  # up on its own
        (me(), NOBODY, False),  # its supervisor is about to end it
        (NOBODY, me(), False),  # its harness will see to it
        (NOBODY, NOBODY, True),
        (NOBODY, None, True),
    ],
)
def test_a_sandbox_is_dead_when_nobody_is_left_to_end_it(
    root: Path, supervisor: Identity, owner: Identity | None, dead: bool
) -> None:
    """A sandbox whose supervisor or whose harness lives is not dead; a reused pid does not count as alive."""
    assert put(root, "box", supervisor=supervisor, owner=owner).dead is dead
    assert is_dead(root / "box") is dead


def test_rollback_touches_nothing_that_is_not_ours(root: Path) -> None:
    """Files, folders and links in the state folder that no supervisor made stay, however old."""
    (root / "photos").mkdir()
    (root / "photos" / "one.jpg").touch()
    (root / ".new-project").mkdir()
    (root / ".new-project" / "thesis.tex").touch()
    (root / "state.json").touch()
    (root / "link").symlink_to(root / "photos")
    for path in root.iterdir():
        os.utime(path, (1, 1), follow_symlinks=False)
    assert str(rollback(everything=True)) == "nothing to roll back"
    assert sorted(path.name for path in root.iterdir()) == [".new-project", "link", "photos", "state.json"]
    assert (root / "photos" / "one.jpg").exists()


def test_rollback_removes_what_is_dead(root: Path) -> None:
    """A dead sandbox's folder goes; a pid that somebody else has by now is left alone."""
    put(root, "dead", supervisor=NOBODY, owner=NOBODY)
    done = rollback()
    assert done.clean
    assert str(done) == "dead: ended 0 processes; nothing is left"
    assert not list(root.iterdir())


def test_a_folder_half_made_is_removed_once_it_is_old(root: Path) -> None:
    """What a supervisor killed in its first instant leaves goes too, but not while it may still be at work."""
    half = root / ".new-box-123"
    half.mkdir()
    (half / LEASH).touch()
    assert "left alone, it has only just been made" in str(rollback())
    os.utime(half, (1, 1))
    assert rollback().clean
    assert not half.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"supervisor": null, "processes": {}}', '{"supervisor": 1}'])
def test_a_state_that_is_damaged_reads_as_none(root: Path, content: str) -> None:
    """A damaged state file is no state, and no error."""
    put(root, "box", supervisor=me(), owner=None)
    (root / "box" / STATE).write_text(content)
    assert read_state(root / "box") is None


def test_a_state_folder_that_others_can_write_is_refused(root: Path) -> None:
    """A folder in which others could put things is not used."""
    root.chmod(0o777)
    with pytest.raises(UsageError, match="can be written by others"):
        state_root()
    root.chmod(0o755)
    assert state_root() == root


def test_a_state_folder_that_is_a_link_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link where the folder should be might lead anywhere."""
    (root / "real").mkdir()
    (root / "way").symlink_to(root / "real")
    monkeypatch.setenv("GAMEDAY_STATE_DIR", str(root / "way"))
    with pytest.raises(UsageError, match="not a folder of this user's"):
        state_root()


def test_a_state_folder_too_long_for_a_socket_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path too long for a unix socket is said before anything starts."""
    monkeypatch.setenv("GAMEDAY_STATE_DIR", str(root / ("x" * 90)))
    with pytest.raises(UsageError, match="too long"):
        state_root()


def test_where_the_state_folder_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without GAMEDAY_STATE_DIR, the runtime folder of the session is used."""
    monkeypatch.delenv("GAMEDAY_STATE_DIR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root))
    assert state_root() == root / "gameday"
    assert (root / "gameday").stat().st_mode & 0o777 == 0o700


def test_asking_for_a_sandbox_that_is_not_there_names_those_that_are(root: Path) -> None:
    """The error names the sandboxes there are."""
    put(root, "box-7", supervisor=me(), owner=None)
    with pytest.raises(SandboxError, match=r"(?s)no sandbox 'other'.*box-7"):
        folder_of("other")
