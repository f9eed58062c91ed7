# Shim: stands in for one tool inside the confined shell, and asks the door what to do.
#
# It runs as `bash -p shim.sh PASS NAME ARGUMENT…`. PASS is a file with the door's port and its token. Question and
# answer are fields that each end in NUL. The answer is `become`, the names of variables to drop and an argv; or `say`,
# the output, the errors and the exit status. In bash, since a Python process would take ten times as long to start;
# -p, so that it takes no functions from the line that calls it. Where it can't do its work it leaves PASS.broken, so
# that our own failure is never taken for one of the runbook. Its names begin with __, since those of the
# line that calls it may be exported.
fail() {
  : >"$__pass.broken"
  printf '%s: the operations shell did not answer\n' "$1" >&2
  exit 126
}
__pass=$1
shift
read -r __port __token <"$__pass" || fail "$1"
{ exec 3<>"/dev/tcp/127.0.0.1/$__port"; } 2>/dev/null || fail "$1"
printf '%s\0' "$__token" "$#" "$@" >&3
__answer=()
while IFS= read -r -d '' __field <&3; do
  __answer+=("$__field")
done
exec 3>&-
case ${__answer[0]-} in
  become)
    for __name in ${__answer[1]}; do
      unset -v "$__name" 2>/dev/null
    done
    exec "${__answer[@]:2}"
    ;;
  say)
    printf '%s' "${__answer[1]}"
    printf '%s' "${__answer[2]}" >&2
    exit "${__answer[3]}"
    ;;
esac
fail "$1"
