#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "config/config.h"
#include "config_rig.h"

/* A bad value of a key; `before` is a file up to the section of the key. */
static const struct {
    const char *before;
    const char *line;
    const char *expected;
} refused[] = {
    { POOL "[listen l]\npool = p\n", "bind = *:80,\n",
      "[listen l] bind: \"\": empty, expected ADDRESS:PORT or unix:/PATH\n" },
    { POOL "[listen l]\npool = p\n", "bind =\n",
      "[listen l] bind: \"\": empty, expected ADDRESS:PORT or unix:/PATH\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80 10.0.0.1:81\n",
      "[listen l] bind: \"10.0.0.1:81\": unknown option, expected mode=, user=, group=, freebind or device=, and a "
      "comma between two addresses\n" },
    { POOL "[listen l]\npool = p\n", "bind = unix:/run/a freebind\n",
      "[listen l] bind: \"unix:/run/a\": has no IP address, expected freebind and device= only with "
      "one\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80 device=sixteen-letters-\n",
      "[listen l] bind: \"sixteen-letters-\": not the name of an interface, expected at most 15 "
      "bytes\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:0\n",
      "[listen l] bind: \"*:0\": bad port, expected a number from 1 to 65535\n" },
    { POOL "[listen l]\nbind = *:80\n", "pool = p, q\n",
      "[listen l] pool: \"p, q\": not a name, expected 1 to 64 of letters, digits and . _ - :\n" },
    { POOL LISTEN, "keepalive = maybe\n",
      "[listen l] keepalive: \"maybe\": not understood, expected yes, no, or "
      "TIME/INTERVAL/COUNT as in 60s/10s/6\n" },
    { POOL LISTEN, "keepalive = 60s/10s\n",
      "[listen l] keepalive: \"60s/10s\": not understood, expected TIME/INTERVAL/COUNT as in "
      "60s/10s/6\n" },
    { POOL LISTEN, "keepalive = 60s/10s/200\n",
      "[listen l] keepalive: \"200\": too large, expected a number from 1 to 127\n" },
    { POOL LISTEN, "keepalive = 60s/10s/6/1\n",
      "[listen l] keepalive: \"6/1\": not understood, expected a number from 1 to 127\n" },
    { POOL LISTEN, "keepalive = 1500ms/10s/6\n",
      "[listen l] keepalive: \"1500ms\": not whole seconds, expected a time such as 60s\n" },
    { MINIMAL "[global]\n", "busy_poll = 2000\n",
      "[global] busy_poll: \"2000\": not understood, expected auto, off, or microseconds from 1 to "
      "1000\n" },
    { POOL LISTEN, "congestion = no such\n",
      "[listen l] congestion: \"no such\": not the name of an algorithm, expected one such as cubic "
      "or bbr, or kernel\n" },
    { POOL LISTEN, "congestion = sixteen-letters-\n",
      "[listen l] congestion: \"sixteen-letters-\": not the name of an algorithm, expected one such "
      "as cubic or bbr, or kernel\n" },
    { POOL LISTEN, "dscp = 64\n",
      "[listen l] dscp: \"64\": not understood, expected a number from 0 to 63, a name (cs0 to cs7, "
      "af11 to af43, ef, va, le), or kernel\n" },
    { LISTEN "[pool p]\nserver = 10.0.0.1:80\n", "dscp = af14\n",
      "[pool p] dscp: \"af14\": not understood, expected a number from 0 to 63, a name (cs0 to cs7, "
      "af11 to af43, ef, va, le), or kernel\n" },
    { POOL LISTEN, "notsent_lowat = 0\n",
      "[listen l] notsent_lowat: \"0\": too small, expected a size (4096, 64k, 1m, 2g) from 1 to "
      "1g, or kernel\n" },
    { POOL LISTEN, "backlog = 0\n",
      "[listen l] backlog: \"0\": too small, expected a number from 1 to 65535\n" },
    { LISTEN "[pool p]\n", "server =\n",
      "[pool p] server: \"\": empty, expected ADDRESS:PORT and options\n" },
    { LISTEN "[pool p]\n", "server = web1\n",
      "[pool p] server: \"web1\": port missing, expected ADDRESS:PORT\n" },
    { LISTEN "[pool p]\n", "server = web1:0\n",
      "[pool p] server: \"web1:0\": bad port, expected a number from 1 to 65535\n" },
    { LISTEN "[pool p]\n", "server = web1:http\n",
      "[pool p] server: \"web1:http\": bad port, expected a number from 1 to 65535\n" },
    { LISTEN "[pool p]\n", "server = web..example:80\n",
      "[pool p] server: \"web..example:80\": an empty label, expected a name such as db1.example\n" },
    { LISTEN "[pool p]\n", "server = -web.example:80\n",
      "[pool p] server: \"-web.example:80\": a label begins or ends with \"-\", expected a letter "
      "or a digit\n" },
    { LISTEN "[pool p]\n", "server = w@b:80\n",
      "[pool p] server: \"w@b:80\": not a name, expected letters, digits, \"-\" and \"_\" between "
      "dots\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.256:80\n",
      "[pool p] server: \"10.0.0.256:80\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = web.10:80\n",
      "[pool p] server: \"web.10:80\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = srv:redis.example\n",
      "[pool p] server: \"srv:redis.example\": not a service, expected srv:_SERVICE._tcp.DOMAIN, "
      "or a name of SRV records such as srv:redis.service.consul\n" },
    { LISTEN "[pool p]\n", "server = 0x7f000702:7001\n",
      "[pool p] server: \"0x7f000702:7001\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = 127.0.0.0X1:7001\n",
      "[pool p] server: \"127.0.0.0X1:7001\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = web.0xAF.:7001\n",
      "[pool p] server: \"web.0xAF.:7001\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = 0177.1:7001\n",
      "[pool p] server: \"0177.1:7001\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = srv:a.b.0x1f\n",
      "[pool p] server: \"srv:a.b.0x1f\": an address, expected the name of a service\n" },
    { LISTEN "[pool p]\n", "server = srv:_redis.example.org\n",
      "[pool p] server: \"srv:_redis.example.org\": not a service, expected "
      "srv:_SERVICE._tcp.DOMAIN, or a name of SRV records such as srv:redis.service.consul\n" },
    { LISTEN "[pool p]\n", "server = srv:_redis._tcp\n",
      "[pool p] server: \"srv:_redis._tcp\": not a service, expected srv:_SERVICE._tcp.DOMAIN, "
      "or a name of SRV records such as srv:redis.service.consul\n" },
    { LISTEN "[pool p]\n", "server = srv:_redis._tcp.example:6379\n",
      "[pool p] server: \"srv:_redis._tcp.example:6379\": a port, expected none: SRV records have it\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 check_address=web1:81\n",
      "[pool p] server: check_address=\"web1:81\": a name, expected a numeric address\n" },
    { MINIMAL, "check_step =\n",
      "[pool p] check_step: \"\": unknown step, expected send BYTES, expect BYTES, expect_not BYTES "
      "or expect_regex ERE\n" },
    { MINIMAL, "check_step = sned PING\n",
      "[pool p] check_step: \"sned PING\": unknown step, expected send BYTES, expect BYTES, "
      "expect_not BYTES or expect_regex ERE\n" },
    { MINIMAL, "check_step = send\n",
      "[pool p] check_step: \"\": empty, expected text, with escapes as in PING\\r\\n\n" },
    { MINIMAL, "check_step = expect_not \\q\n",
      "[pool p] check_step: \"\\q\": bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, \\xHH with two "
      "hexadecimal digits, or another escape of C\n" },
    { MINIMAL, "check_step = expect_regex\n",
      "[pool p] check_step: \"\": empty, expected an extended regular expression, as in "
      "^role:(master|slave)\n" },
    { MINIMAL, "check_step = expect_regex a(b\n",
      "[pool p] check_step: \"a(b\": Unmatched ( or \\(, expected an extended regular expression, "
      "regex(7)\n" },
    { MINIMAL, "check_step = expect_regex (a)\\1\n",
      "[pool p] check_step: \"\\1\": bad backslash, expected \\r \\n \\t, \\xHH with two hexadecimal "
      "digits that are not 00, or one of regex(7) without back references\n" },
    { MINIMAL, "check_step = expect_regex a\\x00\n",
      "[pool p] check_step: \"\\x00\": bad backslash, expected \\r \\n \\t, \\xHH with two "
      "hexadecimal digits that are not 00, or one of regex(7) without back references\n" },
    { MINIMAL, "check_port = 0\n",
      "[pool p] check_port: \"0\": too small, expected a number from 1 to 65535\n" },
    { MINIMAL, "check_port = 65536\n",
      "[pool p] check_port: \"65536\": too large, expected a number from 1 to 65535\n" },
    { MINIMAL, "check_port = http\n",
      "[pool p] check_port: \"http\": not understood, expected a number from 1 to 65535\n" },
    { MINIMAL, "check_port =\n",
      "[pool p] check_port: \"\": not understood, expected a number from 1 to 65535\n" },
    { MINIMAL, "check_send_proxy = v2\n",
      "[pool p] check_send_proxy: \"v2\": unknown, expected auto, no or yes\n" },
    { MINIMAL, "check_tls = maybe\n",
      "[pool p] check_tls: \"maybe\": unknown, expected auto, no or yes\n" },
    { MINIMAL, "tls_ca = ca.pem\n",
      "[pool p] tls_ca: \"ca.pem\": expected system, or a path that begins with /\n" },
    { MINIMAL, "tls_certificate = /a.pem chain=/b.pem\n",
      "[pool p] tls_certificate: \"chain\": unknown option, expected key=\n" },
    { MINIMAL, "tls_min = 1.1\n", "[pool p] tls_min: \"1.1\": unknown, expected 1.2 or 1.3\n" },
    { MINIMAL, "tls_alpn = h2 h3\n",
      "[pool p] tls_alpn: \"h2 h3\": not a protocol, expected one as in h2 or http/1.1\n" },
    { MINIMAL, "tls_ciphers = A B\n",
      "[pool p] tls_ciphers: \"A B\": not a list, expected names with : between them, or "
      "library\n" },
    { MINIMAL, "empty = 0\n", "[pool p] empty: \"0\": not understood, expected yes or no\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 check_address=*:81\n",
      "[pool p] server: check_address=\"*:81\": a wildcard, expected an address to connect to\n" },
    { LISTEN "[pool p]\n", "server = 0.0.0.0:80\n",
      "[pool p] server: \"0.0.0.0:80\": a wildcard, expected an address to connect to\n" },
    { LISTEN "[pool p]\n", "server = [::]:80\n",
      "[pool p] server: \"[::]:80\": a wildcard, expected an address to connect to\n" },
    { LISTEN "[pool p]\n", "server = *:81\n",
      "[pool p] server: \"*:81\": a wildcard, expected an address to connect to\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80, 10.0.0.2:80\n",
      "[pool p] server: \"10.0.0.1:80, 10.0.0.2:80\": a comma, expected one server per line, its "
      "options separated by spaces\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 wieght=3\n",
      "[pool p] server: \"wieght\": unknown option, did you mean \"weight\"?\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 fast\n",
      "[pool p] server: \"fast\": unknown option, expected name=, weight=, backup, "
      "max_connections=, state= or check_address=\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight=0\n",
      "[pool p] server: weight=\"0\": too small, expected a number from 1 to 256\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight\n",
      "[pool p] server: \"weight\": no value, expected weight=...\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight = 3\n",
      "[pool p] server: \"weight\": no value, expected weight=...\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 weight=1 weight=1\n",
      "[pool p] server: \"weight\": given twice\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 name=a name=b\n",
      "[pool p] server: \"name\": given twice\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 backup=yes\n",
      "[pool p] server: \"backup\": takes no value, expected the word alone\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 state=up\n",
      "[pool p] server: state=\"up\": unknown, expected ready, drain or maint\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 name=\n",
      "[pool p] server: name=\"\": not a name, expected 1 to 64 of letters, digits and . _ - :\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.1:80 name=a/b\n",
      "[pool p] server: name=\"a/b\": not a name, expected 1 to 64 of letters, digits and . _ - "
      ":\n" },
    { MINIMAL, "check_send = \n",
      "[pool p] check_send: \"\": empty, expected text, with escapes as in PING\\r\\n\n" },
    { MINIMAL, "check_send = a\\q\n",
      "[pool p] check_send: \"\\q\": bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, \\xHH with "
      "two hexadecimal digits, or another escape of C\n" },
    { MINIMAL, "check_expect = a\\x1\n",
      "[pool p] check_expect: \"\\x1\": bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, \\xHH "
      "with two hexadecimal digits, or another escape of C\n" },
    { MINIMAL, "check_expect = \\400\n",
      "[pool p] check_expect: \"\\400\": bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, \\xHH "
      "with two hexadecimal digits, or another escape of C\n" },
    { MINIMAL, "check_expect = a\\\n",
      "[pool p] check_expect: \"\\\": bad backslash, expected \\r \\n \\t \\\\ \\\" \\0, \\xHH "
      "with two hexadecimal digits, or another escape of C\n" },
    { MINIMAL, "check_expect = a\tb\n", "[pool p] check_expect: \"\tb\": a tab, expected \\t\n" },
    { MINIMAL, "check_path = health\n",
      "[pool p] check_path: \"health\": expected a path that begins with /\n" },
    { MINIMAL, "check_path = /a b\n",
      "[pool p] check_path: \"/a b\": not an HTTP path, expected visible ASCII, all other bytes "
      "and # as %HH\n" },
    { MINIMAL, "check_path = /\xc3\xa4\n",
      "[pool p] check_path: \"/\xc3\xa4\": not an HTTP path, expected visible ASCII, all other "
      "bytes and # as %HH\n" },
    { MINIMAL, "check_host = a b\n",
      "[pool p] check_host: \"a b\": not an HTTP host, expected one as in www.example or "
      "www.example:8080\n" },
    { MINIMAL, "check_host = http://a\n",
      "[pool p] check_host: \"http://a\": not an HTTP host, expected one as in www.example or "
      "www.example:8080\n" },
    { MINIMAL, "check_status = 2xx\n",
      "[pool p] check_status: \"2xx\": not understood, expected a number from 100 to 599, or two "
      "as in 200-399\n" },
    { MINIMAL, "check_status = 399-200\n",
      "[pool p] check_status: \"399-200\": in the wrong order, expected a number from 100 to 599, "
      "or two as in 200-399\n" },
    { MINIMAL, "check_status = 200-600\n",
      "[pool p] check_status: \"200-600\": out of range, expected a number from 100 to 599, or two "
      "as in 200-399\n" },
    { MINIMAL, "check = htpp\n",
      "[pool p] check: \"htpp\": unknown, expected none, tcp, http or send\n" },
    { MINIMAL, "hash_key = port\n",
      "[pool p] hash_key: \"port\": unknown, expected source, source_port or sni\n" },
    { MINIMAL, "on_down = reset\n",
      "[pool p] on_down: \"reset\": unknown, expected keep or close\n" },
    { MINIMAL, "slow_start = 30\n",
      "[pool p] slow_start: \"30\": no unit, expected a time (500ms, 5s, 2m, 1h, 1d) from 1ms to "
      "1d, or off\n" },
    { MINIMAL, "check_rise = 0\n",
      "[pool p] check_rise: \"0\": too small, expected a number from 1 to 1000\n" },
    { MINIMAL "[global]\n", "nameserver = ns.example\n",
      "[global] nameserver: \"ns.example\": a name, expected a numeric address\n" },
    { MINIMAL "[global]\n", "nameserver = ::1\n",
      "[global] nameserver: \"::1\": no brackets, expected [IPv6]:PORT\n" },
    { MINIMAL "[global]\n", "nameserver = 0.0.0.0\n",
      "[global] nameserver: \"0.0.0.0\": a wildcard, expected a single address\n" },
    { MINIMAL "[global]\n", "nameserver = unix:/run/dns\n",
      "[global] nameserver: \"unix:/run/dns\": not a name server, expected its IP address\n" },
    { MINIMAL "[global]\n", "nameserver = 10.0.0.53,\n",
      "[global] nameserver: \"\": empty, expected ADDRESS:PORT or unix:/PATH\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80-\n",
      "[listen l] bind: \"*:80-\": bad range of ports, expected two numbers from 1 to 65535\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80-65536\n",
      "[listen l] bind: \"*:80-65536\": bad range of ports, expected two numbers from 1 to "
      "65535\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80-79\n",
      "[listen l] bind: \"*:80-79\": in the wrong order, expected the lower port first\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:x-79\n",
      "[listen l] bind: \"*:x-79\": bad port, expected a number from 1 to 65535\n" },
    { POOL "[listen l]\npool = p\n", "bind = unix:/a mode=660x\n",
      "[listen l] bind: mode=\"660x\": not a mode, expected octal digits from 0001 to 0777, or "
      "umask\n" },
    { POOL "[listen l]\npool = p\n", "bind = unix:/a mod=0660\n",
      "[listen l] bind: \"mod\": unknown option, did you mean \"mode\"?\n" },
    { POOL "[listen l]\npool = p\n", "bind = *:80 user=x\n",
      "[listen l] bind: \"*:80\": has no file, expected mode=, user= and group= only for "
      "unix:/PATH\n" },
    { POOL "[listen l]\npool = p\n", "bind = unix:@a mode=0600\n",
      "[listen l] bind: \"unix:@a\": has no file, expected mode=, user= and group= only for "
      "unix:/PATH\n" },
    { POOL LISTEN, "route = sni=a\n",
      "[listen l] route: \"sni=a\": no pool, expected [sni=NAME] [alpn=PROTOCOL] pool=NAME\n" },
    { POOL LISTEN, "route =\n",
      "[listen l] route: \"\": no pool, expected [sni=NAME] [alpn=PROTOCOL] pool=NAME\n" },
    { POOL LISTEN, "route = pool=p\n",
      "[listen l] route: \"pool=p\": no condition, expected sni=, alpn= or both\n" },
    { POOL LISTEN, "route = sni=a sni=b pool=p\n", "[listen l] route: \"sni\": given twice\n" },
    { POOL LISTEN, "route = host=a pool=p\n",
      "[listen l] route: \"host\": unknown option, expected sni=, alpn= or pool=\n" },
    { POOL LISTEN, "route = sni=a| pool=p\n",
      "[listen l] route: sni=\"\": an empty label, expected a name such as db1.example\n" },
    { POOL LISTEN, "route = sni=10.0.0.1 pool=p\n",
      "[listen l] route: sni=\"10.0.0.1\": an address, expected a name: hellos have no addresses\n" },
    { POOL LISTEN, "route = sni=a.example. pool=p\n",
      "[listen l] route: sni=\"a.example.\": a dot at the end, expected the name without it\n" },
    { POOL LISTEN, "route = sni=a*.example pool=p\n",
      "[listen l] route: sni=\"a*.example\": \"*\" replaces whole labels at the start only, expected "
      "*.example.com\n" },
    { POOL LISTEN, "route = alpn=h2| pool=p\n",
      "[listen l] route: alpn=\"\": not a protocol, expected one as in h2 or http/1.1\n" },
    { POOL LISTEN, "allow = 10.0.0.1/8\n",
      "[listen l] allow: \"10.0.0.1/8\": bits are set beyond the prefix, expected 10.0.0.0/8\n" },
    { POOL LISTEN, "deny = everybody\n",
      "[listen l] deny: \"everybody\": a name, expected a numeric network\n" },
    { POOL LISTEN, "rate_limit_per_ip = 100\n",
      "[listen l] rate_limit_per_ip: \"100\": not understood, expected a rate (100/s, 600/m, "
      "1000/h, 5000/d) of 1 to 1000000000, or off\n" },
    { POOL LISTEN, "rate_limit_per_ip = 0/s\n",
      "[listen l] rate_limit_per_ip: \"0/s\": not understood, expected a rate (100/s, 600/m, "
      "1000/h, 5000/d) of 1 to 1000000000, or off\n" },
    { POOL LISTEN, "per_ip6_prefix = 129\n",
      "[listen l] per_ip6_prefix: \"129\": too large, expected a number from 1 to 128\n" },
    { POOL LISTEN, "upload_rate = 10m\n",
      "[listen l] upload_rate: \"10m\": not understood, expected bytes a second (250/s, 64k/s, "
      "10m/s, 1g/s) from 1/s to 1024g/s, or off\n" },
    { MINIMAL, "send_proxy = yes\n",
      "[pool p] send_proxy: \"yes\": unknown, expected no, v1 or v2\n" },
    { MINIMAL, "source = 10.0.0.1:80\n",
      "[pool p] source: \"10.0.0.1:80\": unknown, expected kernel, client, or an IP address "
      "without a port\n" },
    { MINIMAL, "source = 0.0.0.0\n",
      "[pool p] source: \"0.0.0.0\": a wildcard, expected a single address\n" },
    { LISTEN "[pool p]\n", "server = 10.0.0.999\n",
      "[pool p] server: \"10.0.0.999\": not an IPv4 address, expected four numbers from 0 to "
      "255\n" },
    { LISTEN "[pool p]\n", "server = 0.0.0.0\n",
      "[pool p] server: \"0.0.0.0\": a wildcard, expected a single address\n" },
    { LISTEN "[pool p]\n", "server = 2001:db8::1\n",
      "[pool p] server: \"2001:db8::1\": no brackets, expected [IPv6]:PORT\n" },
    { POOL "[listen l]\npool = p\n", "bind = fd:2\n",
      "[listen l] bind: \"fd:2\": not a descriptor from systemd, expected fd:3 or above\n" },
    { POOL "[listen l]\npool = p\n", "bind = fd:\n",
      "[listen l] bind: \"fd:\": not a socket from systemd, expected fd:NAME or fd:3\n" },
    { POOL "[listen l]\npool = p\n", "bind = fd:a:1-2\n",
      "[listen l] bind: \"fd:a:1-2\": not a socket from systemd, expected fd:NAME or fd:3\n" },
    { POOL "[listen l]\npool = p\n", "bind = fd:a mode=0600\n",
      "[listen l] bind: \"fd:a\": has no file, expected mode=, user= and group= only for "
      "unix:/PATH\n" },
    { MINIMAL "[admin]\n", "socket = run/z.sock\n",
      "[admin] socket: \"run/z.sock\": not a unix socket, expected a path that begins with "
      "/\n" },
    { MINIMAL "[admin]\n", "socket = 127.0.0.1:80\n",
      "[admin] socket: \"127.0.0.1:80\": not a unix socket, expected a path that begins with "
      "/\n" },
    { MINIMAL "[admin]\n", "socket_mode = rw\n",
      "[admin] socket_mode: \"rw\": not a mode, expected octal digits from 0001 to 0777\n" },
    { MINIMAL "[admin]\n", "http = 9273\n",
      "[admin] http: \"9273\": port missing, expected ADDRESS:PORT\n" },
    { MINIMAL "[global]\n", "log = off\n",
      "[global] log: \"off\": unknown, expected syslog, syslog:FACILITY, stderr, or a path that "
      "begins with /\n" },
    { MINIMAL "[global]\n", "log = zproxy.log\n",
      "[global] log: \"zproxy.log\": unknown, expected syslog, syslog:FACILITY, stderr, or a path "
      "that begins with /\n" },
    { MINIMAL "[global]\n", "access_log = none\n",
      "[global] access_log: \"none\": unknown, expected same, off, syslog, syslog:FACILITY, "
      "stderr, or a path that begins with /\n" },
    { MINIMAL "[global]\n", "log = syslog:local9\n",
      "[global] log: \"local9\": unknown facility, expected daemon, user, local0 to local7, or "
      "another one of syslog(3)\n" },
    { MINIMAL "[global]\n", "chroot = empty\n",
      "[global] chroot: \"empty\": not absolute, expected a path that begins with /\n" },
    { MINIMAL "[global]\n", "pipe_size = 4095\n",
      "[global] pipe_size: \"4095\": too small, expected a size (4096, 64k, 1m, 2g) from 4k to "
      "1g\n" },
};

