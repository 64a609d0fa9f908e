/* The configuration: one INI file, read whole or not at all, as one const structure.
 *
 * Every key is one row of a table (keys.c); the row serves loading, defaults, printing and
 * comparing. Loading never stops at the first error: all are collected, so that a file is mended
 * in one go.
 */
#ifndef ZPROXY_CONFIG_CONFIG_H
#define ZPROXY_CONFIG_CONFIG_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/network.h"

#define CONFIG_NAME_MAX 64

/* Times are in milliseconds, sizes in bytes; 0 means off, auto or the kernel's own, as the
 * manual says key by key. */

enum config_relay {
    CONFIG_RELAY_SPLICE,
    CONFIG_RELAY_COPY,
};

enum config_balance {
    CONFIG_BALANCE_ROUND_ROBIN,
    CONFIG_BALANCE_LEAST_CONN,
    CONFIG_BALANCE_RANDOM,
    CONFIG_BALANCE_HASH,
    CONFIG_BALANCE_FIRST,
};
extern const char *const config_balance_words[]; /* by enum config_balance; NULL after the last */

enum config_hash_key {
    CONFIG_HASH_SOURCE,
    CONFIG_HASH_SOURCE_PORT,
    CONFIG_HASH_SNI,
};

enum config_check {
    CONFIG_CHECK_NONE,
    CONFIG_CHECK_TCP,
    CONFIG_CHECK_HTTP,
    CONFIG_CHECK_SEND,
};

/* Whether checks begin with a header of the PROXY protocol. */
enum config_check_send_proxy {
    CONFIG_CHECK_SEND_PROXY_AUTO, /* where sessions do, and to where sessions go */
    CONFIG_CHECK_SEND_PROXY_NO,
    CONFIG_CHECK_SEND_PROXY_YES,
};

enum config_on_down {
    CONFIG_ON_DOWN_KEEP,
    CONFIG_ON_DOWN_CLOSE,
};

enum config_send_proxy {
    CONFIG_SEND_PROXY_NO,
    CONFIG_SEND_PROXY_V1,
    CONFIG_SEND_PROXY_V2,
};

enum config_source_kind {
    CONFIG_SOURCE_KERNEL,
    CONFIG_SOURCE_CLIENT, /* the client's own address and port */
    CONFIG_SOURCE_ADDRESS,
};

enum config_state {
    CONFIG_STATE_READY,
    CONFIG_STATE_DRAIN,
    CONFIG_STATE_MAINT,
};
extern const char *const config_state_words[]; /* by enum config_state; NULL after the last */

struct config_keepalive {
    bool on;
    uint64_t time;     /* ms, whole seconds; 0 = kernel's */
    uint64_t interval; /* ms, whole seconds; 0 = kernel's */
    uint64_t count;    /* 0 = kernel's */
};

/* Bytes as they are meant, escapes resolved; there may be zeros among them. */
struct config_bytes {
    char *data; /* NULL = unset */
    size_t len;
};

enum config_step_kind {
    CONFIG_STEP_SEND,
    CONFIG_STEP_EXPECT,
    CONFIG_STEP_EXPECT_NOT,
    CONFIG_STEP_EXPECT_REGEX,
};

/* One step of a check's dialogue. */
struct config_step {
    enum config_step_kind kind;
    struct config_bytes bytes; /* of a regular expression: its text, as it was written */
    regex_t *regex;            /* CONFIG_STEP_EXPECT_REGEX, otherwise NULL */
};

/* So many in so much time. */
struct config_rate {
    uint64_t count;  /* 0 = off */
    uint64_t period; /* ms */
};

struct config_words {
    char **word;
    size_t count;
};

/* From low to high, both included. */
struct config_range {
    unsigned low;
    unsigned high;
};

#define CONFIG_BUSY_POLL_OFF UINT64_MAX

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
    uint64_t busy_poll; /* us; 0 = auto */
    uint64_t shutdown_timeout;
    struct addr *nameserver; /* none: what resolv.conf says */
    size_t nameserver_count;
    uint64_t resolve_min;
    uint64_t resolve_max;
    uint64_t resolve_retry;
    uint64_t resolve_hold; /* 0 = for ever */
};

struct config_pool;

/* What looks after a running zproxy. */
struct config_admin {
    struct addr socket; /* a unix socket; len 0 = none */
    unsigned socket_mode;
    struct addr http; /* len 0 = none */
};

/* Where a listener listens, as one item of `bind` says it. */
struct config_bind {
    struct addr *addr;
    size_t addr_count; /* several: a range of ports, in order; 0: a socket that is handed over */
    char *fd;          /* the name that systemd gives it, or its number; otherwise NULL */
    unsigned mode;     /* of a unix socket's file; 0 = as umask(2) leaves it */
    char *user;        /* its owner; NULL = unchanged, likewise group */
    char *group;
};

