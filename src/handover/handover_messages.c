#include "handover/handover_messages.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CLOCK_SLACK 1000 /* ms; `now` may have been read before the time it is compared with */
#define WEIGHT_MAX  256

/* ---- numbers and texts ---- */

static bool is_known_state(uint64_t state)
{
    switch ((enum config_state)state) {
    case CONFIG_STATE_READY:
    case CONFIG_STATE_DRAIN:
    case CONFIG_STATE_MAINT:
        return true;
    }
    return false;
}

static const char *handover_check_value(enum handover_value kind, uint64_t value, uint64_t now)
{
    switch (kind) {
    case HANDOVER_VALUE_ANY:
        return NULL;
    case HANDOVER_VALUE_FLAG:
        return value <= 1 ? NULL : "a flag is neither 0 nor 1";
    case HANDOVER_VALUE_PAST:
        return value <= now + CLOCK_SLACK ? NULL : "a time is in the future";
    case HANDOVER_VALUE_WEIGHT:
        return value >= 1 && value <= WEIGHT_MAX ? NULL : "its weight is not from 1 to 256";
    case HANDOVER_VALUE_STATE:
        return is_known_state(value) ? NULL : "its state is unknown";
    case HANDOVER_VALUE_HEALTH:
        return value <= HEALTH_SET_FAIL ? NULL : "its health_override is unknown";
    }
    return NULL;
}

/* For the tables of handover_messages.h: returns from the function if a value of *e is wrong. */
#define HANDOVER_CHECK(type, name, kind)                                    \
    if ((why = handover_check_value(kind, (uint64_t)e->name, now)) != NULL) \
        return why;

static bool is_flag(uint64_t flag)
{
    return flag <= 1;
}

static bool is_name(const char *text, size_t size)
{
    return text[0] != '\0' && handover_text_is_terminated(text, size);
}

/* ---- descriptors ---- */

static bool is_file(int fd)
{
    struct stat st;
    return fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_option(int fd, int name, int wanted)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value == wanted;
}

static bool is_listening(int fd)
{
    return fd != -1 && is_option(fd, SO_TYPE, SOCK_STREAM) && is_option(fd, SO_ACCEPTCONN, 1);
}

/* Compares family and port only: the kernel may report another spelling of the same address. */
static bool is_listening_at(int fd, const struct addr *at)
{
    struct addr bound = { .len = sizeof bound.un };
    if (!is_listening(fd) || getsockname(fd, &bound.sa, &bound.len) == -1)
        return false;
    return bound.sa.sa_family == at->sa.sa_family && addr_port(&bound) == addr_port(at);
}

/* ---- items ---- */

const char *handover_check_process(const struct handover_process *e, int pid_file)
{
    if (e->log_level > LOG_LEVEL_DEBUG)
        return "its log level is unknown";
    const char *why = handover_check_value(HANDOVER_VALUE_HEALTH, e->health_override, 0);
    if (why != NULL)
        return why;
    if (!is_flag(e->is_dumpable) || !is_flag(e->was_healthy))
        return "a flag is neither 0 nor 1";
    if (pid_file == -1)
        return NULL;
    int flags = fcntl(pid_file, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) != O_RDONLY ? NULL
                                                          : "its pid file cannot be written to";
}

const char *handover_check_config(const struct handover_config *e, int file)
{
    if (e->number == 0 || !is_flag(e->in_force))
        return "its number is 0, or a flag is neither 0 nor 1";
    return is_file(file) ? NULL : "its descriptor is no file";
}

const char *handover_check_socket(const struct handover_socket *e,
                                  const int fd[HANDOVER_SOCKET_FDS])
{
    if (!is_flag(e->is_http) || !addr_is_valid(&e->at))
        return "its address is invalid, or a flag is neither 0 nor 1";
    if (e->count == 0 || e->count > HANDOVER_SOCKET_FDS || (e->is_http && e->count != 1))
        return "its number of descriptors is out of range";
    for (uint32_t i = 0; i < HANDOVER_SOCKET_FDS; i++) {
        if (i >= e->count && fd[i] != -1)
            return "it has more descriptors than it claims";
        if (i < e->count && !is_listening_at(fd[i], &e->at))
            return "one of its descriptors does not listen there";
    }
    return NULL;
}

