/* The configuration: an INI file, and the files that it includes, as one structure.
 *
 * A key is one row of a table (keys.c), which drives loading, defaults, printing and comparing.
 * Loading reports all errors of a file, not only the first. A loaded configuration is never
 * changed, so any thread may read it; its owner frees it with config_free().
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

/* Times are in milliseconds and sizes in bytes, unless noted. 0 means off, auto or the kernel's
 * default, as zproxy.ini(5) says for each key. */

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
    CONFIG_BALANCE_LEAST_TIME,
};
extern const char *const config_balance_words[]; /* by enum config_balance; NULL after the last */

enum config_hash_key {
    CONFIG_HASH_SOURCE,
    CONFIG_HASH_SOURCE_PORT,
    CONFIG_HASH_SNI,
};
extern const char *const config_hash_key_words[]; /* by enum config_hash_key */

enum config_check {
    CONFIG_CHECK_NONE,
    CONFIG_CHECK_TCP,
    CONFIG_CHECK_HTTP,
    CONFIG_CHECK_SEND,
};

/* Whether a health check sends a PROXY protocol header first. */
enum config_check_send_proxy {
    CONFIG_CHECK_SEND_PROXY_AUTO, /* as sessions, if it goes to their address */
    CONFIG_CHECK_SEND_PROXY_NO,
    CONFIG_CHECK_SEND_PROXY_YES,
};

/* When sessions wait in the queue. */
enum config_queue_when {
    CONFIG_QUEUE_FULL, /* while the usable servers are full */
    CONFIG_QUEUE_DOWN, /* also while no server is usable */
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
    CONFIG_SOURCE_CLIENT, /* the address and port of the client */
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
    uint64_t time;     /* ms, whole seconds; 0 = kernel's default */
    uint64_t interval; /* ms, whole seconds; 0 = kernel's default */
    uint64_t count;    /* 0 = kernel's default */
};

/* The DSCP of packets that zproxy sends (RFC 2474). */
struct config_dscp {
    bool is_set; /* false = kernel */
    unsigned value;
};

/* Bytes with escapes resolved. They may include zeros. */
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

/* One step of a health check: what to send, or what to expect. */
struct config_step {
    enum config_step_kind kind;
    struct config_bytes bytes; /* CONFIG_STEP_EXPECT_REGEX: the expression as written */
    regex_t *regex;            /* CONFIG_STEP_EXPECT_REGEX only; otherwise NULL */
};

enum config_tls_version {
    CONFIG_TLS_1_2,
    CONFIG_TLS_1_3,
};

/* Whether health checks use TLS. */
enum config_check_tls {
    CONFIG_CHECK_TLS_AUTO, /* as sessions */
    CONFIG_CHECK_TLS_NO,
    CONFIG_CHECK_TLS_YES,
};

/* A certificate chain and its key, in files of PEM. */
struct config_certificate {
    char *file; /* NULL = unset */
    char *key;  /* NULL: in the same file */
};

/* Whether a client needs a certificate. */
enum config_verify_client {
    CONFIG_VERIFY_CLIENT_NO,
    CONFIG_VERIFY_CLIENT_OPTIONAL,
    CONFIG_VERIFY_CLIENT_YES,
};

/* What a client gets whose hello has a name that no certificate is for. */
enum config_unknown_name {
    CONFIG_UNKNOWN_NAME_DEFAULT, /* the first certificate */
    CONFIG_UNKNOWN_NAME_REJECT,
};

/* Whether the kernel encrypts and decrypts after the handshake. */
enum config_tls_kernel {
    CONFIG_TLS_KERNEL_AUTO, /* where it can */
    CONFIG_TLS_KERNEL_NO,
    CONFIG_TLS_KERNEL_YES, /* an error if this machine cannot at all */
};

/* Bytes of all protocols of a section, with one more for each. */
#define CONFIG_ALPN_MAX 4096

/* What may be agreed in a TLS handshake, and what follows it. */
struct config_tls {
    enum config_tls_version min;
    enum config_tls_version max;
    char *ciphers;      /* of TLS 1.2, as OpenSSL writes them; NULL = OpenSSL's own; also below */
    char *ciphersuites; /* of TLS 1.3 */
    char *groups;       /* of the key exchange */
    char **alpn;        /* protocols, the preferred one first: at most CONFIG_ALPN_MAX bytes */
    size_t alpn_count;
    enum config_tls_kernel kernel;
};

/* A rate: count events in a period. */
struct config_rate {
    uint64_t count;  /* 0 = off */
    uint64_t period; /* ms */
};

