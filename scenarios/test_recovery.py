"""After the incident: the runbook's recovery checks, and the way back to normal."""

from harness import Alert, Arrivals, Benchmark, Checkpoint, Level, Logs, Run, Slo, hours, minutes, percent, seconds
from harness.faults import UpstreamOutage

SPIKE = Alert("HTTP503ErrorSpike", severity="critical", job="generation-service")
RECOVERED = Slo.recovery(error_503=percent(1), mean=seconds(2))
USUAL = Arrivals.constant(per_second=60)
CORE = Slo.smoke("POST /api/generation/scripts", "POST /api/rag/search", "GET /api/projects/{id}")
OURS = '{job="generation-service"}'
CPU = Level("the service's share of its CPUs", f"rate(service_cpu_seconds_total{OURS}[2m]) / service_cores{OURS}")
MEMORY = Level(
    "the share of its memory limit that the service uses",
    f"service_resident_memory_bytes{OURS} / (service_memory_limit_bytes{OURS} > 0)",
)
CONNECTIONS = Level(
    "the share of its database connections that a service uses",
    "avg_over_time(database_pool_in_use[1m]) / (database_pool_limit > 0)",
)
BREAKER = Level("OpenAI's breaker", 'circuit_breaker_state{upstream="openai"}')  # 1 open, 2 half-open
FORCED = Level("the order to hold OpenAI's breaker open", 'circuit_breaker_forced{upstream="openai"}')
ORDERS = Level(
    "emergency orders in force", "sum(rate_limit_emergency) + sum(endpoint_shed) + sum(circuit_breaker_forced)"
)
WRITTEN = Level("answers of OpenAI a second", 'sum(rate(llm_requests_total{upstream="openai",outcome="ok"}[1m]))')
LOG = Logs("generation")
AB = Benchmark(
    "generation", 8002, "/api/generation/health", requests=1000, at_once=10, p99=seconds(2), rate=50, mean=seconds(2)
)
# The runbook's table, row by row.
RECOVERY = (
    Checkpoint("within 5 minutes", minutes(5), minutes(5.5), (RECOVERED, CORE), look=("look-health",)),
    Checkpoint(
        "within 30 minutes",
        minutes(30),
        minutes(3),
        (
            CPU.below(percent(70)),
            MEMORY.below(percent(80)),
            CONNECTIONS.below(percent(80)),
            LOG.without(" ERROR: "),
            Logs("project").without(" ERROR: "),
        ),
    ),
    Checkpoint("within 1 hour", hours(1), minutes(0.5), (AB,), look=("recovery-benchmark",)),
)


def test_recovery_checks(run: Run) -> None:
    """When OpenAI is back after an outage, all that the runbook has its operators check within five minutes, half an
    hour and an hour holds, its benchmark included."""
    with run.load(USUAL):
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            response = run.mitigate("openai-circuit-breaker", "fallback-model")
            run.observe("on the fallback", minutes(5.5))
        back = run.restore("openai-circuit-breaker")
        checked = run.check(*RECOVERY, of=back.end)
    run.verify(
        SPIKE.fires(within=minutes(8), of=outage.start),
        RECOVERED.within(minutes(5), of=response.end, by=outage.end),
        *checked,
    )


def test_a_failing_try_opens_the_breaker_again(run: Run) -> None:
    """While OpenAI takes connections and says nothing, each half-open try opens the breaker again, and the runbook's
    own test says that OpenAI is down and leaves it open. Its `disable-all`, which stands before that test, gives the
    breaker back while OpenAI is down: it opens by itself. Once OpenAI is back a try closes it."""
    with run.load(USUAL):
        run.mitigate("fallback-model")
        with run.fault(UpstreamOutage("openai", how="timeout")):
            run.observe("until it opens", minutes(5))
            tried = run.observe("half-open tries", minutes(8))
            run.mitigate("shed-endpoints", "openai-circuit-breaker")
            run.look("openai-still-down")
            held = run.observe("held open", minutes(2))
            run.restore("shed-endpoints")
            early = run.observe("given back too early", minutes(13))
        back = run.observe("tried once more", minutes(6))
        after = run.observe("OpenAI writes again", minutes(5.5))
    run.verify(
        BREAKER.at_least(1).during(tried, held),
        BREAKER.goes(2, 1, during=tried),
        FORCED.below(1).during(tried, early),
        FORCED.at_least(1).during(held),
        BREAKER.goes(0, 1, 2, 1, during=early),
        WRITTEN.below(1).during(tried, held),
        LOG.shows("circuit breaker openai: closed", during=back),
        # A worker that nobody asks tries nothing, and still says that its breaker is open.
        WRITTEN.at_least(20).during(after),
        RECOVERED.during(tried, after),
    )


def test_back_to_normal(run: Run) -> None:
    """What was ordered against an outage is taken back step by step, the breaker once OpenAI answers the runbook's own
    test. Users get what they got before, and no order and no setting is left in force."""
    with run.load(USUAL):
        calm = run.observe("calm", minutes(5.5))
        with run.fault(UpstreamOutage("openai")) as outage:
            run.wait_for(SPIKE.firing, at_most=minutes(10))
            run.mitigate("rate-limit-emergency", "shed-endpoints", "openai-circuit-breaker", "rag-limits")
            run.look("openai-still-down")
            down = run.observe("still down", minutes(2))
        # Not in the runbook's order: its `disable-all`, second here to last, would give the breaker back untested.
        back = run.restore("rate-limit-emergency", "openai-circuit-breaker")
        run.restore("shed-endpoints", "rag-limits")
        run.wait_for(SPIKE.quiet, at_most=minutes(10))
        after = run.observe("back to normal", minutes(5.5))
    run.verify(
        SPIKE.fires(within=minutes(8), of=outage.start),
        ORDERS.at_least(4).during(down),
        BREAKER.at_least(1).during(down),
        ORDERS.below(1).during(calm, after),
        BREAKER.below(1).during(calm, after),
        RECOVERED.during(calm, after),
        SPIKE.resolves(within=minutes(8), of=back.end),
    )