START_TEST(an_invalid_value_is_reported)
{
    char text[512];
    char expected[512];
    unsigned line = 1;
    snprintf(text, sizeof text, "%s%s", refused[_i].before, refused[_i].line);
    for (const char *c = refused[_i].before; *c != '\0'; c++)
        line += *c == '\n';
    snprintf(expected, sizeof expected, "a.ini:%u: %s", line, refused[_i].expected);
    expect_errors(text, expected);
}
END_TEST

static const struct {
    const char *text;
    const char *bytes;
    size_t len;
    const char *printed; /* NULL: the same text */
} escaped[] = {
    { "PING\\r\\n", "PING\r\n", 6, NULL },
    { "a b  c", "a b  c", 6, NULL },
    { "\\a\\b\\f\\n\\r\\t\\v\\\\", "\a\b\f\n\r\t\v\\", 8, NULL },
    { "\\\"x\\'", "\"x'", 3, "\"x'" },
    { "\\0", "\0", 1, NULL },
    { "\\08\\0001",
      "\0"
      "8\0"
      "1",
      4, "\\08\\x001" },
    { "\\x00\\x1f\\xfF\\377", "\0\x1f\xff\xff", 4, "\\0\\37\\xff\\xff" },
    { "\\1\\12\\123\\1234", "\1\nSS4", 5, "\\1\\nSS4" },
    { "\\x20a\\40\\x20", " a  ", 4, "\\40a \\40" },
    { "\\43a#b \\x23 \\73c;", "#a#b # ;c;", 10, "\\43a#b \\43 \\73c;" },
    { "\xc3\xa4\\xc3\\xa4\\xc3", "\xc3\xa4\xc3\xa4\xc3", 5, "\xc3\xa4\xc3\xa4\\xc3" },
    { "\\x7f\\x80\\x1b[0m", "\x7f\x80\x1b[0m", 6, "\\x7f\\x80\\33[0m" },
};