const char *handover_check_admin(const struct handover_socket *e, int fd)
{
    if (e->is_http || e->count != 1 || !addr_is_valid(&e->at) || !addr_is_unix(&e->at))
        return "its address is not that of a unix socket";
    return is_listening_at(fd, &e->at) ? NULL : "its descriptor does not listen there";
}

const char *handover_check_inherited(const struct handover_inherited *e, int fd)
{
    struct stat st;
    if (!handover_text_is_terminated(e->name, sizeof e->name))
        return "its name is not terminated";
    if (e->number < 0)
        return "its number is negative";
    return fd != -1 && fstat(fd, &st) == 0 ? NULL : "its descriptor is missing";
}

const char *handover_check_answer(const struct handover_answer *e)
{
    if (!is_name(e->pool, sizeof e->pool))
        return "its pool has no name";
    if (e->weight > WEIGHT_MAX || !is_flag(e->backup))
        return "its weight is more than 256, or a flag is neither 0 nor 1";
    return addr_is_valid(&e->addr) ? NULL : "the address is invalid";
}

static const char *check_health(const struct handover_health *e, uint64_t now)
{
    const char *why = NULL;
    HANDOVER_HEALTH_VALUES(HANDOVER_CHECK)
    return handover_text_is_terminated(e->why, sizeof e->why)
               ? NULL
               : "the result of its check is not terminated";
}

const char *handover_check_server(const struct handover_server *e, uint64_t now)
{
    const char *why = NULL;
    if (!is_name(e->pool, sizeof e->pool) || !is_name(e->name, sizeof e->name))
        return "it or its pool has no name";
    if (!addr_is_valid(&e->addr) ||
        (e->check_address.len != 0 && !addr_is_valid(&e->check_address)))
        return "one of its addresses is invalid";
    HANDOVER_SERVER_STATE(HANDOVER_CHECK)
    HANDOVER_SERVER_LIMITS(HANDOVER_CHECK)
    if (!is_flag(e->added) || !is_flag(e->backup) || !is_flag(e->draining))
        return "a flag is neither 0 nor 1";
    if (e->draining &&
        (why = handover_check_value(HANDOVER_VALUE_PAST, e->drain.began, now)) != NULL)
        return why;
    return check_health(&e->check, now);
}

const char *handover_check_listener(const struct handover_listener *e)
{
    if (!is_name(e->name, sizeof e->name))
        return "it has no name";
    const char *why = handover_check_value(HANDOVER_VALUE_HEALTH, e->health_override, 0);
    if (why != NULL)
        return why;
    if (!is_flag(e->was_healthy))
        return "a flag is neither 0 nor 1";
    return handover_text_is_terminated(e->pool, sizeof e->pool)
               ? NULL
               : "the name of its pool is not terminated";
}

static const char *check_rebalance(const struct rebalance_progress *c, uint64_t now)
{
    const char *why = NULL;
    if (!is_flag(c->counted))
        return "a flag is neither 0 nor 1";
    if (c->coming > c->closed || c->coming_late > c->closed || c->closed > c->most)
        return "its rebalance has closed more sessions than it may";
    if ((why = handover_check_value(HANDOVER_VALUE_PAST, c->began, now)) == NULL &&
        (why = handover_check_value(HANDOVER_VALUE_PAST, c->first_began, now)) == NULL)
        why = handover_check_value(HANDOVER_VALUE_PAST, c->changed, now);
    return why != NULL ? why : handover_check_value(HANDOVER_VALUE_PAST, c->aged, now);
}

const char *handover_check_pool(const struct handover_pool *e, uint64_t now)
{
    if (!is_name(e->name, sizeof e->name))
        return "it has no name";
    const char *why = handover_check_value(HANDOVER_VALUE_FLAG, e->paused, now);
    if (why == NULL)
        why = handover_check_value(HANDOVER_VALUE_FLAG, e->rebalancing, now);
    if (why == NULL && e->rebalancing)
        why = check_rebalance(&e->rebalance, now);
    return why != NULL ? why : handover_check_value(HANDOVER_VALUE_PAST, e->last_usable, now);
}
