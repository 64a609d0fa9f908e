#include "command/command.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/value.h"
#include "command/server_view.h"
#include "control/session_kill.h"
#include "session/session_id.h"
#include "session/session_info.h"

#define COLUMNS(list) list, sizeof(list) / sizeof *(list)
#define BUSIEST       20 /* sessions, without a COUNT */

static enum request_result fail_session(struct request *r, uint64_t id)
{
    return request_fail_as(r, REQUEST_NOT_FOUND, "%" PRIu64 ": no such session", id);
}

static bool read_count(struct request *r, const char *text, uint64_t *count)
{
    static const struct value number = VALUE_COUNT(1, UINT64_MAX, NULL);
    struct value_error error;
    if (value_parse(&number, count, text, &error) == 0)
        return true;
    request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    return false;
}

/* ---- all sessions ---- */

static void command_session_put_server(struct sheet *s, const struct session_info *b)
{
    server_view_put(s, b->pool.text, b->server.text[0] == '\0' ? NULL : b->server.text);
}

static void put_info(struct sheet *s, const struct session_info *b)
{
    char text[ADDR_TEXT_MAX];
    sheet_number(s, b->id);
    sheet_text(s, session_state_name((enum session_state)b->state));
    sheet_text(s, addr_peer_print(&b->client, text));
    sheet_text(s, b->listener.text);
    command_session_put_server(s, b);
    sheet_number(s, b->up);
    sheet_number(s, b->down);
    sheet_number(s, b->age);
    sheet_number(s, b->idle);
}

static void on_list_done(void *arg, const struct session_list_row *row, size_t count)
{
    static const struct sheet_column columns[] = {
        { "id", SHEET_COUNT },      { "state", SHEET_TEXT }, { "client", SHEET_TEXT },
        { "listener", SHEET_TEXT }, SERVER_COLUMNS,          { "up", SHEET_BYTES },
        { "down", SHEET_BYTES },    { "age", SHEET_TIME },   { "idle", SHEET_TIME },
    };
    struct request *r = arg;
    struct sheet *s = row == NULL ? NULL : sheet_new(COLUMNS(columns));
    for (size_t i = 0; s != NULL && i < count; i++)
        put_info(s, &row[i].info);
    request_table(r, s);
    request_finish(r);
}

static void on_busiest_done(void *arg, const struct session_list_row *row, size_t count)
{
    static const struct sheet_column columns[] = {
        { "id", SHEET_COUNT },      { "state", SHEET_TEXT }, { "client", SHEET_TEXT },
        { "listener", SHEET_TEXT }, SERVER_COLUMNS,          { "up", SHEET_BYTES },
        { "down", SHEET_BYTES },    { "age", SHEET_TIME },   { "idle", SHEET_TIME },
        { "rate", SHEET_RATE },
    };
    struct request *r = arg;
    struct sheet *s = row == NULL ? NULL : sheet_new(COLUMNS(columns));
    for (size_t i = 0; s != NULL && i < count; i++) {
        put_info(s, &row[i].info);
        sheet_number(s, row[i].rate);
    }
    request_table(r, s);
    request_finish(r);
}

static enum request_result list_sessions(struct request *r, bool busiest, size_t limit)
{
    int rc = session_list_start(&r->rt->session_lists, busiest, limit,
                                busiest ? on_busiest_done : on_list_done, r);
    return rc < 0 ? request_fail_memory(r) : REQUEST_LATER;
}

static enum request_result show_sessions(struct request *r)
{
    return list_sessions(r, false, SESSION_LIST_MAX);
}

static enum request_result show_busiest(struct request *r)
{
    uint64_t limit = BUSIEST;
    if (r->count > 0 && !read_count(r, r->word[0], &limit))
        return REQUEST_DONE;
    return list_sessions(r, true, limit);
}

/* ---- one session ---- */

struct detail_request {
    struct session_scan session_scan;
    struct request *request;
    uint64_t id;
    _Atomic bool found;
    struct session_detail detail;
};

static bool command_session_visit(struct session_scan *scan, size_t part, struct session *s)
{
    struct detail_request *l = (struct detail_request *)scan; /* its first member */
    (void)part;
    if (s->id != l->id)
        return !atomic_load_explicit(&l->found, memory_order_relaxed);
    session_detail(s, &l->detail); /* one worker alone has the session */
    atomic_store_explicit(&l->found, true, memory_order_relaxed); /* the reply orders detail */
    return false;
}

