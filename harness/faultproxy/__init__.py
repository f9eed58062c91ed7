"""The built-in fault proxy: a TCP proxy that speaks Toxiproxy's HTTP API, for machines where its server can't be had.

It runs as a process of its own (`python -m harness.faultproxy`) and imports nothing but the standard library. What it
does, and how it was chosen to behave where the documentation is silent, follows Toxiproxy 2.12
(https://github.com/Shopify/toxiproxy, MIT); no code of it is used. `docs/reference/fault-proxy.md` lists what differs.

    __main__ → api → proxies → proxy → connection → stage → toxics
                 ↘ web, decode, metrics, address
"""

VERSION = "2.12.0+gameday"  # the API that it speaks, and who speaks it
