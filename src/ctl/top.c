#include "ctl/top.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/human.h"
#include "ctl/screen.h"

#define INTERVAL_MS 1000
#define SESSIONS    "json show sessions busiest 200"
#define FRAME_ROWS  7 /* that are not a server's or a session's */

/* What zproxy said at one moment. */
struct view {
    json_t *info;
    json_t *servers;
    json_t *sessions;
    uint64_t at; /* ms */
};

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void view_free(struct view *v)
{
    json_decref(v->info);
    json_decref(v->servers);
    json_decref(v->sessions);
    memset(v, 0, sizeof *v);
}

static int ask(struct talk *t, const char *command, json_t **out)
{
    char *answer = NULL;
    int rc = talk_ask(t, false, command, &answer);
    if (rc < 0)
        return rc;
    *out = json_loads(answer, 0, NULL);
    free(answer);
    return *out == NULL ? -EBADMSG : 0;
}

static int look(struct talk *t, struct view *v)
{
    memset(v, 0, sizeof *v);
    v->at = clock_ms();
    int rc = ask(t, "json show info", &v->info);
    if (rc == 0)
        rc = ask(t, "json show servers", &v->servers);
    if (rc == 0)
        rc = ask(t, SESSIONS, &v->sessions);
    if (rc < 0)
        view_free(v);
    return rc;
}

/* ---- values ---- */

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n < 0 ? 0 : (uint64_t)n;
}

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s == NULL || *s == '\0' ? "-" : s;
}

static uint64_t rate(uint64_t now, uint64_t before, uint64_t ms)
{
    return now <= before || ms == 0 ? 0 : (now - before) * 1000 / ms;
}

/* The same server in the view before, or NULL. */
static const json_t *find_before(const struct view *before, const json_t *server)
{
    size_t i = 0;
    const json_t *other = NULL;
    json_array_foreach(before->servers, i,
                       other) if (strcmp(text(other, "server"), text(server, "server")) == 0 &&
                                  strcmp(text(other, "address"), text(server, "address")) ==
                                      0) return other;
    return NULL;
}

static uint64_t moved(const json_t *server)
{
    return number(server, "sent") + number(server, "received");
}

/* ---- the picture ---- */

static void put_head(const struct view *v, const struct view *before, FILE *out)
{
    char up[HUMAN_MAX];
    char relayed[HUMAN_MAX];
    uint64_t ms = v->at - before->at;
    const json_t *i = v->info;
    const json_t *b = before->info;
    uint64_t bytes = number(i, "spliced") + number(i, "copied");
    uint64_t bytes_before = number(b, "spliced") + number(b, "copied");
    fprintf(out, "zproxy %s   pid %" PRIu64 "   up %s   configuration %" PRIu64 "%s\n",
            text(i, "version"), number(i, "pid"), human_time(number(i, "uptime_ms"), up),
            number(i, "configuration"),
            json_is_true(json_object_get(i, "draining")) ? "   draining" : "");
    fprintf(out,
            "sessions %" PRIu64 " of %" PRIu64 "   new %" PRIu64 "/s   bytes %s   workers %" PRIu64
            "\n\n",
            number(i, "sessions"), number(i, "max_sessions"),
            rate(number(i, "sessions_total"), number(b, "sessions_total"), ms),
            human_rate(rate(bytes, bytes_before, ms), relayed), number(i, "workers"));
}

/* A server that was not there before has no rates yet. */
static void put_server(const struct view *v, const struct view *before, const json_t *s, FILE *out)
{
    char bytes[HUMAN_MAX];
    uint64_t ms = v->at - before->at;
    const json_t *b = find_before(before, s);
    b = b == NULL ? s : b;
    fprintf(out, "%-20.20s %-5s %-6s %7" PRIu64 " %7" PRIu64 " %8" PRIu64 " %10s  %s\n",
            text(s, "server"), text(s, "state"), text(s, "status"), number(s, "active"),
            rate(number(s, "connections"), number(b, "connections"), ms),
            rate(number(s, "failures"), number(b, "failures"), ms),
            human_rate(rate(moved(s), moved(b), ms), bytes), text(s, "why"));
}

static void put_servers(const struct view *v, const struct view *before, size_t rows, FILE *out)
{
    size_t i = 0;
    const json_t *s = NULL;
    size_t count = json_array_size(v->servers);
    fprintf(out, "%-20s %-5s %-6s %7s %7s %8s %10s  %s\n", "SERVER", "STATE", "STATUS", "ACTIVE",
            "NEW/S", "FAILED/S", "BYTES", "WHY");
    json_array_foreach(v->servers, i, s)
    {
        if (i + 1 == rows && count > rows) {
            fprintf(out, "... and %zu more\n", count - i);
            break;
        }
        put_server(v, before, s, out);
    }
}

static void put_session(const json_t *s, FILE *out)
{
    char bytes[HUMAN_MAX];
    char up[HUMAN_MAX];
    char down[HUMAN_MAX];
    char age[HUMAN_MAX];
    fprintf(out, "%8" PRIu64 " %9s %7s %7s %6s  %-21s %s\n", number(s, "id"),
            human_rate(number(s, "rate_per_second"), bytes), human_bytes(number(s, "up"), up),
            human_bytes(number(s, "down"), down), human_time(number(s, "age_ms"), age),
            text(s, "client"), text(s, "server"));
}

static void put_sessions(const struct view *v, size_t rows, FILE *out)
{
    size_t i = 0;
    const json_t *s = NULL;
    fprintf(out, "\n%8s %9s %7s %7s %6s  %-21s %s\n", "SESSION", "BYTES", "UP", "DOWN", "AGE",
            "CLIENT", "SERVER");
    json_array_foreach(v->sessions, i, s) if (i < rows) put_session(s, out);
}

/* Servers have two thirds of the height at most. */
static void draw(const struct view *v, const struct view *before)
{
    char *picture = NULL;
    size_t size = 0;
    size_t rows = 0;
    size_t columns = 0;
    FILE *out = open_memstream(&picture, &size);
    if (out == NULL)
        return;
    screen_size(&rows, &columns);
    size_t room = rows > FRAME_ROWS ? rows - FRAME_ROWS : 0;
    size_t servers = json_array_size(v->servers);
    size_t most = 2 * room / 3 > 0 ? 2 * room / 3 : 1;
    servers = servers < most ? servers : most;
    put_head(v, before, out);
    put_servers(v, before, servers, out);
    put_sessions(v, room > servers ? room - servers : 0, out);
    if (fclose(out) == 0)
        screen_draw(picture);
    free(picture);
}

/* Draws again when the size of the screen has changed. Returns the time to look again, or false. */
static bool show(const struct view *v, const struct view *before)
{
    uint64_t next = v->at + INTERVAL_MS;
    for (uint64_t now = clock_ms(); now < next; now = clock_ms()) {
        draw(v, before);
        int key = screen_wait((int)(next - now));
        if (key == -1 || key == 'q' || key == 'Q')
            return false;
    }
    return true;
}

int top_run(struct talk *t)
{
    struct view before;
    struct view v;
    int rc = look(t, &before);
    if (rc == 0)
        rc = screen_open();
    if (rc < 0)
        return rc;
    bool more = show(&before, &before);
    while (more && (rc = look(t, &v)) == 0) {
        more = show(&v, &before);
        view_free(&before);
        before = v;
    }
    view_free(&before);
    screen_close();
    return rc;
}
