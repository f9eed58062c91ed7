"""Crowd: the users of a locustfile, ready to be sent on one task each, and used again when they are back."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import locust
from locust import TaskSet, User
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.exception import InterruptTaskSet
from locust.user.task import DefaultTaskSet
from locust.user.users import PytestUser
from locust.util.load_locustfile import load_locustfile

Task = Any  # a function of a user, or a TaskSet class: Locust keeps both in one list


class CrowdError(Exception):
    """The user file can't be used; the message says why."""


def read_users(where: str) -> list[type[User]]:
    """The user classes of `where`: a path, or `path:Class` for one of its classes.

    Raises CrowdError for a file that is not there, has no user with a task, or fails while it is imported.
    """
    path, name = split_users(where)
    if not path.is_file():
        raise CrowdError(f"there is no user file {path}")
    try:
        found, _shapes = load_locustfile(str(path))
    except SyntaxError as error:
        raise CrowdError(f"{path}:{error.lineno}: {error.msg}") from error
    except Exception as error:  # whatever the file does while it is imported
        raise CrowdError(f"{path} failed while it was imported: {type(error).__name__}: {error}") from error
    if name and name not in found:
        raise CrowdError(f"{path} has no user class {name}; it has: {', '.join(sorted(found)) or 'none'}")
    chosen = [found[name]] if name else [each for each in found.values() if each.weight > 0 or each.fixed_count > 0]
    if not chosen:
        raise CrowdError(f"{path} has no user class: a class that inherits from locust.User and is not abstract")
    if problems := [f"{each.__name__}: {problem}" for each in chosen if (problem := _problem(each))]:
        raise CrowdError(f"{path}: {'; '.join(problems)}")
    return chosen


def split_users(where: str) -> tuple[Path, str]:
    """`path[:Class]` taken apart. A path may hold colons: only what looks like a class name behind one counts."""
    path, colon, name = where.rpartition(":")
    if colon and name.isidentifier() and not Path(where).is_file():
        return Path(path), name
    return Path(where), ""


def _problem(cls: type[User]) -> str:
    if issubclass(cls, PytestUser):
        return "users made from pytest functions are not supported here"
    return "" if cls.tasks else "it has no task"


class Seat:
    """One user object, the task sets it is in the middle of, and a place for the arrival that it serves now."""

    __slots__ = ("arrival", "started", "task_sets", "user")

    def __init__(self, user: User) -> None:
        self.user = user
        self.started = False
        self.task_sets: dict[type[TaskSet], TaskSet] = {}
        self.arrival: Any = None


class Crowd:
    """The users of some classes: `pick` decides what the next one does, `take` and `give_back` lend user objects.

    A class is picked by its `weight` (a `fixed_count` counts as a weight where there is nothing else), a task by its
    own. The picks come from `seed` alone, whatever the system does meanwhile. User objects keep their connections and
    cookies; the last one back is the first one out again, so that no more are alive than were ever busy at once.
    """

    def __init__(
        self, classes: Sequence[type[User]], *, host: str, timeout: float, seed: int, prepare: Callable[[Seat], None]
    ) -> None:
        self._classes = list(classes)
        self._weights = [float(each.weight or each.fixed_count) for each in classes]
        self._random = random.Random(seed)  # noqa: S311 - a run must be repeatable, not unguessable
        self._prepare = prepare
        self._idle: dict[type[User], list[Seat]] = {each: [] for each in classes}
        for each in classes:
            each.host = host
            _bound(each, timeout)
        self.environment = _environment(self._classes, host)

    def pick(self) -> tuple[type[User], Task]:
        """Who comes next, and what for."""
        (cls,) = self._random.choices(self._classes, self._weights)
        return cls, self._random.choice(cls.tasks)

    def make_one_of_each(self) -> None:
        """One user object of every class, so that a class that can't be used shows before anyone arrives.

        Raises CrowdError where one can't be made.
        """
        for cls in self._classes:
            try:
                self.give_back(self.make(cls))
            except Exception as error:  # whatever the class does when it is made
                raise CrowdError(f"a {cls.__name__} can't be made: {type(error).__name__}: {error}") from error

    def take(self, cls: type[User]) -> Seat:
        """A user object of `cls` that nobody uses."""
        idle = self._idle[cls]
        return idle.pop() if idle else self.make(cls)

    def make(self, cls: type[User]) -> Seat:
        """A new user object of `cls`."""
        user = cls(self.environment)
        user._state = "running"
        user._taskset_instance = DefaultTaskSet(user)  # what `user.wait()` inside a task relies on
        seat = Seat(user)
        self._prepare(seat)
        return seat

    def give_back(self, seat: Seat) -> None:
        self._idle[type(seat.user)].append(seat)


def _bound(cls: type[User], timeout: float) -> None:
    """No connection of this class waits longer than `timeout` seconds for the next byte."""
    for name in ("network_timeout", "connection_timeout"):
        if hasattr(cls, name):
            setattr(cls, name, min(float(getattr(cls, name)), timeout))


def _environment(classes: list[type[User]], host: str) -> Environment:
    """Locust's own surroundings, with the listeners that the user file has registered and the options it expects."""
    options, _unknown = get_parser(default_config_files=[]).parse_known_args(["--headless", "--host", host])
    return Environment(user_classes=list(classes), events=locust.events, host=host, parsed_options=options)


def task_name(cls: type[User], task: Task) -> str:
    """What to call an arrival that made no request."""
    return f"{cls.__name__}.{getattr(task, '__name__', task)}"


def run_task(seat: Seat, task: Task) -> None:
    """Do `task` once, as Locust would: a function is called with its user, a TaskSet does one of its own tasks.

    The task sets that a user is in the middle of stay with it, so that a SequentialTaskSet goes on where it was; one
    that interrupts itself begins anew next time. Whatever the user's code raises comes out.
    """
    if not seat.started:
        seat.user.on_start()
        seat.started = True
    if isinstance(task, type) and issubclass(task, TaskSet):
        _step(seat, task, seat.user)
    else:
        task(seat.user)


def _step(seat: Seat, cls: type[TaskSet], parent: Any) -> None:
    """One task of a task set; `parent` is the user or the task set that it stands in."""
    current: Any = seat.task_sets.get(cls)
    try:
        if current is None:
            current = seat.task_sets[cls] = cls(parent)
            current.on_start()
        if not current._task_queue:
            current.schedule_task(current.get_next_task())
        task = current._task_queue.popleft()
        if isinstance(task, type) and issubclass(task, TaskSet):
            _step(seat, task, current)
        else:
            current.execute_task(task)
    except InterruptTaskSet:
        del seat.task_sets[cls]
        current.on_stop()
