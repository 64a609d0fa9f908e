/* zproxy(8): options, and the exit status. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "balance/resolver.h"
#include "base/safe_open.h"
#include "build.h"
#include "config/config.h"
#include "control/budget.h"
#include "control/http.h"
#include "control/inherited.h"
#include "control/names.h"
#include "control/privileges.h"
#include "control/tls_contexts.h"
#include "control/tls_notes.h"
#include "program/proxy.h"
#include "program/service_notes.h"
#include "program/signals.h"
#include "relay/relay_stock.h"
#include "relay/sock.h"
#include "tls/tls_error.h"

enum action {
    ACTION_RUN,
    ACTION_CHECK,
    ACTION_PRINT,
};

struct options {
    const char *file;
    const char *pid_file; /* NULL: not given */
    enum action action;
};

static void zproxy_usage(FILE *out)
{
    fprintf(out, "usage: zproxy [-c FILE] [-t] [-T] [-p PIDFILE] [-v] [-h]\n"
                 "  -c, --config FILE       configuration (default: " SYSCONFDIR "/zproxy.ini)\n"
                 "  -t, --check             check the configuration and print what this machine "
                 "allows\n"
                 "  -T, --print             print the configuration with all defaults filled in\n"
                 "  -p, --pid-file PIDFILE  write the process number to PIDFILE\n"
                 "  -v, -V, --version       print versions and features\n"
                 "  -h, --help              print this\n");
}

static void version(void)
{
#ifdef ZPROXY_SPLICE
    const char *splice = relay_stock_can_splice() ? "yes" : "no (refused by this kernel)";
#else
    const char *splice = "no (not in this build)";
#endif
    printf("zproxy %s\nlibuv %s\ninih %s\nc-ares %s\nlibmicrohttpd %s\nOpenSSL %s\nsplice: %s\n",
           PACKAGE_VERSION, uv_version_string(), INIH_VERSION, resolver_version(), http_version(),
           tls_library_version(), splice);
}

/* Only notes: zproxy -t is usually not started by the service manager, so sockets may be missing.
 */
static void print_missing_sockets(const struct config *conf)
{
    struct inherited inherited;
    if (inherited_init(&inherited) == 0)
        inherited_print_missing(&inherited, conf, stdout, "note: ");
    inherited_fini(&inherited);
}

/* An address that this machine does not have may come later, as that of VRRP does. */
static void print_missing_address(const char *listen, const struct config_bind *b)
{
    char text[ADDR_TEXT_MAX];
    if (b->addr_count == 0 || !sock_address_is_missing(&b->addr[0]))
        return;
    printf("note: [listen %s] bind: %s: not an address of this machine at present%s\n", listen,
           addr_print(&b->addr[0], text),
           b->freebind ? "" : ": zproxy cannot start without freebind");
}

static void print_missing_addresses(const struct config *conf)
{
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t j = 0; j < conf->listen[i].bind_count; j++)
            print_missing_address(conf->listen[i].name, &conf->listen[i].bind[j]);
}

/* The socket opened at the start is lost when the syslog daemon restarts; zproxy then opens
 * /dev/log again, which is inside the chroot. */
static void print_syslog_note(const struct config_global *g)
{
    char path[PATH_MAX];
    bool wanted =
        g->fixed.log.kind == LOG_TARGET_SYSLOG || g->fixed.access_log.kind == LOG_TARGET_SYSLOG;
    if (g->chroot == NULL || !wanted)
        return;
    snprintf(path, sizeof path, "%s/dev/log", g->chroot);
    if (access(path, F_OK) == -1)
        printf(
            "note: [global] chroot: %s is not there: lines to syslog are lost after a restart of "
            "its daemon; have it listen there as well\n",
            path);
}

static void print_hashed_names(const struct config *conf)
{
    char text[NAMES_TEXT_MAX];
    for (size_t i = 0; i < conf->pool_count; i++)
        if (names_describe_hashed(&conf->pool[i], text, sizeof text))
            printf("note: [pool %s] balance = hash: %s\n", conf->pool[i].name, text);
}

static void print_check(const struct config *conf, const char *file)
{
    struct budget budget;
    struct privileges privileges;
    const char *ignored = NULL;
    uint64_t descriptors = budget_raise_descriptors();
    (void)privileges_find(&privileges, &conf->global, &ignored);
    budget_compute(&budget, conf, descriptors, privileges_will_be_limited(&privileges));
    printf("%s: ok\n", file);
    budget_print(&budget, conf, stdout, "note: ");
    print_missing_sockets(conf);
    print_missing_addresses(conf);
    print_syslog_note(&conf->global);
    print_hashed_names(conf);
    tls_notes_print(conf, stdout);
    service_notes_print(conf, file, stdout);
}

