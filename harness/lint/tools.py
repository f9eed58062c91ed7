"""Tools: what well-known programs take, as data: their options where the table is whole, their verbs, what they are.

From the programs' own `--help` and manual pages: curl 7.88 and 8, procps 4, iproute2 6, GNU grep 3, jq 1.7, systemd 252
to 257, Apache httpd 2.4 (ab), nginx 1.29, Redis 8 (redis-cli), GNU findutils 4, kubectl 1.32, Docker 28, Helm 3, git 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`short` is written as for getopt (`ab:` says that -b takes a value), `long` has the names, one that takes a value
    ends in `=`; both are empty where the table would not be whole. `dashed` says that long names have one dash.
    `verbs` are its subcommands. `reads` are the environment variables that it looks at, by their first letters."""

    short: str = ""
    long: frozenset[str] = frozenset()
    dashed: bool = False
    verbs: frozenset[str] = frozenset()
    reads: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return bool(self.short or self.long)

    def takes_value(self, option: str) -> bool:
        """Whether the word after `option`, as it is written, is its value."""
        if option.startswith("--") or self.dashed:
            return f"{option.lstrip('-')}=" in self.long
        letter = re.fullmatch(r"-\w*(\w)", option)
        return letter is not None and f"{letter[1]}:" in self.short

    def knows(self, option: str) -> bool:
        """Whether `option`, as it is written, is one of its; a long one may be shortened."""
        if option.startswith("--") or self.dashed:
            name = option.lstrip("-").partition("=")[0]
            return any(long.startswith((name, name.removeprefix("no-"))) for long in self.long)
        for letter in option[1:]:
            if letter not in self.short:
                return letter.isdigit() and "#" in self.short
            if f"{letter}:" in self.short:
                return True
        return True


def _tool(short: str = "", long: str = "", verbs: str = "", reads: str = "", *, dashed: bool = False) -> Tool:
    return Tool(
        short=short, long=frozenset(long.split()), verbs=frozenset(verbs.split()), reads=tuple(reads.split()),
        dashed=dashed,
    )  # fmt: skip


_CURL = """abstract-unix-socket= alt-svc= anyauth append aws-sigv4= basic ca-native cacert= capath= cert= cert-status
cert-type= ciphers= compressed compressed-ssh config= connect-timeout= connect-to= continue-at= cookie= cookie-jar=
create-dirs create-file-mode= crlf crlfile= curves= data= data-ascii= data-binary= data-raw= data-urlencode=
delegation= digest disable disable-eprt disable-epsv disallow-username-in-url dns-interface= dns-ipv4-addr=
dns-ipv6-addr= dns-servers= doh-cert-status doh-insecure doh-url= dump-ca-embed dump-header= ech= egd-file= engine=
etag-compare= etag-save= expect100-timeout= fail fail-early fail-with-body false-start follow form= form-escape
form-string= ftp-account= ftp-alternative-to-user= ftp-create-dirs ftp-method= ftp-pasv ftp-port= ftp-pret
ftp-skip-pasv-ip ftp-ssl-ccc ftp-ssl-ccc-mode= ftp-ssl-control get globoff happy-eyeballs-timeout-ms=
haproxy-clientip= haproxy-protocol head header= help hostpubmd5= hostpubsha256= hsts= http0.9 http1.0 http1.1 http2
http2-prior-knowledge http3 http3-only ignore-content-length include insecure interface= ip-tos= ipv4 ipv6 json=
junk-session-cookies keepalive-cnt= keepalive-time= key= key-type= knownhosts= krb= libcurl= limit-rate= list-only
local-port= location location-trusted login-options= mail-auth= mail-from= mail-rcpt= mail-rcpt-allowfails manual
max-filesize= max-redirs= max-time= metalink mptcp negotiate netrc netrc-file= netrc-optional next no-alpn no-buffer
no-clobber no-keepalive no-npn no-progress-meter no-sessionid noproxy= ntlm ntlm-wb oauth2-bearer= out-null output=
output-dir= parallel parallel-immediate parallel-max= parallel-max-host= pass= path-as-is pinnedpubkey= post301
post302 post303 preproxy= progress-bar progress-meter proto= proto-default= proto-redir= proxy= proxy-anyauth
proxy-basic proxy-ca-native proxy-cacert= proxy-capath= proxy-cert= proxy-cert-type= proxy-ciphers= proxy-crlfile=
proxy-digest proxy-header= proxy-http2 proxy-insecure proxy-key= proxy-key-type= proxy-negotiate proxy-ntlm
proxy-pass= proxy-pinnedpubkey= proxy-service-name= proxy-ssl-allow-beast proxy-ssl-auto-client-cert
proxy-tls13-ciphers= proxy-tlsauthtype= proxy-tlspassword= proxy-tlsuser= proxy-tlsv1 proxy-user= proxy1.0=
proxytunnel pubkey= quote= random-file= range= rate= raw referer= remote-header-name remote-name remote-name-all
remote-time remove-on-error request= request-target= resolve= retry= retry-all-errors retry-connrefused retry-delay=
retry-max-time= sasl-authzid= sasl-ir service-name= show-error show-headers sigalgs= silent skip-existing socks4=
socks4a= socks5= socks5-basic socks5-gssapi socks5-gssapi-nec socks5-gssapi-service= socks5-hostname= speed-limit=
speed-time= ssl ssl-allow-beast ssl-auto-client-cert ssl-no-revoke ssl-reqd ssl-revoke-best-effort sslv2 sslv3
stderr= styled-output suppress-connect-headers tcp-fastopen tcp-nodelay telnet-option= tftp-blksize=
tftp-no-options time-cond= tls-earlydata tls-max= tls13-ciphers= tlsauthtype= tlspassword= tlsuser= tlsv1 tlsv1.0
tlsv1.1 tlsv1.2 tlsv1.3 tr-encoding trace= trace-ascii= trace-config= trace-ids trace-time unix-socket= upload-file=
upload-flags= url= url-query= use-ascii user= user-agent= variable= verbose version vlan-priority= write-out= xattr"""