START_TEST(bytes_are_written_with_the_escapes_of_c)
{
    char text[200];
    snprintf(text, sizeof text, MINIMAL "check = send\ncheck_send = %s\n", escaped[_i].text);
    struct config *c = load_good(text);
    ck_assert_uint_eq(c->pool[0].check_send.len, escaped[_i].len);
    ck_assert_mem_eq(c->pool[0].check_send.data, escaped[_i].bytes, escaped[_i].len);
    char *printed = print(c);
    snprintf(text, sizeof text, "\ncheck_send = %s\n",
             escaped[_i].printed == NULL ? escaped[_i].text : escaped[_i].printed);
    ck_assert_msg(strstr(printed, text) != NULL, "%s%s", printed, text);
    free(printed);
    config_free(c);
    snprintf(text, sizeof text, MINIMAL "check = send\ncheck_expect = %s\n", escaped[_i].text);
    expect_round_trip(text);
}
END_TEST

START_TEST(bytes_are_at_most_4096)
{
    char text[6000];
    size_t n = (size_t)snprintf(text, sizeof text, MINIMAL "check = send\ncheck_send =\n");
    for (int i = 0; i < 32; i++) /* 4095 bytes with the spaces between */
        n += (size_t)snprintf(text + n, sizeof text - n, " %0127d\n", 0);
    snprintf(text + n, sizeof text - n, " \\x20");
    ck_assert_ptr_null(load(text));
    ck_assert_ptr_nonnull(strstr(errors, "...\": too long, expected at most 4096 bytes\n"));
    text[n] = '\0';
    struct config *c = load_good(text);
    ck_assert_uint_eq(c->pool[0].check_send.len, 4095);
    config_free(c);
}
END_TEST

