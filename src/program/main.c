/* zproxy(8): options, and the exit status. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "balance/resolver.h"
#include "build.h"
#include "config/config.h"
#include "control/budget.h"
#include "control/http.h"
#include "control/inherited.h"
#include "control/names.h"
#include "control/privileges.h"
#include "program/proxy.h"
#include "relay/mover.h"

enum action {
    RUN,
    CHECK,
    PRINT,
};

static void usage(FILE *out)
{
    fprintf(out, "usage: zproxy [-c FILE] [-t] [-T] [-p PIDFILE] [-v] [-h]\n"
                 "  -c FILE     configuration (default: " SYSCONFDIR "/zproxy.ini)\n"
                 "  -t          check the configuration and say what this machine allows\n"
                 "  -T          print the configuration with all defaults filled in\n"
                 "  -p PIDFILE  write the process number there\n"
                 "  -v          print versions and abilities\n"
                 "  -h          print this\n");
}

static void version(void)
{
#ifdef ZPROXY_SPLICE
    const char *splice = mover_can_splice() ? "yes" : "no (refused by this kernel)";
#else
    const char *splice = "no (not in this build)";
#endif
    printf("zproxy %s\nlibuv %s\ninih %s\nc-ares %s\nlibmicrohttpd %s\nsplice: %s\n",
           PACKAGE_VERSION, uv_version_string(), INIH_VERSION, resolver_version(), http_version(),
           splice);
}

/* A check need not be started as the service is. */
static void print_missing(const struct config *conf)
{
    struct inherited inherited;
    if (inherited_init(&inherited) == 0)
        inherited_print_missing(&inherited, conf, stdout, "note: ");
    inherited_fini(&inherited);
}

static void check(const struct config *conf, const char *file)
{
    struct budget budget;
    struct privileges privileges;
    const char *ignored = NULL;
    uint64_t descriptors = budget_raise_descriptors();
    (void)privileges_find(&privileges, &conf->global, &ignored);
    budget_compute(&budget, conf, descriptors, privileges_will_be_limited(&privileges));
    printf("%s: ok\n", file);
    budget_print(&budget, conf, stdout, "note: ");
    print_missing(conf);
}

/* What was asked for is said, or the exit status tells that it is not. */
static int said(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return PROXY_ENDED;
    fprintf(stderr, "zproxy: standard output: %s\n", strerror(errno));
    return PROXY_CANNOT_START;
}

static int say(enum action action, struct config *conf, const char *file)
{
    if (action == CHECK)
        check(conf, file);
    else
        config_print(conf, stdout);
    config_free(conf);
    return said();
}

static bool can_serve_http(const struct config *conf, const char *file)
{
    if (conf->admin.http.len == 0 || http_is_built())
        return true;
    fprintf(stderr, "%s: [admin] http: this zproxy was built without libmicrohttpd\n", file);
    return false;
}

int main(int argc, char **argv)
{
    const char *file = SYSCONFDIR "/zproxy.ini";
    const char *pid_file = NULL;
    enum action action = RUN;
    int option;
    while ((option = getopt(argc, argv, ":c:tTp:vh")) != -1) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 't':
            action = CHECK;
            break;
        case 'T':
            action = PRINT;
            break;
        case 'p':
            pid_file = optarg;
            break;
        case 'v':
            version();
            return said();
        case 'h':
            usage(stdout);
            return said();
        case ':':
            fprintf(stderr, "zproxy: -%c: no value, expected %s; try zproxy -h\n", optopt,
                    optopt == 'c' ? "a FILE" : "a PIDFILE");
            return PROXY_BAD_CONFIG;
        default:
            fprintf(stderr, "zproxy: -%c: no such option; try zproxy -h\n", optopt);
            return PROXY_BAD_CONFIG;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "zproxy: %s: no such argument is expected; try zproxy -h\n", argv[optind]);
        return PROXY_BAD_CONFIG;
    }
    struct config *conf = (action == CHECK ? config_load_here : config_load)(file, stderr);
    if (conf == NULL)
        return PROXY_BAD_CONFIG;
    if (!names_are_resolvable(conf, file, stderr) || !can_serve_http(conf, file)) {
        config_free(conf);
        return PROXY_BAD_CONFIG;
    }
    if (action != RUN)
        return say(action, conf, file);
    const struct proxy_setup setup = { file, conf, pid_file, argv };
    return proxy_run(&setup);
}