_SYSTEMCTL = """all after before boot-loader-entry= boot-loader-menu= check-inhibitors= clean-file= dry-run drop-in=
failed fail firmware-setup force full global help host= image= image-policy= job-mode= kill-value= kill-whom= kill-who=
legend= lines= machine= marked mkdir message= no-ask-password no-block no-legend no-pager no-reload no-wall no-warn
now output= plain preset-mode= property= quiet read-only recursive reverse root= runtime show-transaction show-types
signal= state= stdin system timestamp= type= user value verbose version wait what= when= with-dependencies"""

_SYSTEMCTL_VERBS = """list-units list-automounts list-sockets list-timers list-paths is-active is-failed status show
cat help list-dependencies start stop reload restart try-restart condrestart reload-or-restart try-reload-or-restart
force-reload isolate kill clean freeze thaw set-property bind mount-image service-log-level service-log-target
reset-failed whoami list-unit-files enable disable reenable preset preset-all is-enabled mask unmask link revert
add-wants add-requires edit get-default set-default list-machines list-jobs cancel show-environment set-environment
unset-environment import-environment daemon-reload daemon-reexec log-level log-target service-watchdogs
is-system-running default rescue emergency halt poweroff reboot kexec soft-reboot exit switch-root suspend hibernate
hybrid-sleep suspend-then-hibernate sleep"""

_JOURNALCTL = """after-cursor= all boot= case-sensitive catalog cursor= cursor-file= directory= disk-usage dmesg
dump-catalog exclude-identifier= facility= field= fields file= flush follow force full grep= header help identifier=
image= image-policy= interval= invocation= lines= list-boots list-catalog list-invocations list-namespaces machine=
merge namespace= new-id128 no-full no-hostname no-pager no-tail output= output-fields= pager-end priority= quiet
relinquish-var reverse root= rotate setup-keys show-cursor since= smart-relinquish-var sync synchronize-on-exit=
system this-boot truncate-newline unit= until= update-catalog user user-unit= utc vacuum-files= vacuum-size=
vacuum-time= verify verify-key= version"""

_GREP = """after-context= basic-regexp before-context= binary binary-files= byte-offset color= colour= context= count
dereference-recursive devices= directories= exclude= exclude-dir= exclude-from= extended-regexp file=
files-with-matches files-without-match fixed-strings group-separator= help ignore-case include= initial-tab
invert-match label= line-buffered line-number line-regexp max-count= no-filename no-group-separator no-ignore-case
no-messages null null-data only-matching perl-regexp quiet recursive regexp= silent text unix-byte-offsets version
with-filename word-regexp"""

_SS = """all bpf bpf-maps bpf-map-id= bound-inactive cgroup context contexts dccp diag= events extended family= filter=
help inet-sockopt info ipv4 ipv6 kill listening memory mptcp net= no-header no-queues numeric oneline options packet
processes query= raw resolve sctp socket= summary tcp threads tipc tipcinfo tos udp unix version vsock xdp"""

_JQ = """slurp null-input raw-input raw-output raw-output0 join-output ascii-output compact-output color-output
monochrome-output tab indent= unbuffered stream stream-errors seq sort-keys from-file= exit-status arg= argjson=
argfile= slurpfile= rawfile= args jsonargs library-path= build-configuration binary version help"""