struct config_words {
    char **word;
    size_t count;
};

/* The numbers from low to high, both included. */
struct config_range {
    unsigned low;
    unsigned high;
};

#define CONFIG_BUSY_POLL_OFF UINT64_MAX

/* Keys of [global] that a reload cannot change. After an upgrade the new process has those of its
 * own file: config_change_swap_fixed(). */
struct config_fixed {
    char *pid_file; /* NULL = unset */
    struct log_target log;
    enum log_format log_format;
    struct log_target access_log;
    bool cpu_affinity;
    enum config_relay relay;
    uint64_t pipe_size;
    uint64_t max_pipes; /* 0 = auto */
    uint64_t busy_poll; /* us; 0 = auto */
};

struct config_global {
    uint64_t workers;         /* 0 = auto */
    uint64_t max_connections; /* 0 = auto */
    char *node;               /* NULL: the host's name */
    char *user;               /* NULL = unset; also for the next two */
    char *group;
    char *chroot;
    enum log_level log_level;
    struct config_fixed fixed;
    uint64_t shutdown_delay; /* 0 = none */
    uint64_t shutdown_timeout;
    struct addr *nameserver; /* none: those of resolv.conf */
    size_t nameserver_count;
    uint64_t resolve_min;
    uint64_t resolve_max;
    uint64_t resolve_retry;
    uint64_t resolve_hold; /* 0 = for ever */
};

struct config_pool;
struct tls_client_context;
struct tls_server_context;

/* Where a running zproxy is controlled and observed. */
struct config_admin {
    struct addr socket; /* a unix socket; len 0 = none */
    unsigned socket_mode;
    struct addr http; /* len 0 = none */
};

/* Options of TCP sockets: in [listen] those towards clients, in [pool] those towards servers. */
struct config_tcp {
    char *congestion; /* algorithm of congestion control; NULL = kernel */
    struct config_dscp dscp;
    uint64_t notsent_lowat;
};

/* One item of `bind`: the addresses that it makes a listener listen on. */
struct config_bind {
    struct addr *addr;
    size_t addr_count; /* more than 1: a range of ports, ascending; 0: a socket from systemd */
    char *fd;          /* name or number of a socket that systemd passes; otherwise NULL */
    unsigned mode;     /* of the file of a unix socket; 0 = not set: umask(2) decides */
    char *user;        /* owner of that file; NULL = unchanged; also for group */
    char *group;
    bool freebind; /* the address need not be one of this machine */
    char *device;  /* network interface on which clients arrive; NULL = any */
};

/* A rule that chooses a pool by TLS hello: one of its names and one of its protocols must match. */
struct config_route {
    struct config_words sni; /* names, or patterns "*.NAME", in lower case; none = any or no name */
    struct config_words alpn; /* none = any or no protocol */
    char *pool_name;
    const struct config_pool *pool;
};

/* One rule of `allow` and `deny`. The first rule whose network contains the client decides. */
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
    struct config_tcp tcp;
    bool accept_proxy;
    struct network *trusted_proxy; /* at least 1 with accept_proxy, else none */
    size_t trusted_proxy_count;
    struct config_route *route; /* in file order: the first that matches decides */
    size_t route_count;
    uint64_t preread_timeout;
    struct config_access *access; /* in file order; a client in no network is allowed */
    size_t access_count;
    uint64_t max_connections_per_ip; /* 0 = off */
    struct config_rate rate_limit_per_ip;
    uint64_t per_ip6_prefix;
    uint64_t upload_rate;   /* bytes a second; 0 = off */
    uint64_t download_rate; /* bytes a second; 0 = off */
    bool tls;               /* TLS of clients ends here; then at least one tls_certificate */
    struct config_certificate *tls_certificate; /* in file order */
    size_t tls_certificate_count;
    struct config_tls tls_limits;
    char *tls_client_ca; /* file of the CAs of clients; NULL = unset */
    enum config_verify_client tls_verify_client;
    enum config_unknown_name tls_unknown_name;
    bool tls_tickets;
    char **tls_ticket_key; /* files; the first one encrypts; none: keys of this process */
    size_t tls_ticket_key_count;
    /* Made by control when the configuration is prepared, and freed with it; NULL: no TLS. */
    struct tls_server_context *tls_context;
};