/* A rule for TLS hellos; names and protocols of which one has to match. */
struct config_route {
    struct config_words sni;  /* lower case, "*." in front of some; none = any, or no name at all */
    struct config_words alpn; /* none = any */
    char *pool_name;
    const struct config_pool *pool;
};

/* The first that has a client decides. */
struct config_access {
    struct network network;
    bool allow;
};

struct config_listen {
    char *name;
    struct config_bind *bind;
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
    bool accept_proxy;
    struct network *trusted_proxy; /* at least 1 with accept_proxy, otherwise none */
    size_t trusted_proxy_count;
    struct config_route *route; /* the first that matches */
    size_t route_count;
    uint64_t preread_timeout;
    struct config_access *access; /* in file order; whom none has is allowed */
    size_t access_count;
    uint64_t max_connections_per_ip; /* 0 = off */
    struct config_rate rate_limit_per_ip;
    uint64_t per_ip6_prefix;
    uint64_t upload_rate;   /* bytes a second; 0 = off */
    uint64_t download_rate; /* likewise */
};

struct config_server {
    char *name;
    struct addr addr; /* where host is NULL */
    bool same_port;   /* addr is an IP address without a port: that which the client came to */
    char *host;       /* to be resolved: to addresses, or to a service's hosts and ports */
    bool service;     /* host is the name of SRV records */
    uint16_t port;    /* of host, unless service */
    unsigned weight;  /* 1..256 */
    bool backup;
    uint64_t max_connections; /* 0 = off */
    enum config_state state;
    struct addr check_address; /* len 0: where the sessions go */
};

/* Where connections to servers come from. */
struct config_source {
    enum config_source_kind kind;
    struct addr addr; /* its port is 0 */
};

struct config_pool {
    char *name;
    const struct config *config; /* that it is a part of */
    struct config_server *server;
    size_t server_count; /* at least 1, or 0 where there is a file, or empty is set */
    bool empty;          /* it may have no server */
    enum config_balance balance;
    enum config_hash_key hash_key;
    uint64_t connect_timeout; /* 0 = as long as the kernel tries */
    uint64_t retries;
    uint64_t max_fails; /* 0 = never taken out */
    uint64_t fail_timeout;
    uint64_t max_queue; /* 0 = nobody waits */
    uint64_t queue_timeout;
    uint64_t slow_start; /* 0 = off */
    enum config_check check;
    uint64_t check_port; /* 0: the server's own */
    enum config_check_send_proxy check_send_proxy;
    struct config_bytes check_send;
    struct config_bytes check_expect;
    struct config_step *check_step; /* in order; none: check_send, then check_expect */
    size_t check_step_count;
    char *check_path;
    char *check_host; /* NULL: the server's address */
    struct config_range check_status;
    uint64_t check_interval;
    uint64_t check_timeout;
    uint64_t check_rise;
    uint64_t check_fall;
    enum config_on_down on_down;
    char *fallback_name; /* NULL = none */
    const struct config_pool *fallback;
    char *file; /* NULL: it has servers */
    enum config_send_proxy send_proxy;
    struct config_source source;
};

/* A variable of the environment that is in some value. */
struct config_variable {
    char *name;
    char *value;
};

struct raw_text;

struct config {
    struct config_variable *variable;
    size_t variable_count;
    struct raw_text *raw_text; /* values that have some; NULL: none has */
    struct config_global global;
    struct config_admin admin;
    struct config_listen *listen; /* in file order */
    size_t listen_count;          /* at least 1 */
    struct config_pool *pool;
    size_t pool_count;
};

/* Reads path and what it includes. Returns the configuration (config_free() is the caller's), or
 * NULL after having written every error as a line "FILE:LINE: [section] key: what, expected" to
 * errors. */
struct config *config_load(const char *path, FILE *errors);

/* As config_load(); and the users, groups and files that it names must be on this machine. */
struct config *config_load_on_machine(const char *path, FILE *errors);
void config_free(struct config *c);

/* Writes the effective configuration, defaults filled in, as a file that config_load() reads. */
void config_print(const struct config *c, FILE *out);

/* Calls found once for each difference from `from` to `to`, and returns how many there were. Values
 * are text, NULL where there is none. section is "global", "admin" or "listen NAME"; where all of
 * it was added or removed key is NULL, and one of before and after is its name, the other one NULL.
 * Of keys that repeat each value is a difference of its own. Where their order has a meaning and
 * changed, the first two that changed places are one as well: "B before A" after "A before B". */
typedef void config_difference_fn(void *arg, const char *section, const char *key,
                                  const char *before, const char *after);
size_t config_compare(const struct config *from, const struct config *to,
                      config_difference_fn *on_difference, void *arg);

#endif