START_TEST(a_name_server_has_port_53)
{
    struct config *c = load_good(MINIMAL "[global]\nnameserver = 10.0.0.1, [::1]\n"
                                         "nameserver = 10.0.0.1:5300, [::1]:5300\n");
    static const char *const expected[] = { "10.0.0.1:53", "[::1]:53", "10.0.0.1:5300",
                                            "[::1]:5300" };
    char text[ADDR_TEXT_MAX];
    ck_assert_uint_eq(c->global.nameserver_count, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_str_eq(addr_print(&c->global.nameserver[i], text), expected[i]);
    config_free(c);
}
END_TEST

START_TEST(rates_keep_their_unit)
{
    static const struct {
        const char *text;
        uint64_t count;
        uint64_t period;
    } rates[] = {
        { "100/s", 100, 1000 }, { "60/m", 60, 60000 }, { "1/h", 1, 3600000 },
        { "5/d", 5, 86400000 }, { "off", 0, 0 },
    };
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        char text[200];
        snprintf(text, sizeof text, POOL LISTEN "rate_limit_per_ip = %s\n", rates[i].text);
        struct config *c = load_good(text);
        ck_assert_uint_eq(c->listen[0].rate_limit_per_ip.count, rates[i].count);
        ck_assert_uint_eq(c->listen[0].rate_limit_per_ip.period, rates[i].period);
        char *printed = print(c);
        ck_assert_ptr_nonnull(strstr(printed, strstr(text, "rate_limit_per_ip")));
        free(printed);
        config_free(c);
    }
}
END_TEST