_REDIS_CLI = """raw no-raw quoted-input csv json quoted-json show-pushes= stat latency latency-history latency-dist
lru-test= replica slave rdb= functions-rdb= pipe pipe-timeout= bigkeys memkeys memkeys-samples= keystats
keystats-samples= cursor= top= hotkeys scan pattern= count= quoted-pattern= intrinsic-latency= eval= ldb
ldb-sync-mode cluster cluster-replicas=
cluster-yes cluster-only-masters cluster-only-replicas verbose no-auth-warning user= pass= askpass tls sni= cacert=
cacertdir= cert= key= tls-ciphers= tls-ciphersuites= insecure help version yes vset-recall="""

_FIND = """H L P O D daystart follow nowarn regextype= warn depth d files0-from= maxdepth= mindepth= mount noleaf xdev
ignore_readdir_race noignore_readdir_race amin= anewer= atime= cmin= cnewer= context= ctime= empty false fstype= gid=
group= ilname= iname= inum= ipath= iwholename= iregex= links= lname= mmin= mtime= name= newer= newerXY nouser nogroup
path= perm= regex= readable writable executable wholename= size= true type= uid= used= user= xtype= samefile= delete
print0 printf= fprintf= print fprint0= fprint= ls fls= prune quit exec= ok= execdir= okdir= a and o or not help version
newerat= newerBt= newermt= newerct= neweraa= newermm= newerac= E X f flags= x s acl Bmin= Bnewer= Btime="""

_KUBECTL = """create expose run set explain get edit delete rollout scale autoscale certificate cluster-info top cordon
uncordon drain taint describe logs attach exec port-forward proxy cp auth debug events diff apply patch replace wait
kustomize label annotate completion api-resources api-versions config plugin version alpha options help"""

_OC = """adm login logout new-app new-project project projects whoami start-build import-image image registry rsh rsync
tag status rollback cancel-build process policy extract secrets observe idle get-token serviceaccounts debug ex"""

_DOCKER = """run exec ps build pull push images login logout search version info builder buildx checkpoint compose
container context image manifest network plugin system trust volume config node secret service stack swarm attach
commit cp create diff events export history import inspect kill load logs pause port rename restart rm rmi save start
stats stop tag top unpause update wait help scout model mcp init debug desktop extension offload ai sandbox"""

_HELM = """completion create dependency env get help history install lint list ls package plugin pull push registry
repo rollback search show status template test uninstall delete upgrade verify version dep inspect fetch"""

_KUBE = "KUBE"
_HTTP = "HTTP_PROXY HTTPS_PROXY http_proxy https_proxy NO_PROXY no_proxy ALL_PROXY SSL_ CURL_"

