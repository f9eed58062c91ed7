"""What the shell refuses before it runs it, and what it lets pass."""

from __future__ import annotations

import pytest

from harness.runbook.screen import Opened, screen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/bin/ls", "named by its path"),
        ("./run.sh", "named by its path"),
        ("~/bin/x", "named by its path"),
        ("true; /bin/ls", "named by its path"),
        ("true && ../x", "named by its path"),
        ("X=1 /bin/ls", "named by its path"),
        ("time /bin/ls", "named by its path"),
        ("! /bin/ls", "named by its path"),
        ("if true; then /bin/ls; fi", "named by its path"),
        ("if true; then true; else /bin/ls; fi", "named by its path"),
        ("for x in a; do /bin/ls; done", "named by its path"),
        ("case a in a) /bin/ls;; esac", "named by its path"),
        ("true | (/bin/ls)", "named by its path"),
        ("echo $(/bin/ls)", "named by its path"),
        ('echo "$(/bin/ls)"', "named by its path"),
        ("echo `/bin/ls`", "named by its path"),
        ("echo ${x:-$(/bin/ls)}", "named by its path"),
        ("cat <(/bin/ls)", "named by its path"),
        ('"/bin/ls"', "named by its path"),
        ("true\n/bin/ls", "named by its path"),
        ("true & /bin/ls", "named by its path"),
        ("$TOOL x", "can't be told"),
        ("${TOOL} x", "can't be told"),
        ("`echo ls`", "can't be told"),
        ("echo x > /etc/hosts", "outside"),
        ("echo x >> /etc/sysctl.conf", "outside"),
        ("echo x >/tmp/y", "outside"),
        ("echo x > ../y", "outside"),
        ("echo x > a/b", "outside"),
        ("echo x > ~/y", "outside"),
        ('echo x > "$HOME/y"', "outside"),
        ("echo x > $FILE", "outside"),
        ("echo x 2>/var/log/y", "outside"),
        ("echo x &>/var/y", "outside"),
        ("echo x >| /var/y", "outside"),
        ("echo x <> /var/y", "outside"),
        ("echo x >& /var/y", "outside"),
        ("echo x >&8", "outside"),
        ('echo "$(echo x > /etc/y)"', "outside"),
        ("cat < /dev/tcp/127.0.0.1/80", "outside"),
        ("cat < /etc/shadow", "outside"),
        ("if true; then echo > /x; fi", "outside"),
        ("echo a > f; echo b > f", "twice"),
        ("cat <<E\nx\nE", "here-documents"),
        ("(( x = 1 ))", "(( ))"),
        ("kill -9 1", "kill is not possible"),
        ("exec bash", "exec is not possible"),
        ("source x", "source is not possible"),
        (". x", ". is not possible"),
        ("enable kill", "enable is not possible"),
        ("hash -p /bin/ls ls", "hash is not possible"),
        ("cd / && true", "scratch folder"),
        ("PATH=/bin ls", "sets PATH"),
        ("export PATH=/bin", "sets PATH"),
        ("export A=1 LD_PRELOAD=x", "sets LD_PRELOAD"),
        ("https_proxy=http://x curl y", "sets https_proxy"),
        ("declare -x BASH_ENV=x", "sets BASH_ENV"),
        ("unset PATH", "sets PATH"),
        ("IFS=, true", "sets IFS"),
    ],
)
def test_what_would_leave_is_refused(text: str, said: str) -> None:
    """A line that would leave the shell is refused, with the reason."""
    assert said in screen(text).refused


@pytest.mark.parametrize(
    "text",
    [
        "curl -X POST http://localhost:1/x -d '{\"a\": 1}'",
        "echo '> /etc/hosts' \"> /x\" \\> /y",
        "# /bin/ls > /etc/x",
        "true # > /etc/x",
        "[ a -gt 5 ] && [[ a > b || c < d ]]",
        "if [ $(free | awk '/^Mem:/{print $3/$2}' | cut -d. -f1) -gt 85 ]; then\n true\nfi",
        "echo $((2 > 1)) ${x} $x",
        "cat < in.txt 2>&1 >&2",
        "export A=/bin B='x y'",
        "grep x <<< 'a > b'",
        "echo 'open",
        "",
    ],
)
def test_what_stays_inside_is_left_as_it_is(text: str) -> None:
    """A line that stays inside goes to bash byte for byte."""
    assert (screen(text).refused, screen(text).text) == ("", text)


@pytest.mark.parametrize(
    ("text", "rewritten"),
    [
        ("a > /dev/null", "a >&9"),
        ("a >/dev/null 2>&1", "a >&9 2>&1"),
        ("a &>/dev/null", "a >&9 2>&9"),
        ("a 2>> /dev/null | b", "a 2>&9 | b"),
        ('x "$(a > /dev/null)" y', 'x "$(a >&9)" y'),
    ],
)
def test_dev_null_is_opened_beforehand(text: str, rewritten: str) -> None:
    """Restricted mode forbids even /dev/null as a target, so its descriptor takes its place."""
    assert screen(text).text == rewritten


def test_files_of_the_scratch_folder_are_opened_beforehand() -> None:
    """Plain names are files of the scratch folder, each opened once with the mode that was asked for."""
    screened = screen("a > x.txt; b 2>> ./y")
    assert screened.text == "a >&10; b 2>&11"
    assert screened.opened == (Opened(10, "x.txt", "w"), Opened(11, "./y", "a"))
