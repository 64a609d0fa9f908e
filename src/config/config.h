/* The configuration: one INI file, read whole or not at all, as one const structure.
 *
 * Every key is one row of a table (keys.c); the row serves loading, defaults, printing and
 * comparing. Loading never stops at the first error: all are collected, so that a file is mended
 * in one go.
 */
#ifndef ZPROXY_CONFIG_CONFIG_H
#define ZPROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/log.h"

#define CONFIG_NAME_MAX 64

/* Times are in milliseconds, sizes in bytes; 0 means off, auto or the kernel's own, as the
 * manual says key by key. */

enum config_relay {
    CONFIG_RELAY_SPLICE,
    CONFIG_RELAY_COPY,
};

enum config_balance {
    CONFIG_BALANCE_ROUND_ROBIN,
};

enum config_state {
    CONFIG_STATE_READY,
    CONFIG_STATE_DRAIN,
    CONFIG_STATE_MAINT,
};

struct config_keepalive {
    bool on;
    uint64_t time;     /* ms, whole seconds; 0 = kernel's */
    uint64_t interval; /* ms, whole seconds; 0 = kernel's */
    uint64_t count;    /* 0 = kernel's */
};

struct config_global {
    uint64_t workers; /* 0 = auto */
    bool cpu_affinity;
    uint64_t max_connections; /* 0 = auto */
    char *user;               /* NULL = unset, likewise the next three */
    char *group;
    char *chroot;
    char *pid_file;
    struct log_target log;
    enum log_level log_level;
    enum log_format log_format;
    struct log_target access_log;
    enum config_relay relay;
    uint64_t pipe_size;
    uint64_t max_pipes; /* 0 = auto */
    uint64_t busy_poll; /* us; 0 = off */
    uint64_t shutdown_timeout;
};

struct config_pool;

struct config_listen {
    char *name;
    struct addr *bind;
    size_t bind_count; /* at least 1 */
    char *pool_name;
    const struct config_pool *pool;
    uint64_t idle_timeout;
    uint64_t half_close_timeout;
    uint64_t session_timeout;
    uint64_t max_connections; /* 0 = off */
    uint64_t backlog;
    bool nodelay;
    struct config_keepalive keepalive;
    uint64_t tcp_user_timeout;
    uint64_t fastopen;     /* queue length; 0 = off */
    uint64_t defer_accept; /* ms; 0 = off */
    uint64_t receive_buffer;
    uint64_t send_buffer;
};

struct config_server {
    char *name;
    struct addr addr;
    unsigned weight; /* 1..256 */
    bool backup;
    uint64_t max_connections; /* 0 = off */
    enum config_state state;
};

struct config_pool {
    char *name;
    struct config_server *server;
    size_t server_count; /* at least 1 */
    enum config_balance balance;
    uint64_t connect_timeout; /* 0 = as long as the kernel tries */
    uint64_t retries;
};

struct config {
    struct config_global global;
    struct config_listen *listen; /* in file order */
    size_t listen_count;          /* at least 1 */
    struct config_pool *pool;
    size_t pool_count;
};

/* Reads path and what it includes. Returns the configuration (config_free() is the caller's), or
 * NULL after having written every error as a line "FILE:LINE: [section] key: what, expected" to
 * errors. */
struct config *config_load(const char *path, FILE *errors);
void config_free(struct config *c);

/* Writes the effective configuration, defaults filled in, as a file that config_load() reads. */
void config_print(const struct config *c, FILE *out);

/* Calls found once for each difference from `from` to `to`, and returns how many there were. Values
 * are text, NULL where there is none. section is "global" or "listen NAME"; where all of it was
 * added or removed key is NULL, and one of before and after is its name, the other one NULL. Of
 * keys that repeat each value is a difference of its own; their order is none. */
typedef void config_found_fn(void *arg, const char *section, const char *key, const char *before,
                             const char *after);
size_t config_compare(const struct config *from, const struct config *to, config_found_fn *found,
                      void *arg);

#endif
