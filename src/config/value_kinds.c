#include "config/value_kinds.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/log.h"
#include "config/config.h"

/* --- Keepalive: yes, no, or TIME/INTERVAL/COUNT within the limits of the kernel --- */

static const struct value keepalive_on = VALUE_BOOL;
static const struct value keepalive_seconds = VALUE_DURATION(1000, 32767 * 1000, NULL);
static const struct value keepalive_count = VALUE_COUNT(1, 127, NULL);

static int parse_seconds(uint64_t *out, const char *text, struct value_error *error)
{
    int rc = value_parse(&keepalive_seconds, out, text, error);
    if (rc == 0 && *out % 1000 != 0)
        return value_invalid(error, text, "not whole seconds, expected a time such as 60s");
    return rc;
}

static int parse_keepalive_times(struct config_keepalive *k, char *text, struct value_error *error)
{
    char *interval = strchr(text, '/');
    char *count = strchr(interval + 1, '/');
    int rc = 0;
    if (count == NULL)
        return value_invalid(error, text,
                             "not understood, expected TIME/INTERVAL/COUNT as in "
                             "60s/10s/6");
    *interval++ = '\0';
    *count++ = '\0';
    if ((rc = parse_seconds(&k->time, text, error)) < 0 ||
        (rc = parse_seconds(&k->interval, interval, error)) < 0)
        return rc;
    return value_parse(&keepalive_count, &k->count, count, error);
}

static int parse_keepalive(const struct value *v, void *out, const char *text,
                           struct value_error *error)
{
    struct config_keepalive k = { .on = true };
    char *copy = NULL;
    int rc = 0;
    (void)v;
    if (strchr(text, '/') == NULL) {
        if (value_parse(&keepalive_on, &k.on, text, error) < 0)
            return value_invalid(error, text,
                                 "not understood, expected yes, no, or "
                                 "TIME/INTERVAL/COUNT as in 60s/10s/6");
    } else {
        if ((rc = value_strdup(&copy, text, error)) < 0)
            return rc;
        rc = parse_keepalive_times(&k, copy, error);
        free(copy);
    }
    if (rc == 0)
        *(struct config_keepalive *)out = k;
    return rc;
}

static void print_keepalive(const struct value *v, const void *in, FILE *out)
{
    const struct config_keepalive *k = in;
    (void)v;
    if (k->time == 0) {
        value_print(&keepalive_on, &k->on, out);
        return;
    }
    value_print(&keepalive_seconds, &k->time, out);
    fputc('/', out);
    value_print(&keepalive_seconds, &k->interval, out);
    fputc('/', out);
    value_print(&keepalive_count, &k->count, out);
}

const struct value_kind value_kind_keepalive = { parse_keepalive, print_keepalive, NULL };

/* --- Busy polling: auto, off, or a number of microseconds --- */

static const struct value busy_poll_us = VALUE_COUNT(1, 1000, "auto");

static int parse_busy_poll(const struct value *v, void *out, const char *text,
                           struct value_error *error)
{
    (void)v;
    if (strcmp(text, "off") == 0) {
        *(uint64_t *)out = CONFIG_BUSY_POLL_OFF;
        return 0;
    }
    if (value_parse(&busy_poll_us, out, text, error) == 0)
        return 0;
    return value_invalid(error, text,
                         "not understood, expected auto, off, or microseconds from 1 to 1000");
}

static void print_busy_poll(const struct value *v, const void *in, FILE *out)
{
    (void)v;
    if (*(const uint64_t *)in == CONFIG_BUSY_POLL_OFF)
        fputs("off", out);
    else
        value_print(&busy_poll_us, in, out);
}

const struct value_kind value_kind_busy_poll = { parse_busy_poll, print_busy_poll, NULL };

/* --- Log targets --- */

static const char *const target_words[] = {
    [LOG_TARGET_STDERR] = "stderr", [LOG_TARGET_SYSLOG] = "syslog", [LOG_TARGET_FILE] = NULL,
    [LOG_TARGET_SAME] = "same",     [LOG_TARGET_OFF] = "off",
};

const char *const log_target_words[] = { "stderr", "syslog", NULL };
const char *const access_log_target_words[] = { "same", "off", "stderr", "syslog", NULL };

static const struct facility {
    const char *name;
    int number;
} facilities[] = {
    { "daemon", LOG_DAEMON }, { "user", LOG_USER },     { "local0", LOG_LOCAL0 },
    { "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
    { "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },
    { "local7", LOG_LOCAL7 }, { "auth", LOG_AUTH },     { "authpriv", LOG_AUTHPRIV },
    { "cron", LOG_CRON },     { "ftp", LOG_FTP },       { "lpr", LOG_LPR },
    { "mail", LOG_MAIL },     { "news", LOG_NEWS },     { "syslog", LOG_SYSLOG },
    { "uucp", LOG_UUCP },
};

static const struct facility *facility_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++)
        if (strcmp(facilities[i].name, name) == 0)
            return &facilities[i];
    return NULL;
}