START_TEST(sources_are_addresses_without_a_port)
{
    static const struct {
        const char *text;
        const char *printed;
    } sources[] = {
        { "10.0.0.1", "10.0.0.1" },
        { "2001:db8::1", "[2001:db8::1]" },
        { "[2001:db8::1]", "[2001:db8::1]" },
        { "client", "client" },
        { "kernel", "kernel" },
    };
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        char text[200];
        snprintf(text, sizeof text, LISTEN "[pool p]\nserver = a:1\nsource = %s\n",
                 sources[i].text);
        expect_round_trip(text);
        struct config *c = load_good(text);
        char *printed = print(c);
        snprintf(text, sizeof text, "\nsource = %s\n", sources[i].printed);
        ck_assert_ptr_nonnull(strstr(printed, text));
        free(printed);
        config_free(c);
    }
}
END_TEST

START_TEST(names_of_routes_are_kept_in_lower_case)
{
    struct config *c =
        load_good(POOL LISTEN "route = pool=p sni=*.Example.COM|B alpn=H2|http/1.1\n");
    const struct config_route *r = &c->listen[0].route[0];
    ck_assert_str_eq(r->sni.word[0], "*.example.com");
    ck_assert_str_eq(r->sni.word[1], "b");
    ck_assert_str_eq(r->alpn.word[0], "H2");
    ck_assert_str_eq(r->alpn.word[1], "http/1.1");
    config_free(c);
}
END_TEST

