#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "handover/handover_message.h"
#include "handover/handover_messages.h"

#define CLOCK_SLACK 1000 /* ms between two readings of a clock, one of them older */
#define WEIGHT_MAX  256

static bool handover_is_flag(uint64_t flag)
{
    return flag <= 1;
}

static bool handover_is_name(const char *text, size_t size)
{
    return text[0] != '\0' && handover_text_is_terminated(text, size);
}

/* ---- descriptors ---- */

static bool handover_is_file(int fd)
{
    struct stat st;
    return fd != -1 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool handover_is_option(int fd, int name, int wanted)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 && value == wanted;
}

static bool is_listening(int fd)
{
    return fd != -1 && handover_is_option(fd, SO_TYPE, SOCK_STREAM) &&
           handover_is_option(fd, SO_ACCEPTCONN, 1);
}

/* At that address, as far as it can be told: what a socket is bound to is spelled in several ways.
 */
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
        return "there is no such log_level";
    if (!handover_is_flag(e->is_open))
        return "a flag is neither 0 nor 1";
    if (pid_file == -1)
        return NULL;
    int flags = fcntl(pid_file, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) != O_RDONLY ? NULL
                                                          : "its pid file cannot be written to";
}

const char *handover_check_config(const struct handover_config *e, int file)
{
    if (e->number == 0 || !handover_is_flag(e->in_force))
        return "it has no number, or a flag is neither 0 nor 1";
    return handover_is_file(file) ? NULL : "its text is no file";
}

const char *handover_check_socket(const struct handover_socket *e,
                                  const int fd[HANDOVER_SOCKET_FDS])
{
    if (!handover_is_flag(e->is_http) || !addr_is_valid(&e->at))
        return "its address is none, or a flag is neither 0 nor 1";
    if (e->count == 0 || e->count > HANDOVER_SOCKET_FDS || (e->is_http && e->count != 1))
        return "it has no such number of descriptors";
    for (uint32_t i = 0; i < HANDOVER_SOCKET_FDS; i++) {
        if (i >= e->count && fd[i] != -1)
            return "it has more descriptors than it says";
        if (i < e->count && !is_listening_at(fd[i], &e->at))
            return "a descriptor of it does not listen there";
    }
    return NULL;
}

const char *handover_check_admin(const struct handover_socket *e, int fd)
{
    if (e->is_http || e->count != 1 || !addr_is_valid(&e->at) || !addr_is_unix(&e->at))
        return "its address is none of a unix socket";
    return is_listening_at(fd, &e->at) ? NULL : "its descriptor does not listen there";
}

const char *handover_check_inherited(const struct handover_inherited *e, int fd)
{
    struct stat st;
    if (!handover_text_is_terminated(e->name, sizeof e->name))
        return "its name has no end";
    if (e->number < 0)
        return "its number is negative";
    return fd != -1 && fstat(fd, &st) == 0 ? NULL : "its descriptor is not there";
}

const char *handover_check_answer(const struct handover_answer *e)
{
    if (!handover_is_name(e->pool, sizeof e->pool))
        return "the name of its pool has no end";
    if (e->weight > WEIGHT_MAX || !handover_is_flag(e->backup))
        return "its weight is more than 256, or a flag is neither 0 nor 1";
    return addr_is_valid(&e->addr) ? NULL : "it is no address";
}

static bool is_known_state(int32_t state)
{
    switch ((enum config_state)state) {
    case CONFIG_STATE_READY:
    case CONFIG_STATE_DRAIN:
    case CONFIG_STATE_MAINT:
        return true;
    }
    return false;
}

static const char *check_times(const struct handover_server *e, uint64_t now)
{
    uint64_t latest = now + CLOCK_SLACK;
    bool past =
        e->slow_start_began <= latest && e->check.checked <= latest && e->check.changed <= latest;
    if (e->draining)
        past = past && e->drain.began <= latest;
    return past ? NULL : "something of it is in the future";
}

const char *handover_check_server(const struct handover_server *e, uint64_t now)
{
    const struct handover_check_result *c = &e->check;
    if (!handover_is_name(e->pool, sizeof e->pool) || !handover_is_name(e->name, sizeof e->name))
        return "its name, or that of its pool, has no end";
    if (!addr_is_valid(&e->addr) ||
        (e->check_address.len != 0 && !addr_is_valid(&e->check_address)))
        return "an address of it is none";
    if (e->weight == 0 || e->weight > WEIGHT_MAX)
        return "its weight is not from 1 to 256";
    if (!is_known_state(e->state))
        return "there is no such state";
    if (!handover_is_flag(e->up) || !handover_is_flag(e->added) || !handover_is_flag(e->backup) ||
        !handover_is_flag(e->draining) || !handover_is_flag(c->settled) ||
        !handover_is_flag(c->passed))
        return "a flag is neither 0 nor 1";
    if (!handover_text_is_terminated(c->why, sizeof c->why))
        return "what its check found has no end";
    return check_times(e, now);
}

const char *handover_check_listener(const struct handover_listener *e)
{
    if (!handover_is_name(e->name, sizeof e->name))
        return "its name has no end";
    return handover_text_is_terminated(e->pool, sizeof e->pool) ? NULL
                                                                : "the name of its pool has no end";
}
