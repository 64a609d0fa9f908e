#include "control/reload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"
#include "control/config_change.h"
#include "control/privileges.h"
#include "control/tls_changes.h"
#include "control/tls_contexts.h"

/* systemd wants the time of the reload (sd_notify(3), MONOTONIC_USEC). After STOPPING=1 no
 * RELOADING=1 must be sent. */
static void report_reloading(struct runtime *rt)
{
    if (rt->draining)
        return;
    notify_send(&rt->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, uv_hrtime() / 1000);
}

static void report_ready(struct runtime *rt)
{
    if (rt->draining)
        return;
    const char *failure = rt->reload_failure.reason;
    char text[HUMAN_MAX];
    notify_send(&rt->notify, "READY=1\nSTATUS=relaying with %s, configuration %u%s%s",
                human_count(rt->workers.active, "worker", text), rt->current->number,
                failure == NULL ? "" : "; the last reload failed: ",
                failure == NULL ? "" : failure);
}

static void on_difference(void *arg, const char *section, const char *key, const char *before,
                          const char *after)
{
    FILE *out = arg;
    if (key == NULL)
        fprintf(out, "[%s]: %s\n", section, before == NULL ? "new" : "removed");
    else if (before == NULL)
        fprintf(out, "[%s] %s: new: %s\n", section, key, after);
    else if (after == NULL)
        fprintf(out, "[%s] %s: removed: %s\n", section, key, before);
    else
        fprintf(out, "[%s] %s: %s -> %s\n", section, key, before, after);
}

static void ignore_difference(void *arg, const char *section, const char *key, const char *before,
                              const char *after)
{
    (void)arg;
    (void)section;
    (void)key;
    (void)before;
    (void)after;
}

/* Changes to conf, or without commit only previews the change. Takes ownership of conf. Returns as
 * reload_file(). */
static int reload_attempt(struct runtime *rt, struct config *conf, bool commit, FILE *out)
{
    struct config_change *config_change = NULL;
    char *differences = NULL;
    size_t size = 0;
    FILE *list = open_memstream(&differences, &size);
    size_t count = list == NULL ? 0 : config_compare(runtime_conf(rt), conf, on_difference, list);
    int rc = commit ? config_change_prepare(rt, conf, out, &config_change)
                    : config_change_preview(rt, conf, out);
    if (rc == 0 && list != NULL)
        count += tls_changes_print(runtime_conf(rt), conf, list);
    if (list != NULL)
        fclose(list);
    if (rc == 0)
        fprintf(out, "%s", count == 0 ? "no difference\n" : differences);
    if (rc == 0 && commit)
        config_change_commit(config_change);
    if (!commit)
        config_change_preview_end(conf);
    free(differences);
    return rc < 0 ? -1 : count > 0;
}

static int reload_run(struct runtime *rt, const char *file, const char *place, bool commit,
                      char **text)
{
    size_t size = 0;
    int rc = -1;
    *text = NULL;
    FILE *out = open_memstream(text, &size);
    if (out == NULL)
        return -1;
    if (rt->draining) {
        fprintf(out, "zproxy is draining: its configuration cannot be changed any more\n");
    } else {
        struct config *conf = config_load_as(file, place, out);
        if (conf != NULL)
            rc = reload_attempt(rt, conf, commit, out);
    }
    fclose(out);
    return rc;
}

static void log_lines(enum log_level level, const char *event, const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        log_msg(level, event, "%.*s", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

/* Keeps the first error; the log has all. */
static void save_failure(struct runtime *rt, const char *lines)
{
    size_t len = strcspn(lines, "\n");
    reload_clear_failure(rt);
    rt->reload_failure.time = uv_now(rt->loop);
    rt->reload_failure.reason = strndup(lines, len);
}

void reload_clear_failure(struct runtime *rt)
{
    free(rt->reload_failure.reason);
    rt->reload_failure.reason = NULL;
}

static void log_in_force(const struct runtime *rt)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "reload");
    log_uint(&line, "generation", rt->current->number);
    log_fmt(&line, "msg", "%s: configuration %u is in force", rt->file, rt->current->number);
    log_end(&line);
}

int reload_file(struct runtime *rt, char **text)
{
    report_reloading(rt);
    int rc = reload_run(rt, rt->file, NULL, true, text);
    const char *lines = *text == NULL ? "out of memory" : *text;
    if (rc >= 0) {
        rt->reloads++;
        reload_clear_failure(rt);
        log_lines(LOG_LEVEL_INFO, "reload_change", lines);
        log_in_force(rt);
        privileges_warn(runtime_conf(rt));
    } else {
        rt->failed_reloads++;
        save_failure(rt, lines);
        log_lines(LOG_LEVEL_ERROR, "reload_error", lines);
        log_msg(LOG_LEVEL_ERROR, "reload", "%s: not reloaded, nothing has changed", rt->file);
    }
    report_ready(rt);
    return rc;
}

/* The file is read again: it may have changed since conf was read. */
void reload_if_changed(struct runtime *rt, const struct config *conf)
{
    char *text = NULL;
    if (config_compare(runtime_conf(rt), conf, ignore_difference, NULL) == 0)
        return;
    (void)reload_file(rt, &text);
    free(text);
}

int reload_preview(struct runtime *rt, const char *file, const char *place, char **text)
{
    return reload_run(rt, file, place, false, text);
}