static const char *facility_name(int number)
{
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++)
        if (facilities[i].number == number)
            return facilities[i].name;
    return facilities[0].name;
}

/* Reads one of the words that v allows. Returns false if text is none of them. */
static bool parse_log_target_word(const struct value *v, enum log_target_kind *kind,
                                  const char *text)
{
    unsigned allowed = 0;
    struct value_error ignored;
    const struct value words = VALUE_CHOICE(v->choices);
    if (value_parse(&words, &allowed, text, &ignored) < 0)
        return false;
    for (size_t i = 0; i < sizeof target_words / sizeof *target_words; i++)
        if (target_words[i] != NULL && strcmp(target_words[i], text) == 0)
            *kind = (enum log_target_kind)i;
    return true;
}

static int parse_facility(struct log_target *t, const char *name, struct value_error *error)
{
    const struct facility *f = facility_by_name(name);
    if (f == NULL)
        return value_invalid(error, name,
                             "unknown facility, expected daemon, user, local0 to local7, or "
                             "another one of syslog(3)");
    t->kind = LOG_TARGET_SYSLOG;
    t->facility = f->number;
    return 0;
}

static int parse_log_target(const struct value *v, void *out, const char *text,
                            struct value_error *error)
{
    static const struct value path = VALUE_PATH;
    static const char prefix[] = "syslog:";
    struct log_target t = { .kind = LOG_TARGET_FILE, .facility = LOG_DAEMON };
    int rc = 0;
    if (strncmp(text, prefix, strlen(prefix)) == 0)
        rc = parse_facility(&t, text + strlen(prefix), error);
    else if (text[0] == '/')
        rc = value_parse(&path, &t.path, text, error);
    else if (!parse_log_target_word(v, &t.kind, text))
        rc = value_invalid(error, text,
                           "unknown, expected %ssyslog, syslog:FACILITY, stderr, or "
                           "a path that begins with /",
                           v->choices == log_target_words ? "" : "same, off, ");
    if (rc == 0)
        *(struct log_target *)out = t;
    return rc;
}

static void print_log_target(const struct value *v, const void *in, FILE *out)
{
    const struct log_target *t = in;
    (void)v;
    fputs(t->kind == LOG_TARGET_FILE ? t->path : target_words[t->kind], out);
    if (t->kind == LOG_TARGET_SYSLOG && t->facility != LOG_DAEMON)
        fprintf(out, ":%s", facility_name(t->facility));
}

static void free_log_target(void *value)
{
    struct log_target *t = value;
    free(t->path);
    t->path = NULL;
}

const struct value_kind value_kind_log_target = { parse_log_target, print_log_target,
                                                  free_log_target };

/* --- Rates: 100/s --- */

static const struct period {
    const char *unit;
    uint64_t ms;
} periods[] = {
    { "s", VALUE_SECOND },
    { "m", 60 * VALUE_SECOND },
    { "h", VALUE_HOUR },
    { "d", VALUE_DAY },
};
#define PERIOD_COUNT (sizeof periods / sizeof *periods)

/* Reads COUNT/UNIT. */
static bool read_rate(const struct value *v, struct config_rate *r, const char *text)
{
    const struct value count = VALUE_COUNT(v->min, v->max, NULL);
    struct value_error ignored;
    char number[24];
    const char *slash = strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof number)
        return false;
    snprintf(number, sizeof number, "%.*s", (int)(slash - text), text);
    if (value_parse(&count, &r->count, number, &ignored) < 0)
        return false;
    for (size_t i = 0; i < PERIOD_COUNT; i++)
        if (strcmp(slash + 1, periods[i].unit) == 0)
            r->period = periods[i].ms;
    return r->period != 0;
}

static int parse_rate(const struct value *v, void *out, const char *text, struct value_error *error)
{
    struct config_rate r = { .count = 0 };
    if (strcmp(text, v->zero_word) == 0 || read_rate(v, &r, text)) {
        *(struct config_rate *)out = r;
        return 0;
    }
    return value_invalid(
        error, text,
        "not understood, expected a rate (100/s, 600/m, 1000/h, 5000/d) of %llu to "
        "%llu, or %s",
        (unsigned long long)v->min, (unsigned long long)v->max, v->zero_word);
}

static void print_rate(const struct value *v, const void *in, FILE *out)
{
    const struct config_rate *r = in;
    if (r->count == 0)
        fputs(v->zero_word, out);
    for (size_t i = 0; i < PERIOD_COUNT && r->count > 0; i++)
        if (periods[i].ms == r->period)
            fprintf(out, "%llu/%s", (unsigned long long)r->count, periods[i].unit);
}

const struct value_kind value_kind_rate = { parse_rate, print_rate, NULL };
