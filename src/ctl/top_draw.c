#include "ctl/top_draw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "ctl/screen.h"

#define NAME_MIN    20 /* least width of the names of servers */
#define OTHER_WIDTH 75 /* width of the other columns, with 18 for the reason */
#define FRAME_ROWS  8  /* rows other than servers and sessions */

#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define BOLD   "\033[1m"
#define DIM    "\033[2m"
#define PLAIN  "\033[0m"

/* ---- the head ---- */

static uint64_t top_draw_per_second(const struct top_view *v, const struct top_view *before,
                                    const char *const keys[2])
{
    uint64_t now = 0;
    uint64_t then = 0;
    uint64_t ms = v->at - before->at;
    for (size_t i = 0; i < 2 && keys[i] != NULL; i++) {
        now += top_number(v->info, keys[i]);
        then += top_number(before->info, keys[i]);
    }
    return now <= then || ms == 0 ? 0 : (now - then) * 1000 / ms;
}

static void top_draw_put_head(const struct top_view *v, const struct top_view *before, FILE *out)
{
    static const char *const bytes[2] = { "spliced", "copied" };
    static const char *const sessions[2] = { "sessions_total", NULL };
    char up[HUMAN_MAX];
    char relayed[HUMAN_MAX];
    const json_t *i = v->info;
    fprintf(out,
            BOLD "zproxy %s" PLAIN "   pid %" PRIu64 "   up %s   generation %" PRIu64
                 "%s   node %s\n",
            top_text(i, "version"), top_number(i, "pid"),
            human_time(top_number(i, "uptime_ms"), up), top_number(i, "generation"),
            json_is_true(json_object_get(i, "draining"))  ? YELLOW "   draining" PLAIN
            : json_is_true(json_object_get(i, "leaving")) ? YELLOW "   leaving" PLAIN
                                                          : "",
            top_text(i, "node"));
    fprintf(out,
            "sessions %" PRIu64 " of %" PRIu64 "   new %" PRIu64 "/s   bytes %s   workers %" PRIu64
            "\n",
            top_number(i, "sessions"), top_number(i, "sessions_limit"),
            top_draw_per_second(v, before, sessions),
            human_rate(top_draw_per_second(v, before, bytes), relayed), top_number(i, "workers"));
}

static const char *severity_colour(const json_t *problem)
{
    return strcmp(top_text(problem, "severity"), "critical") == 0 ? RED : YELLOW;
}

/* One line: the first problem in full, then the subjects of others. */
static void top_draw_put_problems(const struct top_view *v, FILE *out)
{
    size_t i = 0;
    const json_t *p = NULL;
    size_t count = json_array_size(v->problems);
    if (count > 1)
        fprintf(out, "%zu problems: ", count);
    json_array_foreach(v->problems, i, p)
    {
        fprintf(out, "%s%s%s" PLAIN, i == 0 ? "" : ", ", severity_colour(p),
                top_text(p, "subject"));
        if (i == 0)
            fprintf(out, ": %s", top_text(p, "problem"));
    }
    fputs("\n\n", out);
}

/* ---- tables ---- */

/* The width of the longest name, or less if the other columns need the room. */
static int name_width(const struct top_view *v, const size_t *match, size_t count, size_t columns)
{
    size_t width = NAME_MIN;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(top_text(v->row[match[i]].server, "server"));
        width = len > width ? len : width;
    }
    size_t room = columns > OTHER_WIDTH + NAME_MIN ? columns - OTHER_WIDTH : NAME_MIN;
    return (int)(width < room ? width : room);
}

static const char *row_colour(const struct top_server *row)
{
    if (row->trouble)
        return RED;
    return strcmp(top_text(row->server, "state"), "ready") == 0 ? "" : YELLOW;
}

/* Cuts a long name in the middle, since names often differ at their end. */
static void top_draw_put_name(const char *name, int width, FILE *out)
{
    int len = (int)strlen(name);
    int tail = (width - 1) / 2;
    if (len <= width)
        fprintf(out, "%-*s", width, name);
    else
        fprintf(out, "%.*s~%s", width - 1 - tail, name, name + len - tail);
}

static void top_draw_put_server(const struct top_server *row, int width, FILE *out)
{
    char bytes[HUMAN_MAX];
    const json_t *s = row->server;
    const char *colour = row_colour(row);
    fputs(colour, out);
    top_draw_put_name(top_text(s, "server"), width, out);
    fprintf(out, " %-5s %-6s%s", top_text(s, "state"), top_text(s, "status"),
            *colour == '\0' ? "" : PLAIN);
    fprintf(out, " %7" PRIu64 " %7" PRIu64 " %8" PRIu64 " %10s  %s\n", top_number(s, "active"),
            row->new_rate, row->failed_rate, human_rate(row->bytes_rate, bytes),
            top_text(s, "why"));
}

/* The heading of the first column: "SERVER 11-20/300" if not all rows are shown; "*": this table
 * scrolls. */
static void format_title(const char *name, size_t offset, size_t shown, size_t count, bool scrolled,
                         char *title, size_t size)
{
    if (shown < count)
        snprintf(title, size, "%s %zu-%zu/%zu%s", name, shown == 0 ? 0 : offset + 1, offset + shown,
                 count, scrolled ? "*" : "");
    else
        snprintf(title, size, "%s%s", name, scrolled ? "*" : "");
}

