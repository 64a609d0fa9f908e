#include "config_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- The directory --- */

char dir[64];
int old_dir;
char *errors;
size_t errors_size;

static void enter_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || strlen(tmp) > 32)
        tmp = "/tmp";
    snprintf(dir, sizeof dir, "%s/zproxy-config-XXXXXX", tmp);
    old_dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    errors = NULL;
}

static void remove_contents(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e = NULL; d != NULL && (e = readdir(d)) != NULL;) {
        char name[600];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (e->d_name[0] == '.' || unlink(name) == 0)
            continue;
        remove_contents(name);
        rmdir(name);
    }
    if (d != NULL)
        closedir(d);
}

static void leave_dir(void)
{
    free(errors);
    remove_contents(".");
    ck_assert_int_eq(fchdir(old_dir), 0);
    close(old_dir);
    rmdir(dir);
}

void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

void write_file(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

struct config *load_file(const char *path)
{
    free(errors);
    FILE *out = open_memstream(&errors, &errors_size);
    struct config *c = config_load(path, out);
    fclose(out);
    ck_assert_int_eq(c == NULL, errors[0] != '\0'); /* either a configuration or errors */
    return c;
}

struct config *load(const char *text)
{
    write_file("a.ini", text);
    return load_file("a.ini");
}

struct config *load_good(const char *text)
{
    struct config *c = load(text);
    ck_assert_msg(c != NULL, "%s", errors);
    return c;
}

void expect_good(const char *text)
{
    config_free(load_good(text));
}

void expect_errors(const char *text, const char *expected)
{
    struct config *c = load(text);
    ck_assert_ptr_null(c);
    ck_assert_str_eq(errors, expected);
}

/* --- Files --- */

const char full_config[] = "[global]\n"
                           "workers = 3\n"
                           "node = edge-1.example\n"
                           "cpu_affinity = yes\n"
                           "max_connections = 1000\n"
                           "user = www-data\n"
                           "group = 33\n"
                           "chroot = /var/empty\n"
                           "pid_file = /run/z.pid\n"
                           "log = syslog:local3\n"
                           "log_level = debug\n"
                           "log_format = json\n"
                           "access_log = /var/log/my access.log\n"
                           "relay = copy\n"
                           "pipe_size = 1m\n"
                           "max_pipes = 99\n"
                           "busy_poll = 50\n"
                           "shutdown_delay = 5s\n"
                           "shutdown_timeout = off\n"
                           "nameserver = 10.0.0.53, [2001:db8::53]:5353\n"
                           "nameserver = [2001:db8::54]\n"
                           "resolve_min = 2s\n"
                           "resolve_max = 1h\n"
                           "resolve_retry = 500ms\n"
                           "resolve_hold = off\n"
                           "[admin]\n"
                           "socket = /run/z.sock\n"
                           "socket_mode = 0660\n"
                           "http = 127.0.0.1:9273\n"
                           "[listen web]\n"
                           "bind = 127.0.0.1:80, [::1]:80\n"
                           "bind = unix:/run/web.sock mode=0660 user=www-data group=33\n"
                           "bind = [::1]:8000-8099 freebind device=lo\n"
                           "pool = web\n"
                           "idle_timeout = 10m\n"
                           "half_close_timeout = 1500ms\n"
                           "session_timeout = 2d\n"
                           "max_connections = 7\n"
                           "backlog = 128\n"
                           "nodelay = no\n"
                           "keepalive = 60s/10s/6\n"
                           "tcp_user_timeout = 30s\n"
                           "fastopen = 256\n"
                           "defer_accept = 5s\n"
                           "receive_buffer = 64k\n"
                           "send_buffer = 128k\n"
                           "congestion = reno\n"
                           "dscp = af21\n"
                           "notsent_lowat = 128k\n"
                           "accept_proxy = yes\n"
                           "trusted_proxies = 10.0.0.0/8, 2001:db8::1, unix:\n"
                           "route = sni=a.example|*.b.example alpn=h2 pool=more\n"
                           "route = alpn=acme-tls/1 pool=sorry\n"
                           "preread_timeout = 2s\n"
                           "allow = 10.0.0.0/8\n"
                           "deny = 10.1.0.0/16, 2001:db8::/32\n"
                           "allow = unix:\n"
                           "deny = all\n"
                           "max_connections_per_ip = 20\n"
                           "rate_limit_per_ip = 600/m\n"
                           "per_ip6_prefix = 56\n"
                           "upload_rate = 250/s\n"
                           "download_rate = 10m/s\n"
                           "[pool web]\n"
                           "server = 10.0.0.1:80 name=a weight=256 backup "
                           "max_connections=9 state=drain\n"
                           "server = unix:@b state=maint check_address=10.0.0.2:81\n"
                           "server = db1.example:5432\n"
                           "server = srv:_redis._tcp.example. weight=2 name=c\n"
                           "empty = yes\n"
                           "balance = hash\n"
                           "hash_key = source_port\n"
                           "connect_timeout = off\n"
                           "retries = 0\n"
                           "max_fails = 0\n"
                           "fail_timeout = 1m\n"
                           "max_queue = 100\n"
                           "queue_timeout = off\n"
                           "queue_when = down\n"
                           "slow_start = 30s\n"
                           "check = send\n"
                           "check_port = 81\n"
                           "check_send_proxy = yes\n"
                           "check_tls = yes\n"
                           "tls = yes\n"
                           "tls_ca = /etc/ssl/ca.pem\n"
                           "tls_verify = yes\n"
                           "tls_name = www.example\n"
                           "tls_certificate = /etc/ssl/a.pem key=/etc/ssl/a.key\n"
                           "tls_min = 1.3\n"
                           "tls_max = 1.3\n"
                           "tls_ciphers = ECDHE+AESGCM\n"
                           "tls_ciphersuites = TLS_AES_128_GCM_SHA256\n"
                           "tls_groups = X25519:P-256\n"
                           "tls_alpn = h2, http/1.1\n"
                           "tls_kernel = no\n"
                           "check_send = PING\\r\\n\n"
                           "check_expect = +PONG\\r\\n\n"
                           "check_interval = 1s\n"
                           "check_timeout = 500ms\n"
                           "check_rise = 1\n"
                           "check_fall = 5\n"
                           "on_down = close\n"
                           "fallback = more\n"
                           "send_proxy = v2\n"
                           "source = 10.0.0.5\n"
                           "congestion = cubic\n"
                           "dscp = 7\n"
                           "notsent_lowat = 16k\n"
                           "[pool more]\n"
                           "server = 10.0.0.1:80\n"
                           "check = http\n"
                           "check_path = /health?x=1\n"
                           "check_host = www.example:8080\n"
                           "check_status = 204\n"
                           "fallback = sorry\n"
                           "source = client\n"
                           "[pool sorry]\n"
                           "file = /var/www/sorry.http\n"
                           "[listen ports]\n"
                           "bind = 10.0.0.7:1-9, fd:web, fd:3\n"
                           "pool = ports\n"
                           "[listen tls]\n"
                           "bind = 10.0.0.7:443\n"
                           "pool = ports\n"
                           "tls = yes\n"
                           "tls_certificate = /etc/ssl/a.pem key=/etc/ssl/a.key\n"
                           "tls_certificate = /etc/ssl/b.pem\n"
                           "tls_min = 1.3\n"
                           "tls_max = 1.3\n"
                           "tls_ciphers = ECDHE+AESGCM\n"
                           "tls_ciphersuites = TLS_AES_128_GCM_SHA256\n"
                           "tls_groups = X25519:P-256\n"
                           "tls_alpn = h2, http/1.1\n"
                           "tls_client_ca = /etc/ssl/clients.pem\n"
                           "tls_verify_client = optional\n"
                           "tls_unknown_name = reject\n"
                           "tls_tickets = yes\n"
                           "tls_ticket_key = /etc/zproxy/new.key\n"
                           "tls_ticket_key = /etc/zproxy/old.key\n"
                           "tls_kernel = yes\n"
                           "[pool ports]\n"
                           "server = 10.0.0.9\n"
                           "server = [2001:db8::9] name=b\n"
                           "balance = hash\n"
                           "hash_key = sni\n"
                           "send_proxy = v1\n"
                           "[pool steps]\n"
                           "server = 10.0.0.1:80\n"
                           "check = send\n"
                           "check_step = send AUTH secret\\r\\n\n"
                           "check_step = expect +OK\n"
                           "check_step = expect_regex ^role:master\n";

const char *long_line(size_t n, const char *tail)
{
    static char text[8192];
    size_t begin = (size_t)sprintf(text, MINIMAL "[global]\n");
    size_t key = (size_t)sprintf(text + begin, "pid_file = /");
    memset(text + begin + key, 'x', n - key);
    sprintf(text + begin + n, "%s\n", tail);
    return text;
}

/* --- Printing and comparing --- */

char *print(const struct config *c)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print(c, out);
    fclose(out);
    return text;
}

static void on_difference(void *arg, const char *section, const char *key, const char *before,
                          const char *after)
{
    fprintf(arg, "[%s] %s: %s > %s\n", section, key == NULL ? "-" : key,
            before == NULL ? "-" : before, after == NULL ? "-" : after);
}

char *compare(const struct config *from, const struct config *to, size_t *count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    *count = config_compare(from, to, on_difference, out);
    fclose(out);
    return text;
}

void expect_round_trip(const char *text)
{
    struct config *c = load_good(text);
    char *printed = print(c);
    struct config *again = load_good(printed);
    char *printed_again = print(again);
    size_t count = 1;
    char *differences = compare(c, again, &count);
    ck_assert_str_eq(differences, "");
    ck_assert_uint_eq(count, 0);
    ck_assert_str_eq(printed_again, printed);
    free(differences);
    free(printed_again);
    free(printed);
    config_free(again);
    config_free(c);
}

int config_rig_main(const char *name, void (*add)(TCase *))
{
    Suite *s = suite_create(name);
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, enter_dir, leave_dir);
    tcase_set_timeout(t, 30);
    add(t);
    suite_add_tcase(s, t);
    return suite_main(s);
}
