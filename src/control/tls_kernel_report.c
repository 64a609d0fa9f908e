#include "control/tls_kernel_report.h"

#include <string.h>

#include "base/log.h"
#include "config/place.h"
#include "relay/relay_stock.h"
#include "tls/ktls.h"
#include "tls/ktls_support.h"

/* Why all TLS of a configuration stays in user space. */
struct reason {
    const char *error;  /* NULL: it does not */
    const char *advice; /* NULL: none */
};

static bool section_wants(bool tls, const struct config_tls *limits)
{
    return tls && limits->kernel != CONFIG_TLS_KERNEL_NO;
}

static bool wants_kernel(const struct config *conf)
{
    for (size_t i = 0; i < conf->listen_count; i++)
        if (section_wants(conf->listen[i].tls, &conf->listen[i].tls_limits))
            return true;
    for (size_t i = 0; i < conf->pool_count; i++)
        if (section_wants(conf->pool[i].tls, &conf->pool[i].tls_limits))
            return true;
    return false;
}

static struct reason find_reason(const struct config *conf, const struct ktls_support *support)
{
    if (conf->global.fixed.relay != CONFIG_RELAY_SPLICE)
        return (struct reason){ "relay = copy", NULL };
    if (!relay_stock_can_splice())
        return (struct reason){ "this build or kernel cannot splice sockets", NULL };
    if (conf->global.fixed.pipe_size < (uint64_t)KTLS_RECORD_SLOTS * PIPE_PAGE)
        return (struct reason){ "pipe_size is below 72k, the room that a record needs", NULL };
    return (struct reason){ support->error, support->advice };
}

/* ---- tls_kernel = yes ---- */

static bool section_requires(bool tls, const struct config_tls *limits)
{
    return tls && limits->kernel == CONFIG_TLS_KERNEL_YES;
}

static int refuse_section(const struct config *conf, enum section_kind kind, size_t i,
                          struct reason why, FILE *errors)
{
    return place_report(conf, kind, i, "tls_kernel", 0, errors, "the kernel cannot have it: %s%s%s",
                        why.error, why.advice == NULL ? "" : ": ",
                        why.advice == NULL ? "" : why.advice);
}

/* Returns 0; or -1 after writing the errors. */
static int refuse(const struct config *conf, struct reason why, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        if (section_requires(conf->listen[i].tls, &conf->listen[i].tls_limits))
            rc = refuse_section(conf, SECTION_LISTEN, i, why, errors);
    for (size_t i = 0; i < conf->pool_count; i++)
        if (section_requires(conf->pool[i].tls, &conf->pool[i].tls_limits))
            rc = refuse_section(conf, SECTION_POOL, i, why, errors);
    return rc;
}

static bool requires_kernel(const struct config *conf)
{
    bool requires = false;
    for (size_t i = 0; i < conf->listen_count; i++)
        requires |= section_requires(conf->listen[i].tls, &conf->listen[i].tls_limits);
    for (size_t i = 0; i < conf->pool_count; i++)
        requires |= section_requires(conf->pool[i].tls, &conf->pool[i].tls_limits);
    return requires;
}

int tls_kernel_report_check(const struct config *conf, FILE *errors)
{
    struct ktls_support support;
    if (!requires_kernel(conf))
        return 0;
    ktls_support_test(&support);
    struct reason why = find_reason(conf, &support);
    return why.error == NULL ? 0 : refuse(conf, why, errors);
}

/* ---- the log ---- */

static void log_kernel(const struct ktls_support *support, struct reason why)
{
    struct log_line line;
    if (!log_is_enabled(why.advice != NULL ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE))
        return;
    if (why.advice != NULL)
        log_begin(&line, LOG_LEVEL_WARNING, "tls_kernel");
    else
        log_begin(&line, LOG_LEVEL_NOTICE, "tls_kernel");
    log_str(&line, "relay", why.error == NULL ? "kernel" : "user");
    if (why.error != NULL)
        log_str(&line, "error", why.error);
    if (why.advice != NULL)
        log_str(&line, "advice", why.advice);
    if (why.error == NULL && support->loses_bytes)
        log_str(&line, "note",
                "this kernel drops bytes of a record for which a pipe has no room; zproxy never "
                "splices so");
    log_str(&line, "msg",
            why.error == NULL ? "the kernel encrypts and decrypts, TLS sessions are spliced"
                              : "TLS sessions are relayed in user space");
    log_end(&line);
}

/* Whether this differs from the last one that was logged. */
static bool has_changed(const char *error)
{
    static const char *last;
    static bool logged;
    bool same =
        logged && (error == NULL) == (last == NULL) && (error == NULL || strcmp(error, last) == 0);
    logged = true;
    last = error;
    return !same;
}

int tls_kernel_report_update(const struct config *conf, FILE *errors)
{
    if (!wants_kernel(conf))
        return 0;
    ktls_support_update();
    struct reason why = find_reason(conf, ktls_support());
    if (why.error != NULL && refuse(conf, why, errors) < 0)
        return -1;
    if (has_changed(why.error))
        log_kernel(ktls_support(), why);
    return 0;
}

/* ---- for people ---- */

const char *tls_kernel_report_where(const struct config *conf)
{
    if (!wants_kernel(conf))
        return NULL;
    struct reason why = find_reason(conf, ktls_support());
    return why.error == NULL ? "usable" : why.error;
}

void tls_kernel_report_print_note(const struct config *conf, FILE *out)
{
    struct ktls_support support;
    if (!wants_kernel(conf))
        return;
    ktls_support_test(&support);
    struct reason why = find_reason(conf, &support);
    if (why.error != NULL)
        fprintf(out, "note: TLS is relayed in user space: %s%s%s\n", why.error,
                why.advice == NULL ? "" : ": ", why.advice == NULL ? "" : why.advice);
}
