/* zproxy(8): options, and the exit status. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "balance/answer_file.h"
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

/* What the start would stumble over. */
static bool files_can_be_opened(const struct config *conf, const char *file)
{
    bool all = true;
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct config_pool *p = &conf->pool[i];
        struct answer_file *f = p->file == NULL ? NULL : answer_file_open(p->file);
        if (p->file != NULL && f == NULL) {
            fprintf(stderr, "%s: [pool %s] file: %s: %s\n", file, p->name, p->file,
                    errno == EINVAL ? "not a regular file" : strerror(errno));
            all = false;
        }
        answer_file_unref(f);
    }
    return all;
}

static int check(const struct config *conf, const char *file)
{
    struct budget budget;
    struct privileges privileges;
    const char *key = NULL;
    uint64_t descriptors = budget_raise_descriptors();
    if (privileges_find(&privileges, &conf->global, &key) < 0) {
        fprintf(stderr, "%s: [global] %s: no such %s on this machine\n", file, key, key);
        return PROXY_BAD_CONFIG;
    }
    if (!files_can_be_opened(conf, file))
        return PROXY_BAD_CONFIG;
    budget_compute(&budget, conf, descriptors, privileges_will_be_limited(&privileges));
    printf("%s: ok\n", file);
    budget_print(&budget, conf, stdout, "note: ");
    print_missing(conf);
    return PROXY_ENDED;
}

static int check_and_free(struct config *conf, const char *file)
{
    int status = check(conf, file);
    config_free(conf);
    return status;
}

static int print_and_free(struct config *conf)
{
    config_print(conf, stdout);
    config_free(conf);
    return PROXY_ENDED;
}

static int act(enum action action, const struct proxy_setup *setup)
{
    switch (action) {
    case RUN:
        return proxy_run(setup);
    case CHECK:
        return check_and_free(setup->conf, setup->file);
    case PRINT:
        return print_and_free(setup->conf);
    }
    return PROXY_BAD_CONFIG;
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
    while ((option = getopt(argc, argv, "c:tTp:vh")) != -1) {
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
            return PROXY_ENDED;
        case 'h':
            usage(stdout);
            return PROXY_ENDED;
        default: /* getopt(3) has said what is wrong */
            fprintf(stderr, "zproxy: try zproxy -h\n");
            return PROXY_BAD_CONFIG;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "zproxy: %s: no such argument is expected; try zproxy -h\n", argv[optind]);
        return PROXY_BAD_CONFIG;
    }
    struct config *conf = config_load(file, stderr);
    if (conf == NULL)
        return PROXY_BAD_CONFIG;
    if (!names_are_resolvable(conf, file, stderr) || !can_serve_http(conf, file)) {
        config_free(conf);
        return PROXY_BAD_CONFIG;
    }
    const struct proxy_setup setup = { file, conf, pid_file, argv };
    return act(action, &setup);
}