static void put_addr(struct sheet *s, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    sheet_text(s, a->len == 0 ? NULL : addr_print(a, text));
}

static void put_flow(struct sheet *s, uint64_t bytes, const struct flow_info *f)
{
    sheet_number(s, bytes);
    sheet_number(s, f->held);
    if (f->pipe_size == 0)
        sheet_null(s);
    else
        sheet_number(s, f->pipe_size);
    sheet_text(s, f->tls ? "tls" : f->copied ? "copied" : "spliced");
}

static void put_tcp(struct sheet *s, bool known, uint64_t number)
{
    if (known)
        sheet_number(s, number);
    else
        sheet_null(s);
}

static void put_sock(struct sheet *s, const struct sock_info *i)
{
    bool tcp = i->known && i->tcp;
    sheet_text(s, i->known ? i->state : NULL);
    put_tcp(s, tcp, i->rtt);
    put_tcp(s, tcp, i->rtt_variance);
    put_tcp(s, tcp, i->retransmits);
    put_tcp(s, tcp, i->window);
    put_tcp(s, tcp, i->unacked);
    put_tcp(s, i->known, i->unread);
    put_tcp(s, i->known, i->unsent);
}

static void put_tls(struct sheet *s, const struct tls_info *i)
{
    sheet_text(s, i->version);
    sheet_text(s, i->cipher);
    sheet_text(s, i->version == NULL ? NULL : i->in_kernel ? "kernel" : "user");
}

#define FLOW_COLUMNS(which)                                                                 \
    { which, SHEET_BYTES }, { which "_held", SHEET_BYTES }, { which "_pipe", SHEET_BYTES }, \
    {                                                                                       \
        which "_path", SHEET_TEXT                                                           \
    }
#define SOCK_COLUMNS(which)                                                             \
    { which "_state", SHEET_TEXT }, { which "_rtt", SHEET_MICROS },                     \
        { which "_rtt_variance", SHEET_MICROS }, { which "_retransmits", SHEET_COUNT }, \
        { which "_window", SHEET_COUNT }, { which "_unacked", SHEET_COUNT },            \
        { which "_unread", SHEET_BYTES },                                               \
    {                                                                                   \
        which "_unsent", SHEET_BYTES                                                    \
    }

static void put_detail(struct sheet *s, const struct session_detail *d)
{
    const struct session_info *b = &d->info;
    char text[ADDR_TEXT_MAX];
    sheet_number(s, b->id);
    sheet_text(s, session_state_name((enum session_state)b->state));
    sheet_text(s, session_open_name(b));
    sheet_text(s, b->listener.text);
    command_session_put_server(s, b);
    sheet_number(s, b->age);
    sheet_number(s, b->idle);
    put_tcp(s, d->connected, d->connect_time);
    sheet_number(s, d->attempts);
    put_tls(s, &d->client_tls);
    sheet_text(s, d->client_tls.user_reason);
    put_tls(s, &d->server_tls);
    sheet_text(s, d->server_tls.user_reason);
    put_flow(s, b->up, &d->up);
    put_flow(s, b->down, &d->down);
    sheet_text(s, addr_peer_print(&b->client, text));
    put_addr(s, &d->client_local);
    put_sock(s, &d->client);
    put_addr(s, &d->server_addr);
    put_addr(s, &d->server_local);
    put_sock(s, &d->server);
}

static struct sheet *detail_sheet(const struct session_detail *d)
{
    static const struct sheet_column columns[] = {
        { "id", SHEET_COUNT },
        { "state", SHEET_TEXT },
        { "open", SHEET_TEXT },
        { "listener", SHEET_TEXT },
        SERVER_COLUMNS,
        { "age", SHEET_TIME },
        { "idle", SHEET_TIME },
        { "connect", SHEET_TIME },
        { "attempts", SHEET_COUNT },
        { "tls", SHEET_TEXT },
        { "cipher", SHEET_TEXT },
        { "tls_relay", SHEET_TEXT },
        { "tls_user_reason", SHEET_TEXT },
        { "tls_server", SHEET_TEXT },
        { "tls_server_cipher", SHEET_TEXT },
        { "tls_server_relay", SHEET_TEXT },
        { "tls_server_user_reason", SHEET_TEXT },
        FLOW_COLUMNS("up"),
        FLOW_COLUMNS("down"),
        { "client", SHEET_TEXT },
        { "client_local", SHEET_TEXT },
        SOCK_COLUMNS("client"),
        { "server_addr", SHEET_TEXT },
        { "server_local", SHEET_TEXT },
        SOCK_COLUMNS("server"),
    };
    struct sheet *s = sheet_new(COLUMNS(columns));
    if (s != NULL)
        put_detail(s, d);
    return s;
}