START_TEST(a_route_may_be_continued_by_its_pool)
{
    struct config *c = load_good(POOL "[listen l]\nbind = *:80\npool = p\nroute = sni=a\n"
                                      "        alpn=h2\n        pool=p\n");
    ck_assert_str_eq(c->listen[0].route[0].pool_name, "p");
    config_free(c);
    expect_errors(
        POOL "[listen l]\nbind = *:80\nroute = sni=a pool=p\n  pool = p\n",
        "a.ini:6: [listen l]: indented, so it would continue the previous line, expected no space before it\n");
    expect_errors(
        POOL "[listen l]\nbind = *:80\n  pool=p\n",
        "a.ini:5: [listen l]: indented, so it would continue the previous line, expected no space before it\n");
}
END_TEST

START_TEST(a_range_of_one_port_is_one_port)
{
    struct config *c = load_good(POOL "[listen l]\nbind = *:80-80, unix:/a:1-2\npool = p\n");
    ck_assert_uint_eq(c->listen[0].bind[0].addr_count, 1);
    ck_assert(addr_is_unix(c->listen[0].bind[1].addr));
    config_free(c);
}
END_TEST

START_TEST(keepalive_is_yes_no_or_three_numbers)
{
    struct config *c = load_good(POOL LISTEN "keepalive = no\n");
    ck_assert(!c->listen[0].keepalive.on);
    config_free(c);
    c = load_good(POOL LISTEN "keepalive = 9h/1m/127\n");
    ck_assert(c->listen[0].keepalive.on);
    ck_assert_uint_eq(c->listen[0].keepalive.time, 32400000);
    config_free(c);
}
END_TEST

