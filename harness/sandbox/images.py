"""Images: what a sandbox's containers are made of: ours are built, the others must be here or be had."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.utils.build import create_archive, exclude_paths

from harness.errors import UsageError
from harness.sandbox.engine import Engine, cli_environment, run_docker

VERSION = "org.opencontainers.image.version"
LOCAL = "gameday.local"  # on an image of the same software that was made here: where the software came from
_DOCKERFILE = "Dockerfile"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to build an image: everything of `context` that its ignore file lets through, by `dockerfile`."""

    tag: str
    context: Path
    dockerfile: str


def read_recipes(services: Mapping[str, Mapping[str, Any]]) -> tuple[Recipe, ...]:
    """The images that the services of a resolved compose file are to be built from, each once. Raises UsageError for a
    build that needs more than a folder and a Dockerfile."""
    found: dict[str, Recipe] = {}
    problems = []
    for name, service in services.items():
        build = service.get("build")
        if not build:
            continue
        if unknown := sorted(set(build) - {"context", "dockerfile"}):
            problems.append(f"service {name}: build has {', '.join(unknown)}")
        tag, dockerfile = str(service.get("image") or ""), str(build.get("dockerfile") or _DOCKERFILE)
        if not tag:
            problems.append(f"service {name}: is built, but has no `image` that names what comes of it")
        found[tag] = Recipe(tag=tag, context=Path(build["context"]), dockerfile=dockerfile)
    if problems:
        raise UsageError(
            "images can't be built", problems=problems, hint="`docker compose build` them, and leave `build` out"
        )
    return tuple(found.values())


def provide(engine: Engine, services: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str], say: Say) -> None:
    """Have every image of `services`: ours are built (from the engine's cache where nothing changed: no run with
    yesterday's code), others are pulled where they are missing. Raises UsageError that names all that can't be had."""
    recipes = read_recipes(services)
    for recipe in recipes:
        _build(engine, recipe, say)
    built = {recipe.tag for recipe in recipes}
    wanted = dict.fromkeys(str(service["image"]) for service in services.values() if service.get("image"))
    missing = [tag for tag in wanted if tag not in built and engine.image(tag) is None]
    problems = [problem for tag in missing if (problem := _pull(tag, environ, say))]
    if problems:
        raise UsageError(
            "images are missing, and can't be pulled",
            problems=problems,
            hint="`scripts/docker-offline images` builds the same software here; or use --runtime processes",
        )


def absent(engine: Engine, services: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """The images that are neither here nor built by the project."""
    built = {str(service.get("image")) for service in services.values() if service.get("build")}
    wanted = dict.fromkeys(str(service["image"]) for service in services.values() if service.get("image"))
    return [tag for tag in wanted if tag not in built and engine.image(tag) is None]


def _build(engine: Engine, recipe: Recipe, say: Say) -> None:
    if engine.image(recipe.tag) is None:
        say(f"building the image {recipe.tag}; about half a minute, the first time")
    try:
        with tempfile.TemporaryFile() as archive:
            create_archive(str(recipe.context), files=_files(recipe), fileobj=archive)
            archive.seek(0)
            complaint = engine.build(archive, recipe.dockerfile, recipe.tag)
    except OSError as odd:
        complaint = str(odd)
    if complaint:
        raise UsageError(f"the image {recipe.tag} can't be built:\n{complaint}", hint=f"mend {recipe.dockerfile}")


def _files(recipe: Recipe) -> list[str]:
    """What goes to the builder. The ignore file is BuildKit's (`Dockerfile.dockerignore`) or the older one."""
    beside = recipe.context / f"{recipe.dockerfile}.dockerignore"
    ignore = beside if beside.exists() else recipe.context / ".dockerignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return sorted(exclude_paths(str(recipe.context), patterns, dockerfile=recipe.dockerfile))


def _pull(tag: str, environ: Mapping[str, str], say: Say) -> str:
    """Why it can't be pulled; empty where it was. By the command line, which knows the user's credentials."""
    say(f"pulling {tag}")
    try:
        run_docker("pull", "-q", tag, environ=cli_environment(environ), patience=600)
    except UsageError as odd:
        return f"{tag}: {str(odd).splitlines()[0]}"
    return ""


def say_version(engine: Engine, tag: str, *, built: bool) -> str:
    """Which software an image really holds, for a report. The labels of one `built` by the project are its base's."""
    found = engine.image(tag)
    if found is None:
        return f"image {tag}"
    labels = {} if built else (found.get("Config") or {}).get("Labels") or {}
    name = f"image {tag}, {str(found.get('Id', '')).removeprefix('sha256:')[:12]}"
    version = labels.get(VERSION, "")
    made = f", made here: {labels[LOCAL]}" if labels.get(LOCAL) else ""
    return f"{version} ({name}{made})" if version else f"{name}{made}"
