"""Users of the sandbox: they come in by the load balancer, write scripts, search, and look at projects.

They run under the open model (`gameday`), and with plain Locust as well:

    locust -f loadtests/users.py --headless --host http://127.0.0.1:8080 --users 20 --run-time 1m

Every answer is read: one that came quickly but is not the answer to this question counts as a failure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from locust import FastHttpUser, constant_throughput, task

TOPICS = (
    "a lighthouse in winter",
    "the last tram home",
    "bees on a rooftop",
    "a chess club for beginners",
    "repairing an old radio",
    "a market at dawn",
    "the night shift of a bakery",
    "learning to swim at sixty",
)
SETTINGS = ("in one minute", "for children", "as a dialogue", "without narration", "in three scenes")

# A prompt from this short list has been asked for a moment ago, so its answer is in the cache; any other is new.
# About one request in six asks for one of them.
POPULAR = tuple(f"Write a script about {topic}." for topic in TOPICS)
POPULAR_SHARE = 0.17
PEOPLE = 500
PROJECTS = 5


class ScriptWriter(FastHttpUser):
    """Somebody who writes video scripts: mostly asks for scripts, at times searches, or looks at a project.

    All draws come from `random`, which the open model seeds, and before the request leaves: so the same seed sends the
    same requests in the same order, whatever the answers.
    """

    wait_time = constant_throughput(1)  # for plain Locust; under the open model the plan says when users come

    @task(88)
    def write_script(self) -> None:
        prompt = draw_prompt()
        body = {"prompt": prompt, "user_id": draw_person()}
        self._ask("POST", "/api/generation/scripts", lambda answer: wrong_script(answer, prompt), body)

    @task(6)
    def search(self) -> None:
        body = {"query": random.choice(TOPICS), "count": 3, "user_id": draw_person()}  # noqa: S311 - a load, no secret
        self._ask("POST", "/api/rag/search", wrong_documents, body)

    @task(6)
    def look_at_project(self) -> None:
        number = random.randint(1, PROJECTS)  # noqa: S311 - a load, no secret
        self._ask(
            "GET",
            f"/api/projects/{number}",
            lambda answer: wrong_project(answer, number),
            headers={"X-User-Id": draw_person()},
            name="/api/projects/{id}",
        )

    def _ask(
        self,
        method: str,
        path: str,
        wrong: Callable[[Any], str],
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        """Send one request; `wrong` says what is wrong with the answer's content, if anything."""
        with self.client.request(
            method, path, json=body, headers=dict(headers or {}), name=name, catch_response=True
        ) as response:
            if response.status_code != 200:
                return  # Locust's own judgement: a failure, with its status
            try:
                problem = wrong(response.json())
            except ValueError:
                problem = "the answer is not JSON"
            if problem:
                response.failure(problem)


def draw_prompt() -> str:
    """What to ask for: one of the popular prompts, or one that nobody has asked for yet."""
    if random.random() < POPULAR_SHARE:  # noqa: S311 - a load, no secret
        return random.choice(POPULAR)  # noqa: S311 - a load, no secret
    topic, setting = random.choice(TOPICS), random.choice(SETTINGS)  # noqa: S311 - a load, no secret
    return f"Write a script about {topic}, {setting}. Draft {random.getrandbits(48):012x}."


def draw_person() -> str:
    """One of the sandbox's people; the services log who asked."""
    return f"user-{random.randrange(PEOPLE):03d}"  # noqa: S311 - a load, no secret


def wrong_script(answer: Any, prompt: str) -> str:
    """What is wrong with the answer to `prompt`; empty if nothing is. The sandbox's models repeat what they were asked,
    so an answer that was meant for somebody else shows."""
    script = answer.get("script") if isinstance(answer, dict) else None
    if not isinstance(script, str) or not script.strip():
        return "the answer holds no script"
    if not isinstance(answer.get("model"), str) or not isinstance(answer.get("cached"), bool):
        return "the answer does not say which model wrote it, or whether it was cached"
    return "" if prompt in script else "the script is not about what was asked"


def wrong_documents(answer: Any) -> str:
    """What is wrong with the answer to a search; empty if nothing is."""
    documents = answer.get("documents") if isinstance(answer, dict) else None
    if not isinstance(documents, list) or not documents:
        return "the search found nothing"
    whole = all(isinstance(each, dict) and each.get("text") for each in documents)
    return "" if whole else "a document without a text"


def wrong_project(answer: Any, number: int) -> str:
    """What is wrong with a project; empty if nothing is."""
    if not isinstance(answer, dict) or answer.get("id") != number:
        return f"the answer is not project {number}"
    return "" if answer.get("name") else "the project has no name"