/* The exit status tells when the output could not be written. */
static int zproxy_flush_stdout(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return PROXY_ENDED;
    fprintf(stderr, "zproxy: standard output: %s\n", strerror(errno));
    return PROXY_CANNOT_START;
}

static int run_action(enum action action, struct config *conf, const char *file)
{
    if (action == ACTION_CHECK)
        print_check(conf, file);
    else
        config_print(conf, stdout);
    tls_contexts_free(conf);
    config_free(conf);
    return zproxy_flush_stdout();
}

static bool zproxy_can_serve_http(const struct config *conf, const char *file)
{
    if (conf->admin.http.len == 0 || http_is_built())
        return true;
    fprintf(stderr, "%s: [admin] http: this zproxy was built without libmicrohttpd\n", file);
    return false;
}

static const struct option long_options[] = {
    { "config", required_argument, NULL, 'c' },
    { "check", no_argument, NULL, 't' },
    { "print", no_argument, NULL, 'T' },
    { "pid-file", required_argument, NULL, 'p' },
    { "version", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

#define SHORT_OPTIONS ":c:tTp:vVh"

/* word: the argument before optind. For a short option it may be the argument before that one, so
 * optopt is printed instead. */
static int bad_option(int result, const char *word)
{
    const char letter[] = { '-', (char)optopt, '\0' };
    bool is_known = optopt == 0 || strchr(&SHORT_OPTIONS[1], optopt) != NULL;
    bool is_long = is_known && strncmp(word, "--", 2) == 0;
    const char *what = "no such option";
    if (result == ':')
        what = optopt == 'c' ? "no value, expected a FILE" : "no value, expected a PIDFILE";
    else if (is_long && optopt != 0)
        what = "takes no value";
    fprintf(stderr, "zproxy: %.*s: %s; try zproxy -h\n", is_long ? (int)strcspn(word, "=") : 2,
            is_long ? word : letter, what);
    return PROXY_BAD_CONFIG;
}

#define GO_ON (-1) /* no exit status */

static int read_option(struct options *o, int option, const char *word)
{
    switch (option) {
    case 'c':
        o->file = optarg;
        return GO_ON;
    case 't':
        o->action = ACTION_CHECK;
        return GO_ON;
    case 'T':
        o->action = ACTION_PRINT;
        return GO_ON;
    case 'p':
        o->pid_file = optarg;
        return GO_ON;
    case 'v':
    case 'V':
        version();
        return zproxy_flush_stdout();
    case 'h':
        zproxy_usage(stdout);
        return zproxy_flush_stdout();
    }
    return bad_option(option, word);
}

/* Returns GO_ON, or the exit status of a program that has nothing else to do. */
static int read_options(struct options *o, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, SHORT_OPTIONS, long_options, NULL)) != -1) {
        int status = read_option(o, option, argv[optind - 1]);
        if (status != GO_ON)
            return status;
    }
    if (optind == argc)
        return GO_ON;
    fprintf(stderr, "zproxy: %s: no such argument is expected; try zproxy -h\n", argv[optind]);
    return PROXY_BAD_CONFIG;
}

/* Returns NULL after an error, which was printed. */
static struct config *zproxy_load(const struct options *o)
{
    bool checks = o->action == ACTION_CHECK;
    struct config *conf = (checks ? config_load_on_machine : config_load)(o->file, stderr);
    if (conf == NULL)
        return NULL;
    if (names_are_supported(conf, o->file, stderr) && zproxy_can_serve_http(conf, o->file) &&
        (!checks || tls_contexts_check(conf, stderr) >= 0))
        return conf;
    tls_contexts_free(conf);
    config_free(conf);
    return NULL;
}

int main(int argc, char **argv)
{
    struct options o = { .file = SYSCONFDIR "/zproxy.ini", .action = ACTION_RUN };
    int rc = safe_open_stdio();
    if (rc < 0) {
        fprintf(stderr, "zproxy: /dev/null: %s\n", strerror(-rc));
        return PROXY_CANNOT_START;
    }
    rc = read_options(&o, argc, argv);
    if (rc != GO_ON)
        return rc;
    if (o.action == ACTION_RUN)
        signals_hold();
    struct config *conf = zproxy_load(&o);
    if (conf == NULL)
        return PROXY_BAD_CONFIG;
    if (o.action != ACTION_RUN)
        return run_action(o.action, conf, o.file);
    const struct proxy_setup setup = { o.file, conf, o.pid_file, argv };
    return proxy_run(&setup);
}