struct config_server {
    char *name;
    struct addr addr; /* if host is NULL */
    bool same_port;   /* addr has no port: connect to the port that the client connected to */
    char *host;       /* a name to resolve: to addresses or, of a service, to hosts and ports */
    bool service;     /* host is the name of SRV records */
    uint16_t port;    /* of host, if it is no service */
    unsigned weight;  /* 1..256 */
    bool backup;
    uint64_t max_connections; /* 0 = off */
    enum config_state state;
    struct addr check_address; /* len 0: the address of sessions */
};

/* The source address of connections to servers. */
struct config_source {
    enum config_source_kind kind;
    struct addr addr; /* its port is 0 */
};

struct config_pool {
    char *name;
    const struct config *config; /* the one that the pool is a part of */
    struct config_server *server;
    size_t server_count; /* 0 only if file or empty is set */
    bool empty;          /* the pool may have no servers */
    enum config_balance balance;
    enum config_hash_key hash_key;
    uint64_t connect_timeout; /* 0 = that of the kernel */
    uint64_t retries;
    uint64_t max_fails; /* 0 = a server is never taken out */
    uint64_t fail_timeout;
    uint64_t max_queue; /* 0 = no queue */
    uint64_t queue_timeout;
    enum config_queue_when queue_when;
    uint64_t slow_start; /* 0 = off */
    enum config_check check;
    enum config_check_send_proxy check_send_proxy;
    uint64_t check_port; /* 0: the port of the server */
    struct config_bytes check_send;
    struct config_bytes check_expect;
    struct config_step *check_step; /* in file order; none: check_send, then check_expect */
    size_t check_step_count;
    char *check_path;
    char *check_host; /* NULL: the address of the server */
    struct config_range check_status;
    uint64_t check_interval;
    uint64_t check_timeout;
    uint64_t check_rise;
    uint64_t check_fall;
    enum config_on_down on_down;
    char *fallback_name; /* NULL = none */
    const struct config_pool *fallback;
    char *file; /* the answer to all clients; NULL: the servers answer */
    enum config_send_proxy send_proxy;
    struct config_source source;
    struct config_tcp tcp;
    enum config_check_tls check_tls;
    bool tls; /* sessions speak TLS to the servers */
    bool tls_verify;
    char *tls_ca;   /* file of the certificates that are trusted; NULL: those of the system */
    char *tls_name; /* "client": of the client's hello; NULL: of the server */
    struct config_certificate tls_certificate;
    struct config_tls tls_limits;
    /* Made by control when the configuration is prepared, and freed with it; NULL: no TLS. */
    struct tls_client_context *tls_context;
};

/* An environment variable that a value refers to. */
struct config_variable {
    char *name;
    char *value;
};

struct raw_text;
struct config_place;

struct config {
    struct config_variable *variable;
    size_t variable_count;
    struct raw_text *raw_text;  /* the text of values with variables (variable.h); NULL: none */
    struct config_place *place; /* where keys were written (place.h) */
    size_t place_count;
    struct config_global global;
    struct config_admin admin;
    struct config_listen *listen; /* in file order */
    size_t listen_count;          /* at least 1 */
    struct config_pool *pool;
    size_t pool_count;
};

/* Reads the file at path and the files that it includes. Returns the configuration, which the
 * caller frees with config_free(); or NULL after writing each error to `errors`, as a line
 * "FILE:LINE: [section] key: WHAT IS WRONG, expected WHAT". */
struct config *config_load(const char *path, FILE *errors);

/* The same, but relative includes in the file at path are those of a file at `place`. NULL: path.
 */
struct config *config_load_as(const char *path, const char *place, FILE *errors);

/* As config_load(), and users, groups and files of the configuration must exist on this machine. */
struct config *config_load_on_machine(const char *path, FILE *errors);
void config_free(struct config *c);

/* Whether health checks of the pool use TLS. */
bool config_pool_checks_tls(const struct config_pool *p);
/* Whether the pool needs a tls_context. */
bool config_pool_has_tls(const struct config_pool *p);

/* Writes the configuration, with the defaults of all keys, as a file that config_load() reads. */
void config_print(const struct config *c, FILE *out);

/* Calls on_difference for each difference between two configurations; returns their number. section
 * is "global", "admin", "listen NAME" or "pool NAME". before and after are values as text, or NULL
 * where one configuration has no such value. For a section that was added or removed, key is NULL
 * and before or after is the label of the section. Each value of a list is a difference of its own.
 * If the order of a list matters and has changed, the first two values that changed places are one
 * more difference, with the texts "A before B" and "B before A". */
typedef void config_difference_fn(void *arg, const char *section, const char *key,
                                  const char *before, const char *after);
size_t config_compare(const struct config *from, const struct config *to,
                      config_difference_fn *on_difference, void *arg);

#endif