static size_t clamp(size_t offset, size_t rows, size_t count)
{
    size_t last = count > rows ? count - rows : 0;
    return offset < last ? offset : last;
}

static void top_draw_put_servers(const struct top_view *v, const size_t *match, size_t count,
                                 size_t rows, size_t columns, struct top_options *c, FILE *out)
{
    char title[64];
    int width = name_width(v, match, count, columns);
    size_t shown = count < rows ? count : rows;
    c->server_offset = clamp(c->server_offset, rows, count);
    format_title("SERVER", c->server_offset, shown, count, !c->on_sessions, title, sizeof title);
    fprintf(out, DIM "%-*.*s %-5s %-6s %7s %7s %8s %10s  %s" PLAIN "\n", width, width, title,
            "STATE", "STATUS", "ACTIVE", "NEW/S", "FAILED/S", "BYTES", "WHY");
    for (size_t i = 0; i < shown; i++)
        top_draw_put_server(&v->row[match[c->server_offset + i]], width, out);
}

static void top_draw_put_session(const json_t *s, FILE *out)
{
    char bytes[HUMAN_MAX];
    char up[HUMAN_MAX];
    char down[HUMAN_MAX];
    char age[HUMAN_MAX];
    fprintf(out, "%12" PRIu64 " %9s %7s %7s %6s  %-21s %s\n", top_number(s, "id"),
            human_rate(top_number(s, "rate_per_second"), bytes),
            human_bytes(top_number(s, "up"), up), human_bytes(top_number(s, "down"), down),
            human_time(top_number(s, "age_ms"), age), top_text(s, "client"), top_text(s, "server"));
}

static void top_draw_put_sessions(const struct top_view *v, size_t rows, struct top_options *c,
                                  FILE *out)
{
    char title[64];
    size_t count = json_array_size(v->sessions);
    size_t shown = count < rows ? count : rows;
    c->session_offset = clamp(c->session_offset, rows, count);
    format_title("SESSION", c->session_offset, shown, count, c->on_sessions, title, sizeof title);
    fprintf(out, "\n" DIM "%12s %9s %7s %7s %6s  %-21s %s" PLAIN "\n", title, "BYTES", "UP", "DOWN",
            "AGE", "CLIENT", "SERVER");
    for (size_t i = 0; i < shown; i++)
        top_draw_put_session(json_array_get(v->sessions, c->session_offset + i), out);
}

static void put_keys(const struct top_options *c, FILE *out)
{
    if (c->typing)
        fprintf(out, BOLD "filter: %s_" PLAIN "   Enter: keep   Esc: clear", c->filter);
    else
        fprintf(out,
                DIM
                "q quit  arrows, PgUp, PgDn scroll  Tab %s  s sort: %s  t %s  / filter%s%s" PLAIN,
                c->on_sessions ? "servers" : "sessions", top_sort_name(c->sort),
                c->trouble ? "all" : "trouble only", c->filter[0] == '\0' ? "" : ": ", c->filter);
}

/* ---- the picture ---- */

/* The rows for servers: two thirds of the room, or more if sessions leave more. */
static size_t server_rows(size_t room, size_t servers, size_t sessions)
{
    size_t most = 2 * room / 3 > 0 ? 2 * room / 3 : 1;
    size_t left = room > sessions ? room - sessions : 0;
    most = left > most ? left : most;
    return servers < most ? servers : most;
}

static void put_picture(const struct top_view *v, const struct top_view *before,
                        const size_t *match, size_t count, struct top_options *c, FILE *out)
{
    size_t rows = 0;
    size_t columns = 0;
    screen_size(&rows, &columns);
    size_t room = rows > FRAME_ROWS ? rows - FRAME_ROWS : 0;
    size_t servers = server_rows(room, count, json_array_size(v->sessions));
    size_t sessions = room > servers ? room - servers : 0;
    c->page = c->on_sessions ? sessions : servers;
    top_draw_put_head(v, before, out);
    top_draw_put_problems(v, out);
    top_draw_put_servers(v, match, count, servers, columns, c, out);
    top_draw_put_sessions(v, sessions, c, out);
}

void top_draw(const struct top_view *v, const struct top_view *before, struct top_options *c)
{
    char *picture = NULL;
    char *keys = NULL;
    size_t size = 0;
    size_t *match = calloc(v->count + 1, sizeof *match);
    FILE *out = open_memstream(&picture, &size);
    FILE *line = open_memstream(&keys, &size);
    if (match != NULL && out != NULL && line != NULL) {
        size_t count = top_view_match(v, c->filter, c->trouble, match);
        put_picture(v, before, match, count, c, out);
        put_keys(c, line);
    }
    bool whole = match != NULL && out != NULL && line != NULL;
    if (out != NULL)
        whole &= fclose(out) == 0;
    if (line != NULL)
        whole &= fclose(line) == 0;
    if (whole)
        screen_draw(picture, keys);
    free(picture);
    free(keys);
    free(match);
}
