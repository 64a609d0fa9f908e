#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "upgrade/estate.h"
#include "upgrade/parcel.h"

#define CLOCK_SLACK 1000 /* ms between two readings of a clock, one of them older */
#define WEIGHT_MAX  256

static bool is_flag(uint64_t flag)
{
    return flag <= 1;
}

static bool is_name(const char *text, size_t size)
{
    return text[0] != '\0' && parcel_is_text(text, size);
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

static bool listens(int fd)
{
    return fd != -1 && is_option(fd, SO_TYPE, SOCK_STREAM) && is_option(fd, SO_ACCEPTCONN, 1);
}

/* At that address, as far as it can be told: what a socket is bound to is spelled in several ways.
 */
static bool listens_at(int fd, const struct addr *at)
{
    struct addr bound = { .len = sizeof bound.un };
    if (!listens(fd) || getsockname(fd, &bound.sa, &bound.len) == -1)
        return false;
    return bound.sa.sa_family == at->sa.sa_family && addr_port(&bound) == addr_port(at);
}

/* ---- items ---- */

const char *estate_check_process(const struct estate_process *e, int pid_file)
{
    if (e->log_level > LOG_LEVEL_DEBUG)
        return "there is no such log_level";
    if (!is_flag(e->is_open))
        return "a flag is neither 0 nor 1";
    if (pid_file == -1)
        return NULL;
    int flags = fcntl(pid_file, F_GETFL);
    return flags != -1 && (flags & O_ACCMODE) != O_RDONLY ? NULL
                                                          : "its pid file cannot be written to";
}

const char *estate_check_config(const struct estate_config *e, int file)
{
    if (e->number == 0 || !is_flag(e->in_force))
        return "it has no number, or a flag is neither 0 nor 1";
    return is_file(file) ? NULL : "its text is no file";
}

const char *estate_check_socket(const struct estate_socket *e, const int fd[ESTATE_SOCKET_FDS])
{
    if (!is_flag(e->of_http) || !addr_is_valid(&e->at))
        return "its address is none, or a flag is neither 0 nor 1";
    if (e->count == 0 || e->count > ESTATE_SOCKET_FDS || (e->of_http && e->count != 1))
        return "it has no such number of descriptors";
    for (uint32_t i = 0; i < ESTATE_SOCKET_FDS; i++) {
        if (i >= e->count && fd[i] != -1)
            return "it has more descriptors than it says";
        if (i < e->count && !listens_at(fd[i], &e->at))
            return "a descriptor of it does not listen there";
    }
    return NULL;
}

const char *estate_check_admin(const struct estate_socket *e, int fd)
{
    if (e->of_http || e->count != 1 || !addr_is_valid(&e->at) || !addr_is_unix(&e->at))
        return "its address is none of a unix socket";
    return listens_at(fd, &e->at) ? NULL : "its descriptor does not listen there";
}

const char *estate_check_handed(const struct estate_handed *e, int fd)
{
    struct stat st;
    if (!parcel_is_text(e->name, sizeof e->name))
        return "its name has no end";
    if (e->number < 0)
        return "its number is negative";
    return fd != -1 && fstat(fd, &st) == 0 ? NULL : "its descriptor is not there";
}

const char *estate_check_answer(const struct estate_answer *e)
{
    if (!is_name(e->pool, sizeof e->pool))
        return "the name of its pool has no end";
    if (e->weight > WEIGHT_MAX || !is_flag(e->backup))
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

static const char *check_times(const struct estate_server *e, uint64_t now)
{
    uint64_t latest = now + CLOCK_SLACK;
    bool past = e->ramp_began <= latest && e->check.checked <= latest && e->check.changed <= latest;
    if (e->draining)
        past = past && e->drain.began <= latest;
    return past ? NULL : "something of it is in the future";
}

const char *estate_check_server(const struct estate_server *e, uint64_t now)
{
    const struct estate_check *c = &e->check;
    if (!is_name(e->pool, sizeof e->pool) || !is_name(e->name, sizeof e->name))
        return "its name, or that of its pool, has no end";
    if (!addr_is_valid(&e->addr) ||
        (e->check_address.len != 0 && !addr_is_valid(&e->check_address)))
        return "an address of it is none";
    if (e->weight == 0 || e->weight > WEIGHT_MAX)
        return "its weight is not from 1 to 256";
    if (!is_known_state(e->state))
        return "there is no such state";
    if (!is_flag(e->up) || !is_flag(e->added) || !is_flag(e->backup) || !is_flag(e->draining) ||
        !is_flag(c->settled) || !is_flag(c->passed))
        return "a flag is neither 0 nor 1";
    if (!parcel_is_text(c->why, sizeof c->why))
        return "what its check found has no end";
    return check_times(e, now);
}

const char *estate_check_entrance(const struct estate_entrance *e)
{
    if (!is_name(e->name, sizeof e->name))
        return "its name has no end";
    return parcel_is_text(e->pool, sizeof e->pool) ? NULL : "the name of its pool has no end";
}