START_TEST(all_log_targets_are_read)
{
    static const struct {
        const char *text;
        enum log_target_kind kind;
        int facility;
    } targets[] = {
        { "stderr", LOG_TARGET_STDERR, LOG_DAEMON },
        { "syslog", LOG_TARGET_SYSLOG, LOG_DAEMON },
        { "syslog:local0", LOG_TARGET_SYSLOG, LOG_LOCAL0 },
        { "/a/b", LOG_TARGET_FILE, LOG_DAEMON },
        { "same", LOG_TARGET_SAME, LOG_DAEMON },
        { "off", LOG_TARGET_OFF, LOG_DAEMON },
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char text[200];
        snprintf(text, sizeof text, MINIMAL "[global]\naccess_log = %s\n", targets[i].text);
        struct config *c = load_good(text);
        ck_assert_int_eq(c->global.fixed.access_log.kind, targets[i].kind);
        ck_assert_int_eq(c->global.fixed.access_log.facility, targets[i].facility);
        config_free(c);
    }
}
END_TEST

START_TEST(a_server_is_named_by_its_address_as_written)
{
    struct config *c =
        load_good(LISTEN "[pool p]\nserver = [2001:DB8:0:0::1]:080\n"
                         "server = unix:/run/a\\x20b name=b\nserver = unix:@/x@[]\n");
    ck_assert_str_eq(c->pool[0].server[0].name, "[2001:DB8:0:0::1]:080");
    ck_assert_str_eq(c->pool[0].server[1].name, "b");
    ck_assert_str_eq(c->pool[0].server[2].name, "unix:@/x@[]");
    config_free(c);
}
END_TEST

