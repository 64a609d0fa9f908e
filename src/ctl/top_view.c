#include "ctl/top_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

#define SESSIONS "json show sessions busiest 200"
#define KEY_MAX  512

uint64_t top_number(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n < 0 ? 0 : (uint64_t)n;
}

const char *top_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s == NULL || *s == '\0' ? "-" : s;
}

/* ---- rates ---- */

static uint64_t rate(uint64_t now, uint64_t before, uint64_t ms)
{
    return now <= before || ms == 0 ? 0 : (now - before) * 1000 / ms;
}

static uint64_t transferred_bytes(const json_t *server)
{
    return top_number(server, "sent") + top_number(server, "received");
}

/* Several servers may share a name or an address; name and address together are unique. */
static const char *server_key(const json_t *server, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "%s %s", top_text(server, "server"), top_text(server, "address"));
    return key;
}

/* Maps keys to the servers of the view, for a lookup in constant time. Returns NULL when out of
 * memory. */
static json_t *index_servers(const struct top_view *v)
{
    char key[KEY_MAX];
    size_t i = 0;
    json_t *server = NULL;
    json_t *index = json_object();
    json_array_foreach(v->servers, i, server)
    {
        if (json_object_set(index, server_key(server, key), server) < 0) {
            json_decref(index);
            return NULL;
        }
    }
    return index;
}

static bool is_in_trouble(const json_t *server)
{
    return strcmp(top_text(server, "state"), "ready") == 0 &&
           strcmp(top_text(server, "status"), "up") != 0;
}

/* before: the server in the previous view; NULL: it is new and has no rates yet. */
static void fill_row(struct top_server *row, const json_t *server, const json_t *before,
                     uint64_t ms)
{
    row->server = server;
    row->trouble = is_in_trouble(server);
    if (before == NULL)
        return;
    row->new_rate = rate(top_number(server, "connections"), top_number(before, "connections"), ms);
    row->failed_rate =
        rate(top_number(server, "connect_failures"), top_number(before, "connect_failures"), ms);
    row->bytes_rate = rate(transferred_bytes(server), transferred_bytes(before), ms);
}

static int fill_rows(struct top_view *v, const struct top_view *before)
{
    char key[KEY_MAX];
    json_t *index = before == NULL ? json_object() : index_servers(before);
    uint64_t ms = before == NULL ? 0 : v->at - before->at;
    v->count = json_array_size(v->servers);
    v->row = calloc(v->count + 1, sizeof *v->row);
    if (index == NULL || v->row == NULL) {
        json_decref(index);
        return -ENOMEM;
    }
    for (size_t i = 0; i < v->count; i++) {
        const json_t *server = json_array_get(v->servers, i);
        v->row[i].index = i;
        fill_row(&v->row[i], server, json_object_get(index, server_key(server, key)), ms);
    }
    json_decref(index);
    return 0;
}

/* ---- requests ---- */

static int top_view_request(struct control_client *t, const char *command, json_t **out)
{
    char *answer = NULL;
    int rc = control_client_request(t, false, command, &answer);
    if (rc < 0)
        return rc;
    *out = json_loads(answer, 0, NULL);
    free(answer);
    return *out == NULL ? -EBADMSG : 0;
}

int top_view_fetch(struct control_client *t, const struct top_view *before, struct top_view *v)
{
    memset(v, 0, sizeof *v);
    v->at = ctl_clock();
    int rc = top_view_request(t, "json show info", &v->info);
    if (rc == 0)
        rc = top_view_request(t, "json show problems", &v->problems);
    if (rc == 0)
        rc = top_view_request(t, "json show servers", &v->servers);
    if (rc == 0)
        rc = top_view_request(t, SESSIONS, &v->sessions);
    if (rc == 0)
        rc = fill_rows(v, before);
    if (rc < 0)
        top_view_free(v);
    return rc;
}

void top_view_free(struct top_view *v)
{
    json_decref(v->info);
    json_decref(v->problems);
    json_decref(v->servers);
    json_decref(v->sessions);
    free(v->row);
    memset(v, 0, sizeof *v);
}

/* ---- order ---- */

const char *top_sort_name(enum top_sort sort)
{
    static const char *const names[TOP_SORTS] = { "trouble", "name",   "active",
                                                  "new",     "failed", "bytes" };
    return names[sort];
}

/* Orders larger numbers first. */
static int descending(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

static int top_view_compare(const struct top_server *a, const struct top_server *b,
                            enum top_sort sort)
{
    switch (sort) {
    case TOP_SORT_TROUBLE:
        return b->trouble - a->trouble;
    case TOP_SORT_NAME:
        return strcmp(top_text(a->server, "server"), top_text(b->server, "server"));
    case TOP_SORT_ACTIVE:
        return descending(top_number(a->server, "active"), top_number(b->server, "active"));
    case TOP_SORT_NEW:
        return descending(a->new_rate, b->new_rate);
    case TOP_SORT_FAILED:
        return descending(a->failed_rate, b->failed_rate);
    case TOP_SORT_BYTES:
        return descending(a->bytes_rate, b->bytes_rate);
    case TOP_SORTS:
        break;
    }
    return 0;
}

static int compare_rows(const void *left, const void *right, void *arg)
{
    const struct top_server *a = left;
    const struct top_server *b = right;
    int order = top_view_compare(a, b, *(const enum top_sort *)arg);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

void top_view_sort(struct top_view *v, enum top_sort sort)
{
    if (v->count > 1)
        qsort_r(v->row, v->count, sizeof *v->row, compare_rows, &sort);
}

static bool top_view_matches(const json_t *server, const char *filter)
{
    static const char *const keys[] = { "server", "address", "state", "status" };
    if (filter[0] == '\0')
        return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcasestr(top_text(server, keys[i]), filter) != NULL)
            return true;
    return false;
}

size_t top_view_match(const struct top_view *v, const char *filter, bool trouble, size_t *match)
{
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++)
        if ((!trouble || v->row[i].trouble) && top_view_matches(v->row[i].server, filter))
            match[n++] = i;
    return n;
}