static void on_detail_done(struct session_scan *scan)
{
    struct detail_request *l = (struct detail_request *)scan;
    struct request *r = l->request;
    if (atomic_load_explicit(&l->found, memory_order_relaxed))
        request_record(r, detail_sheet(&l->detail));
    else
        fail_session(r, l->id);
    free(l);
    request_finish(r);
}

static enum request_result show_session(struct request *r)
{
    uint64_t id = 0;
    if (!read_count(r, r->word[0], &id))
        return REQUEST_DONE;
    struct detail_request *l = calloc(1, sizeof *l);
    if (l == NULL)
        return request_fail_memory(r);
    l->request = r;
    l->id = id;
    l->session_scan.visit = command_session_visit;
    l->session_scan.done = on_detail_done;
    if (session_scan_start(&l->session_scan, &r->rt->scan_replies, &r->rt->workers) == 0)
        return REQUEST_LATER;
    free(l);
    return request_fail_memory(r);
}

/* ---- closing ---- */

static void on_one_closed(void *arg, uint64_t closed)
{
    struct request *r = arg;
    request_print(r, "session %s: %s", r->word[0], closed == 0 ? "has ended already" : "closed");
    request_changed(r, closed > 0);
    request_finish(r);
}

static void on_all_closed(void *arg, uint64_t closed)
{
    struct request *r = arg;
    request_print(r, "%s: %" PRIu64 " session%s closed", r->word[0], closed,
                  closed == 1 ? "" : "s");
    request_changed(r, closed > 0);
    request_finish(r);
}

static enum request_result kill_sessions(struct request *r,
                                         const struct session_kill_request *kill_request)
{
    int rc = session_kill_start(&r->rt->scan_replies, &r->rt->workers, kill_request);
    return rc < 0 ? request_fail_memory(r) : REQUEST_LATER;
}

static enum request_result close_session(struct request *r)
{
    uint64_t id = 0;
    if (!read_count(r, r->word[0], &id))
        return REQUEST_DONE;
    if (!session_id_was_given(id, &r->rt->last_session_id))
        return fail_session(r, id);
    const struct session_kill_request kill_request = {
        .id = &id, .ids = 1, .done = on_one_closed, .arg = r
    };
    return kill_sessions(r, &kill_request);
}

static enum request_result close_sessions(struct request *r)
{
    struct server_matches matches;
    if (!server_view_find(r, r->word[0], &matches))
        return REQUEST_DONE;
    struct session_kill_request kill_request = { .done = on_all_closed, .arg = r };
    uint32_t *serial = calloc(matches.count, sizeof *serial);
    for (size_t i = 0; i < matches.count && serial != NULL; i++)
        serial[kill_request.servers++] = matches.server[i]->serial;
    kill_request.server = serial;
    enum request_result result =
        serial == NULL ? request_fail_memory(r) : kill_sessions(r, &kill_request);
    free(serial);
    server_matches_free(&matches);
    return result;
}

static const struct command commands[] = {
    { "show sessions busiest", "[COUNT]",
      "the sessions with most bytes since the last such command; 20 by default", 0, 1, show_busiest,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show sessions", "", "all sessions, the oldest first", 0, 0, show_sessions,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show session", "ID", "both ends of a session: bytes, queues, pipes, round-trip times", 1, 1,
      show_session, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "close session", "ID", "reset both ends of a session", 1, 1, close_session,
      COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
    { "close sessions", "POOL/SERVER", "reset all sessions of a server", 1, 1, close_sessions,
      COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
};

const struct command_list command_session = COMMAND_LIST(commands);
