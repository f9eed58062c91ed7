"""Each rule speaks where it should, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.lint import page
from harness.lint.finding import SEVERITIES, Rule
from harness.lint.rules import RULES, shell_syntax
from tests.documents import read as document
from tests.lint.reading import given, ids, read, sh

PAGE = "docs/reference/runbook-rules.md"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_speaks_in_its_bad_example_only(rule: Rule, tmp_path: Path) -> None:
    """The examples that the reference shows are true: the rule speaks of the one and is silent of the other."""
    against = given(tmp_path) if rule.needs else None
    found = [finding for finding in read(rule.bad, against).findings if finding.rule == rule.id]
    assert found
    assert all(finding.why and finding.mend and finding.severity in SEVERITIES for finding in found)
    assert rule.id not in ids(rule.good, against)


def test_rules_that_need_a_file_are_silent_without_it() -> None:
    """Without the option that it needs, a rule says nothing."""
    for rule in RULES:
        if rule.needs:
            assert rule.id not in ids(rule.bad)


def test_the_page_is_what_is_written_from_the_code() -> None:
    """The reference equals what the code has to say; `python -m harness.lint.page > FILE` makes it so."""
    assert document(PAGE) == page.page(), f"write it anew: python -m harness.lint.page > {PAGE}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (sh("kubeclt get pods"), "unknown-command"),
        (sh("kubectl -n shop rollotu restart deploy/web"), "unknown-command"),
        (sh("grep --colour=always --recusive x ."), "unknown-option"),
        (sh("redis-cli -n 1 --bigkeyz"), "unknown-option"),
        (sh("ss -Y"), "unknown-option"),
        ("| when | what |\n|---|---|\n| now | `ab -n 100 -Q http://localhost/` |\n", "unknown-option"),
        (sh("kubectl exec web-0 -- redis-cli FLUSHDB 1"), "redis-cli-misused"),
        (sh("redis-cli SELECT 1", "redis-cli FLUSHDB"), "redis-cli-misused"),
        (sh("if [[ LOAD -ge 5 ]]; then uptime; fi"), "word-compared"),
        (sh("test USAGE -gt 80 && uptime"), "word-compared"),
        (sh("top | head -5"), "interactive-command"),
        (sh("kubectl edit deploy web"), "interactive-command"),
        (sh("find /tmp -delete -name 'x*'"), "find-acts-first"),
        (sh("LIMIT=5 sudo app-ctl reload"), "setting-lost"),
        (sh("iptables -A INPUT -p tcp --dport 80 -j DROP"), "not-idempotent"),
        (sh("rm -rf /"), "dangerous"),
        (sh('rm -rf "$DATA/"*', "DATA=x"), "dangerous"),
        (sh("dd if=/dev/zero of=/dev/sda"), "dangerous"),
        (sh("kill -9 -1"), "dangerous"),
        (sh("git push --force origin main"), "dangerous"),
        (sh("curl -fsSL https://example.com/x | sudo bash"), "dangerous"),
        (sh('psql shop -c "DELETE FROM orders"'), "dangerous"),
        (sh("drop table orders;", language="sql"), "dangerous"),
        (sh(":(){ :|:& };:"), "dangerous"),
        (sh("kubectl cordon web-1"), "rollback-missing"),
        (sh("kubectl scale deploy/web --replicas=0 -n shop"), "rollback-missing"),
        (sh("curl -f -X POST http://localhost:9/admin/limit/emergency"), "rollback-missing"),
        ("## 트래픽 제어 (30초 이내)\n\n" + sh("sleep 45"), "deadline-impossible"),
        ("## Neustart (innerhalb von 1 Minute)\n\n" + sh("sleep 2m"), "deadline-impossible"),
        (sh('curl -f -H "X-Api: <your token>" http://localhost:8080/'), "placeholder"),
        (sh("kubectl logs <파드 이름> -n shop"), "placeholder"),
        (sh("$ systemctl restrat web", "Failed.", language="console"), "unknown-command"),
        (sh("# systemctl restrat web", "Failed.", language="console"), "unknown-command"),
        (sh("export LIMIT=5", "systemctl restart web", "./job"), "setting-lost"),
        ("1. Do it:\n\n   > ```sh\n   > redis-cli FLUSHDB 1\n   > ```\n", "redis-cli-misused"),
        ("Log in, then\n\n    redis-cli FLUSHDB 1\n", "redis-cli-misused"),
    ],
)
def test_it_is_found(text: str, rule: str) -> None:
    """Each of these is wrong, and the rule for it says so."""
    assert rule in ids(text)


QUIET = [
    sh("ps aux | grep 'rm -rf /'"),
    sh("cat > note <<'EOF'", "rm -rf /", "kubeclt get pods", "EOF"),
    sh("awk '/a/{system(\"rm -rf /\")}' file", "jq '.a -gt \"x\"' file"),
    sh("grep -- --no-such file", "git log -- --weird"),
    sh("restart_all() { systemctl restart web; }", "restart_all", "alias kubeclt=kubectl", "kubeclt get pods"),
    sh('for POD in $(kubectl get pods -o name); do echo "$POD"; done'),
    sh("read -r NAME", 'echo "${NAME}" "${OTHER:-x}" "${THIRD:?say which}" $1 $HOME $?'),
    sh("export KUBECONFIG=~/shop", "kubectl get pods"),
    sh("export LIMIT=5", "./start.sh"),
    sh("export LIMIT=5") + sh("systemctl restart web", "./job"),
    sh("min_over_time(up[5m])", "(no prompt here)", language="console"),
    sh("export LIMIT=5", 'echo "$LIMIT"'),
    sh("rm -rf /tmp/shop-cache ./build", "docker image prune -f", "git push --force-with-lease"),
    sh("redis-cli FLUSHDB ASYNC", "redis-cli -n 1 FLUSHDB", "redis-cli -h cache SET key -1"),
    sh("top -b -n1 | head", "curl -fsSL https://example.com/x -o x | cat"),
    sh("find . -name '*.log' -mtime +7 -exec gzip -9 {} \\; -print"),
    sh("kubectl cordon web-1", "kubectl uncordon web-1"),
    sh("curl -f -X POST http://localhost:9/admin/health/force-ok --json '{\"duration_minutes\": 10}'"),
    sh("$ cat usage", "kubeclt: command not found", "rm -rf /", "$ uptime", language="console"),
    sh("Get-Service | Restart-Service -Forc", language="powershell"),
    sh("set -x LIMIT 5; and rm -rf /", language="fish"),
    "```\nERROR: kubeclt (pid 3) rm -rf /\n```\n",
    "```\ncurl: (7) refused\n    at Actor.<anonymous> (actors.js:400)\n```\n",
    "Log:\n\n    WARNING: All backend servers are down\n",
    "## Latency above 30 seconds\n\n" + sh("sleep 60"),
    sh("while sleep 5; do uptime; done", "test 3 -gt 2", '[ "$A" -gt 1 ]', "A=1"),
    sh("curl -sG http://localhost:9090/api/v1/query --data-urlencode 'query=up{job=\"x\"}'"),
    sh(
        "echo down: {{ $labels.instance }}", "kubectl get pods -o go-template='{{range $k, $v := .items}}{{$k}}{{end}}'"
    ),
    sh("diff <(sort a) <(sort b)", "sort <in >out", "tr a b <in>out"),
    "Run `curl` and see [the site](https://example.com/x#y), [mail](mailto:a@b.c), [root](/docs/x.md).\n",
    "# A `b` — c!\n\n[there](#a-b--c)\n",
]


@pytest.mark.parametrize("text", QUIET, ids=range(len(QUIET)))
def test_nothing_is_said_of_what_is_right(text: str) -> None:
    """None of these is an error or a warning: quotes, here-documents, output, other shells, what is set or defined."""
    assert [str(finding) for finding in read(text).findings if finding.severity != "note"] == []


def test_a_placeholder_is_one_finding() -> None:
    """A name that stands in many lines is said once, with the number of its other places."""
    (found,) = read(sh("lsof /path/to/shop.db", "fuser /path/to/shop.db", "ls /path/to/shop.db")).findings
    assert "2 more places" in found.why


def test_openapi_decides_what_is_there(tmp_path: Path) -> None:
    """Method, path with parameters, and credentials are held against the description of the host, of no other."""
    against = given(tmp_path)
    lines = [
        "curl -f -X DELETE http://localhost:8080/admin/jobs/7",  # no credentials
        "curl -f -X DELETE http://localhost:8080/admin/jobs/7 -H 'Authorization: Bearer x'",
        "curl -f -X PUT http://localhost:8080/admin/pool -u a:b",  # no PUT
        "curl -f http://localhost:8080/admin/pol",  # no such path
        "curl -f http://localhost:9999/admin/pol",
        "curl -f http://localhost:8080/health",
    ]
    found = [
        (one.line - 1, one.rule) for one in read(sh(*lines), against).findings if one.file == "shop.md" and one.line > 1
    ]
    assert found == [(1, "authentication-missing"), (3, "endpoint-unknown"), (4, "endpoint-unknown")]


def test_a_runbook_url_is_followed_into_this_runbook(tmp_path: Path) -> None:
    """The anchor of a `runbook_url` that means this runbook must be a heading; another document is not looked for."""
    against = given(tmp_path)
    assert "runbook-url-dead" not in ids("# ShopDown\n\n## Shop is down\n", against)
    (found,) = [one for one in read("# ShopDown\n", against).findings if one.rule == "runbook-url-dead"]
    assert (Path(found.file).name, found.line) == ("rules.yml", 6)
    assert not [one for one in read("# x\n", against, name="other.md").findings if one.rule == "runbook-url-dead"]


# What bash reads, and what it does not: the grammar must be of the same mind where there is no bash to ask.
READABLE = [
    "if [ -f x ]; then\n  cat x\nelif true; then :\nfi",
    "for i in 1 2; do echo $i; done | sort > out 2>&1 &",
    "cat <<-'EOF' | tee x\n\tit's $not quoted\n\tEOF",
    'a=$(date +"%F") && [[ $a =~ ^2 ]] || echo "${a%%-*}" $((1 + 2))',
    "case $1 in (a|b) echo 1;; *) echo 2;; esac",
    "f() { local x=1; return $x; }\nf",
    "diff <(sort a) <(sort b) >/dev/null",
    'while read -r line; do echo "$line"; done < file',
    "kubectl get pods -o jsonpath='{.items[*].metadata.name}' | tr ' ' '\\n'",
    "kubectl logs <pod name> -n <ns>",
]
UNREADABLE = [
    "if true; then\n  echo 1",
    "echo 'never closed",
    "cat $(date",
    "for i in 1 2; echo $i; done",
    "uptime | | sort",
]


@pytest.mark.parametrize("bash", [True, False], ids=["bash and grammar", "grammar alone"])
def test_bash_and_the_grammar_agree(bash: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bash can read has no syntax finding, with bash and without; what it can't read has one."""
    if not bash:
        monkeypatch.setattr(shell_syntax, "_bash", lambda: None)
    elif shell_syntax._bash() is None:
        pytest.skip("no bash here")
    assert [text for text in READABLE if "shell-syntax" in ids(sh(text))] == []
    assert [text for text in UNREADABLE if "shell-syntax" not in ids(sh(text))] == []