TOOLS: Mapping[str, Tool] = {
    "curl": _tool("aE:K:C:b:c:d:qD:fF:P:GgIH:h0ik46jlLMm:n:No:Z#U:pQ:r:e:JORX:SsY:y:231t:z:T:Bu:A:vVw:x:", _CURL,
                  reads=_HTTP),
    "free": _tool("bkmghltvVwLs:c:", "bytes kilo mega giga tera peta exa kibi mebi gibi tebi pebi exbi human si lohi"
                  " line total committed seconds= count= wide help version"),
    "ss": _tool("hVHQOnraloempTuietdwxS460ibEZzN:KA:D:Mf:F:sB", _SS),
    "grep": _tool("A:B:C:D:EFGHILPRTUVZab:cd:e:f:hilm:noqrsuvwxyz#X:".replace("b:", "b"), _GREP, reads="GREP_"),
    "jq": _tool("snrRjacCMSef:L:bVhie", _JQ, reads="JQ_"),
    "ab": _tool("n:c:t:s:b:B:p:u:T:v:wix:y:z:C:H:A:P:X:VkdSqlg:e:rhZ:f:m:E:I"),
    "systemctl": _tool("aH:M:P:Tfhiln:o:p:qrs:t:C:", _SYSTEMCTL, _SYSTEMCTL_VERBS, "SYSTEMD_"),
    "journalctl": _tool("D:F:M:N:S:U:abcefg:hkmn:o:p:qrt:u:xIT:i:", _JOURNALCTL, reads="SYSTEMD_"),
    "sysctl": _tool("aAXbeNnpfr:qwoxdhVSl", "all deprecated dry-run binary ignore names values load= system pattern="
                    " quiet write help version"),
    "nginx": _tool("?hvVtTqs:p:e:c:g:"),
    "redis-cli": _tool("h:p:s:t:a:u:r:i:n:23xX:d:D:ce?46", _REDIS_CLI, reads="REDISCLI_"),
    "find": _tool(long=_FIND, dashed=True),
    "kubectl": _tool(verbs=_KUBECTL, reads=_KUBE),
    "oc": _tool(verbs=f"{_KUBECTL} {_OC}", reads=_KUBE),
    "docker": _tool(verbs=_DOCKER, reads="DOCKER_ COMPOSE_ BUILDKIT_"),
    "helm": _tool(verbs=_HELM, reads="HELM_ KUBE"),
    "git": _tool(verbs="""add am apply archive bisect blame branch bundle checkout cherry cherry-pick clean clone commit
        config describe diff fetch format-patch fsck gc grep init log ls-files ls-remote ls-tree merge mv pull push
        rebase reflog remote rename reset restore revert rm show stash status submodule switch tag worktree""",
        reads="GIT_ SSH_"),
}  # fmt: skip
"""The programs whose options or verbs are known."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What reads none of the operator's own settings: an export in front of it is for somebody else.
SILENT = _names("""
    ab awk cat chmod chown cp cut date df dig du echo egrep fgrep find free grep gzip head hostname htop iostat ip jq
    kill killall ls lsof mkdir mount mv netstat nginx nslookup pgrep ping pkill printf ps pwd redis-cli rm sed sleep
    sort ss stat sync sysctl systemctl service tail tar tee test [ time top touch tr true uname uniq uptime vmstat w
    wc which curl docker kubectl helm journalctl export unset cd exit : set supervisorctl
""")

# Programs that everybody means when they write the name; a word near one of them, and no other program, is a slip.
KNOWN = (
    SILENT
    | frozenset(TOOLS)
    | _names("""
    alias amtool ansible ansible-playbook apk apt apt-get argocd aws az base64 bash bc brew bunzip2 bzip2 cargo ceph
    certbot cfssl chgrp cloud column comm command crictl crontab cscli ctr dd declare diff dmesg dnf dpkg env etcdctl
    eval eksctl fdisk file flux fsck gcloud getent getopts git go gpg gunzip gsutil haproxy head host hostnamectl id
    ifconfig ionice ipcs iptables java jstack jmap jcmd journalctl k9s kafka-topics kinit kustomize less let ln local
    locale logger login logrotate ls lsblk lsmod lspci lsusb make man mc md5sum minikube mkfs mktemp modprobe mongo
    mongosh more mpstat mysql mysqladmin mysqldump mtr nano nc ncdu nft nice nmap node nohup nomad nproc npm npx
    nsenter numactl oc openssl passwd patch perf pg_dump pg_restore pidof pidstat pip pip3 podman pm2 poetry psql
    promtool pvs python python3 rabbitmqctl rclone read readlink readonly realpath reboot redis-server renice
    resize2fs restic return rpm rsync ruby sar scp screen scutil seq sftp sha256sum shift shopt shred shuf shutdown
    smartctl socat source split sqlite3 ssh ssh-keygen strace strings su sudo sum swapoff swapon systemd-analyze
    systemd-resolve tcpdump telnet terraform timeout timedatectl tmux traceroute trap tree type ulimit umask umount
    unxz unzip update-ca-certificates useradd usermod vault velero vi vim visudo vgs wait watch wget whereis who
    whoami xargs xz yarn yq yum zcat zgrep zip zless zstd . cal cmp dirname basename expr false fg bg jobs kubeadm
    kubectx kubens kubelet etcd nslookup lvs lvm lvextend mdadm parted partprobe iotop iftop nethogs atop glances
    pstree pmap slabtop gdb ltrace blkid findmnt fio conntrack ethtool arp route arping brctl nmcli resolvectl
    loginctl networkctl coredumpctl machinectl busctl postgres pg_ctl pg_isready pgbench pgbouncer vacuumdb createdb
    dropdb valkey-cli valkey-server memcached mongodump mongorestore clickhouse clickhouse-client influx cqlsh
    nodetool consul caddy traefik envoy apachectl httpd a2ensite logcli mimirtool thanos cortextool tkn kn istioctl
    linkerd cilium hubble calicoctl kops kind k3s k3d rke
""")
)

# Names that exist nowhere, and what is meant.
WRONG_NAMES = {
    "rediscli": "redis-cli", "kubctl": "kubectl", "kubeclt": "kubectl", "kubetcl": "kubectl", "sytemctl": "systemctl",
    "systemclt": "systemctl", "systmctl": "systemctl", "journactl": "journalctl", "jounralctl": "journalctl",
    "dokcer": "docker", "crul": "curl", "grpe": "grep", "gti": "git", "sduo": "sudo", "helmm": "helm",
    "service-ctl": "systemctl", "kubernetes": "kubectl", "nginxctl": "nginx", "mysql-cli": "mysql",
    "postgresql": "psql", "redis-client": "redis-cli",
}  # fmt: skip


def distance(one: str, other: str) -> int:
    """The fewest letters to put in, take out, change or swap (Damerau and Levenshtein, neighbours only)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        above, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and b == one[i - 2]:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]


def near(name: str, names: frozenset[str], *, least: int = 5) -> str:
    """The one of `names` that is one slip away from `name`; empty where there is none, or it is too short to tell."""
    if name in names or len(name) < least:
        return ""
    return next((other for other in sorted(names) if len(other) >= least - 1 and distance(name, other) == 1), "")
