"""Somebody else's locustfile, using what Locust offers: it knows nothing of gameday and must work as it is."""

from __future__ import annotations

from typing import Any

from locust import FastHttpUser, HttpUser, SequentialTaskSet, TaskSet, between, events, tag, task


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's own
def options(parser: Any) -> None:
    parser.add_argument("--shop", default="books")


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's own
def remember(environment: Any, **_: Any) -> None:
    Shopper.shop = environment.parsed_options.shop


class Checkout(SequentialTaskSet):
    """Three steps in their order, then out again."""

    @task
    def basket(self) -> None:
        self.client.get("/basket")

    @task
    def pay(self) -> None:
        self.client.post("/pay", json={"amount": 1})

    @task
    def leave(self) -> None:
        self.client.get("/thanks")
        self.interrupt()  # type: ignore[no-untyped-call]  # Locust's own


class Shopper(HttpUser):
    """On python-requests, with a log-in, nested tasks and two requests in a task."""

    wait_time = between(1, 5)
    weight = 1
    shop = ""

    def on_start(self) -> None:
        self.client.post("/login", data={"user": "x"})

    @tag("browse")
    @task(2)
    def browse(self) -> None:
        self.client.get(f"/{self.shop}")
        with self.client.get("/wrong", catch_response=True, name="detail") as answer:
            if answer.json()["path"] != "/wrong":
                answer.failure("another page")

    @task(1)
    class Paying(TaskSet):
        tasks = [Checkout]  # noqa: RUF012 - this is how Locust wants it

    @task(1)
    def breaks(self) -> None:
        price = self.client.get("/price").json()
        raise KeyError(price["missing"])


class Quick(FastHttpUser):
    """On geventhttpclient."""

    weight = 2

    @task
    def look(self) -> None:
        with self.client.rename_request("look"), self.client.get("/503", catch_response=True) as answer:
            if answer.status_code == 503:
                answer.success()

    @task
    def rest_call(self) -> None:
        with self.rest("GET", "/rest") as answer:
            assert answer.js["path"] == "/rest", "wrong path"