START_TEST(a_server_may_be_a_name_or_a_service)
{
    struct config *c = load_good(LISTEN "[pool p]\nserver = Web-1.my_zone.Example.:080 name=a\n"
                                        "server = localhost:1\nserver = 1and1.example:65535\n"
                                        "server = srv:_redis._tcp.example\n");
    const struct config_server *s = c->pool[0].server;
    ck_assert_str_eq(s[0].host, "Web-1.my_zone.Example.");
    ck_assert_uint_eq(s[0].port, 80);
    ck_assert_str_eq(s[1].name, "localhost:1");
    ck_assert_str_eq(s[1].host, "localhost");
    ck_assert_uint_eq(s[2].port, 65535);
    ck_assert(!s[2].service);
    ck_assert_str_eq(s[3].name, "srv:_redis._tcp.example");
    ck_assert_str_eq(s[3].host, "_redis._tcp.example");
    ck_assert(s[3].service);
    ck_assert_uint_eq(s[3].addr.len, 0);
    config_free(c);
}
END_TEST

static void add_tests(TCase *t)
{
    tcase_add_loop_test(t, an_invalid_value_is_reported, 0, COUNT(refused));
    tcase_add_loop_test(t, bytes_are_written_with_the_escapes_of_c, 0, COUNT(escaped));
    tcase_add_test(t, bytes_are_at_most_4096);
    tcase_add_test(t, a_name_server_has_port_53);
    tcase_add_test(t, rates_keep_their_unit);
    tcase_add_test(t, sources_are_addresses_without_a_port);
    tcase_add_test(t, names_of_routes_are_kept_in_lower_case);
    tcase_add_test(t, a_route_may_be_continued_by_its_pool);
    tcase_add_test(t, a_range_of_one_port_is_one_port);
    tcase_add_test(t, keepalive_is_yes_no_or_three_numbers);
    tcase_add_test(t, all_log_targets_are_read);
    tcase_add_test(t, a_server_is_named_by_its_address_as_written);
    tcase_add_test(t, a_server_may_be_a_name_or_a_service);
}

int main(void)
{
    return config_rig_main("config_values", add_tests);
}
