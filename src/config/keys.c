#include "config/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "config/value_kinds.h"

#define COUNT_MAX     1000000000 /* far above any use, and safe to multiply */
#define YEAR          (365 * VALUE_DAY)
#define KERNEL_MS_MAX (24 * VALUE_DAY) /* the kernel keeps milliseconds in an int */

static const char *const format_words[] = {
    [LOG_FORMAT_TEXT] = "text",
    [LOG_FORMAT_JSON] = "json",
    [LOG_FORMAT_JSON + 1] = NULL,
};
static const char *const relay_words[] = {
    [CONFIG_RELAY_SPLICE] = "splice",
    [CONFIG_RELAY_COPY] = "copy",
    [CONFIG_RELAY_COPY + 1] = NULL,
};
const char *const config_balance_words[] = {
    [CONFIG_BALANCE_ROUND_ROBIN] = "round_robin",
    [CONFIG_BALANCE_LEAST_CONN] = "least_conn",
    [CONFIG_BALANCE_RANDOM] = "random",
    [CONFIG_BALANCE_HASH] = "hash",
    [CONFIG_BALANCE_FIRST] = "first",
    [CONFIG_BALANCE_LEAST_TIME] = "least_time",
    [CONFIG_BALANCE_LEAST_TIME + 1] = NULL,
};
const char *const config_hash_key_words[] = {
    [CONFIG_HASH_SOURCE] = "source",
    [CONFIG_HASH_SOURCE_PORT] = "source_port",
    [CONFIG_HASH_SNI] = "sni",
    [CONFIG_HASH_SNI + 1] = NULL,
};
static const char *const check_words[] = {
    [CONFIG_CHECK_NONE] = "none", [CONFIG_CHECK_TCP] = "tcp",     [CONFIG_CHECK_HTTP] = "http",
    [CONFIG_CHECK_SEND] = "send", [CONFIG_CHECK_SEND + 1] = NULL,
};
static const char *const queue_when_words[] = {
    [CONFIG_QUEUE_FULL] = "full",
    [CONFIG_QUEUE_DOWN] = "down",
    [CONFIG_QUEUE_DOWN + 1] = NULL,
};
static const char *const on_down_words[] = {
    [CONFIG_ON_DOWN_KEEP] = "keep",
    [CONFIG_ON_DOWN_CLOSE] = "close",
    [CONFIG_ON_DOWN_CLOSE + 1] = NULL,
};

static const char *const send_proxy_words[] = {
    [CONFIG_SEND_PROXY_NO] = "no",
    [CONFIG_SEND_PROXY_V1] = "v1",
    [CONFIG_SEND_PROXY_V2] = "v2",
    [CONFIG_SEND_PROXY_V2 + 1] = NULL,
};

static const char *const check_send_proxy_words[] = {
    [CONFIG_CHECK_SEND_PROXY_AUTO] = "auto",
    [CONFIG_CHECK_SEND_PROXY_NO] = "no",
    [CONFIG_CHECK_SEND_PROXY_YES] = "yes",
    [CONFIG_CHECK_SEND_PROXY_YES + 1] = NULL,
};

static const char *const check_tls_words[] = {
    [CONFIG_CHECK_TLS_AUTO] = "auto",
    [CONFIG_CHECK_TLS_NO] = "no",
    [CONFIG_CHECK_TLS_YES] = "yes",
    [CONFIG_CHECK_TLS_YES + 1] = NULL,
};

static const char *const verify_client_words[] = {
    [CONFIG_VERIFY_CLIENT_NO] = "no",
    [CONFIG_VERIFY_CLIENT_OPTIONAL] = "optional",
    [CONFIG_VERIFY_CLIENT_YES] = "yes",
    [CONFIG_VERIFY_CLIENT_YES + 1] = NULL,
};

static const char *const unknown_name_words[] = {
    [CONFIG_UNKNOWN_NAME_DEFAULT] = "default",
    [CONFIG_UNKNOWN_NAME_REJECT] = "reject",
    [CONFIG_UNKNOWN_NAME_REJECT + 1] = NULL,
};

static const char *const tls_kernel_words[] = {
    [CONFIG_TLS_KERNEL_AUTO] = "auto",
    [CONFIG_TLS_KERNEL_NO] = "no",
    [CONFIG_TLS_KERNEL_YES] = "yes",
    [CONFIG_TLS_KERNEL_YES + 1] = NULL,
};

static const char *const tls_version_words[] = {
    [CONFIG_TLS_1_2] = "1.2",
    [CONFIG_TLS_1_3] = "1.3",
    [CONFIG_TLS_1_3 + 1] = NULL,
};

/* clang-format off */
#define VALUE_ADDRESS       { .kind = &value_kind_address }
#define VALUE_SOCKET        { .kind = &value_kind_unix_socket }
#define VALUE_BIND          { .kind = &value_kind_bind }
#define VALUE_ROUTE         { .kind = &value_kind_route }
#define VALUE_NETWORK       { .kind = &value_kind_network }
#define VALUE_ACCESS(allow) { &value_kind_access, (allow), (allow), NULL, NULL }
#define VALUE_SOURCE        { .kind = &value_kind_source }
#define VALUE_RATE          { &value_kind_rate, 1, COUNT_MAX, "off", NULL }
#define VALUE_KEEPALIVE     { .kind = &value_kind_keepalive }
#define VALUE_LOG_TARGET(words) { .kind = &value_kind_log_target, .choices = (words) }
#define VALUE_SERVER        { .kind = &value_kind_server }
#define VALUE_NAMESERVER    { .kind = &value_kind_nameserver }
#define VALUE_BYTES         { .kind = &value_kind_bytes }
#define VALUE_PORT          { &value_kind_check_port, 1, UINT16_MAX, NULL, NULL }
#define VALUE_STEP          { .kind = &value_kind_step }
#define VALUE_STATUS        { &value_kind_status_range, 100, 599, NULL, NULL }
#define VALUE_HTTP_PATH     { .kind = &value_kind_http_path }
#define VALUE_HTTP_HOST     { .kind = &value_kind_http_host }
#define VALUE_TIMEOUT       VALUE_DURATION(1, YEAR, "off")
#define VALUE_CONGESTION    { .kind = &value_kind_congestion }
#define VALUE_DSCP          { .kind = &value_kind_dscp }
#define VALUE_LOWAT         VALUE_SIZE(1, 1 << 30, "kernel")
#define VALUE_BUFFER        VALUE_SIZE(1 << 10, 1 << 30, "kernel")
#define VALUE_BANDWIDTH     VALUE_BYTE_RATE(1, 1ULL << 40, "off")

#define VALUE_CERTIFICATE   { .kind = &value_kind_certificate }
#define VALUE_PROTOCOL      { .kind = &value_kind_protocol }
#define VALUE_LIBRARY_LIST  { &value_kind_library_list, 0, 0, "library", NULL }

#define NO_LIST             { 0, 0, NULL }
#define SINGLE_VALUE                 0, NO_LIST /* no flags */
#define LIST(type, count)   { sizeof(type), (count), NULL }

#define GLOBAL(field) offsetof(struct config_global, field)
static const struct key global_keys[] = {
    { "workers", VALUE_COUNT(1, 1024, "auto"), "auto", GLOBAL(workers), SINGLE_VALUE },
    { "node", VALUE_NAME, NULL, GLOBAL(node), SINGLE_VALUE },
    { "cpu_affinity", VALUE_BOOL, "no", GLOBAL(fixed.cpu_affinity), KEY_FIXED, NO_LIST },
    { "max_connections", VALUE_COUNT(1, COUNT_MAX, "auto"), "auto", GLOBAL(max_connections), SINGLE_VALUE },
    { "user", VALUE_WORD, NULL, GLOBAL(user), KEY_FIXED, NO_LIST },
    { "group", VALUE_WORD, NULL, GLOBAL(group), KEY_FIXED, NO_LIST },
    { "chroot", VALUE_PATH, NULL, GLOBAL(chroot), KEY_FIXED, NO_LIST },
    { "pid_file", VALUE_PATH, NULL, GLOBAL(fixed.pid_file), KEY_FIXED, NO_LIST },
    { "log", VALUE_LOG_TARGET(log_target_words), "stderr", GLOBAL(fixed.log), KEY_FIXED, NO_LIST },
    { "log_level", VALUE_CHOICE(log_level_words), "info", GLOBAL(log_level), SINGLE_VALUE },
    { "log_format", VALUE_CHOICE(format_words), "text", GLOBAL(fixed.log_format), KEY_FIXED, NO_LIST },
    { "access_log", VALUE_LOG_TARGET(access_log_target_words), "same", GLOBAL(fixed.access_log), KEY_FIXED, NO_LIST },
    { "relay", VALUE_CHOICE(relay_words), "splice", GLOBAL(fixed.relay), KEY_FIXED, NO_LIST },
    { "pipe_size", VALUE_SIZE(4 << 10, 1 << 30, NULL), "512k", GLOBAL(fixed.pipe_size), KEY_FIXED, NO_LIST },
    { "max_pipes", VALUE_COUNT(1, COUNT_MAX, "auto"), "auto", GLOBAL(fixed.max_pipes), KEY_FIXED, NO_LIST },
    { "busy_poll", { .kind = &value_kind_busy_poll }, "auto", GLOBAL(fixed.busy_poll), KEY_FIXED, NO_LIST },
    { "shutdown_delay", VALUE_TIMEOUT, "off", GLOBAL(shutdown_delay), SINGLE_VALUE },
    { "shutdown_timeout", VALUE_TIMEOUT, "30s", GLOBAL(shutdown_timeout), SINGLE_VALUE },
    { "nameserver", VALUE_NAMESERVER, NULL, GLOBAL(nameserver), KEY_COMMAS | KEY_ORDERED,
      LIST(struct addr, GLOBAL(nameserver_count)) },
    { "resolve_min", VALUE_DURATION(1, VALUE_DAY, NULL), "1s", GLOBAL(resolve_min), SINGLE_VALUE },
    { "resolve_max", VALUE_DURATION(1, VALUE_DAY, NULL), "5m", GLOBAL(resolve_max), SINGLE_VALUE },
    { "resolve_retry", VALUE_DURATION(1, VALUE_DAY, NULL), "2s", GLOBAL(resolve_retry), SINGLE_VALUE },
    { "resolve_hold", VALUE_TIMEOUT, "30s", GLOBAL(resolve_hold), SINGLE_VALUE },
    { "include", { NULL, 0, 0, NULL, NULL }, NULL, 0, KEY_INCLUDE | KEY_COMMAS, NO_LIST },
};

#define ADMIN(field) offsetof(struct config_admin, field)
static const struct key admin_keys[] = {
    { "socket", VALUE_SOCKET, NULL, ADMIN(socket), SINGLE_VALUE },
    { "socket_mode", VALUE_MODE(NULL), "0600", ADMIN(socket_mode), SINGLE_VALUE },
    { "http", VALUE_ADDRESS, NULL, ADMIN(http), SINGLE_VALUE },
};

#define LISTEN(field) offsetof(struct config_listen, field)
#define ACCESS_LIST   { sizeof(struct config_access), LISTEN(access_count), value_access_key }
static const struct key listen_keys[] = {
    { "bind", VALUE_BIND, NULL, LISTEN(bind), KEY_REQUIRED | KEY_COMMAS | KEY_NO_DEFAULTS,
      LIST(struct config_bind, LISTEN(bind_count)) },
    { "pool", VALUE_NAME, NULL, LISTEN(pool_name), KEY_REQUIRED | KEY_NO_DEFAULTS, NO_LIST },
    { "idle_timeout", VALUE_TIMEOUT, "1h", LISTEN(idle_timeout), SINGLE_VALUE },
    { "half_close_timeout", VALUE_TIMEOUT, "5m", LISTEN(half_close_timeout), SINGLE_VALUE },
    { "session_timeout", VALUE_TIMEOUT, "off", LISTEN(session_timeout), SINGLE_VALUE },
    { "max_connections", VALUE_COUNT(1, COUNT_MAX, "off"), "off", LISTEN(max_connections), SINGLE_VALUE },
    { "backlog", VALUE_COUNT(1, 65535, NULL), "4096", LISTEN(backlog), SINGLE_VALUE },
    { "nodelay", VALUE_BOOL, "yes", LISTEN(nodelay), SINGLE_VALUE },
    { "keepalive", VALUE_KEEPALIVE, "yes", LISTEN(keepalive), SINGLE_VALUE },
    { "tcp_user_timeout", VALUE_DURATION(1, KERNEL_MS_MAX, "off"), "off", LISTEN(tcp_user_timeout), SINGLE_VALUE },
    { "fastopen", VALUE_COUNT(1, 65535, "off"), "off", LISTEN(fastopen), SINGLE_VALUE },
    { "defer_accept", VALUE_DURATION(1000, VALUE_HOUR, "off"), "off", LISTEN(defer_accept), SINGLE_VALUE },
    { "receive_buffer", VALUE_BUFFER, "kernel", LISTEN(receive_buffer), SINGLE_VALUE },
    { "send_buffer", VALUE_BUFFER, "kernel", LISTEN(send_buffer), SINGLE_VALUE },
    { "congestion", VALUE_CONGESTION, "kernel", LISTEN(tcp.congestion), SINGLE_VALUE },
    { "dscp", VALUE_DSCP, "kernel", LISTEN(tcp.dscp), SINGLE_VALUE },
    { "notsent_lowat", VALUE_LOWAT, "kernel", LISTEN(tcp.notsent_lowat), SINGLE_VALUE },
    { "accept_proxy", VALUE_BOOL, "no", LISTEN(accept_proxy), SINGLE_VALUE },
    { "trusted_proxies", VALUE_NETWORK, NULL, LISTEN(trusted_proxy), KEY_COMMAS,
      LIST(struct network, LISTEN(trusted_proxy_count)) },
    { "route", VALUE_ROUTE, NULL, LISTEN(route), KEY_COMMAS | KEY_OPTIONS | KEY_ORDERED,
      LIST(struct config_route, LISTEN(route_count)) },
    { "preread_timeout", VALUE_DURATION(1, VALUE_HOUR, NULL), "5s", LISTEN(preread_timeout), SINGLE_VALUE },
    { "allow", VALUE_ACCESS(1), NULL, LISTEN(access), KEY_COMMAS | KEY_ORDERED, ACCESS_LIST },
    { "deny", VALUE_ACCESS(0), NULL, LISTEN(access), KEY_COMMAS | KEY_SAME_LIST, ACCESS_LIST },
    { "max_connections_per_ip", VALUE_COUNT(1, COUNT_MAX, "off"), "off", LISTEN(max_connections_per_ip),
      SINGLE_VALUE },
    { "rate_limit_per_ip", VALUE_RATE, "off", LISTEN(rate_limit_per_ip), SINGLE_VALUE },
    { "per_ip6_prefix", VALUE_COUNT(1, 128, NULL), "64", LISTEN(per_ip6_prefix), SINGLE_VALUE },
    { "upload_rate", VALUE_BANDWIDTH, "off", LISTEN(upload_rate), SINGLE_VALUE },
    { "download_rate", VALUE_BANDWIDTH, "off", LISTEN(download_rate), SINGLE_VALUE },
    { "tls", VALUE_BOOL, "no", LISTEN(tls), SINGLE_VALUE },
    { "tls_certificate", VALUE_CERTIFICATE, NULL, LISTEN(tls_certificate), KEY_ORDERED,
      LIST(struct config_certificate, LISTEN(tls_certificate_count)) },
    { "tls_min", VALUE_CHOICE(tls_version_words), "1.2", LISTEN(tls_limits.min), SINGLE_VALUE },
    { "tls_max", VALUE_CHOICE(tls_version_words), "1.3", LISTEN(tls_limits.max), SINGLE_VALUE },
    { "tls_ciphers", VALUE_LIBRARY_LIST, "library", LISTEN(tls_limits.ciphers), SINGLE_VALUE },
    { "tls_ciphersuites", VALUE_LIBRARY_LIST, "library", LISTEN(tls_limits.ciphersuites), SINGLE_VALUE },
    { "tls_groups", VALUE_LIBRARY_LIST, "library", LISTEN(tls_limits.groups), SINGLE_VALUE },
    { "tls_alpn", VALUE_PROTOCOL, NULL, LISTEN(tls_limits.alpn), KEY_COMMAS | KEY_ORDERED,
      LIST(char *, LISTEN(tls_limits.alpn_count)) },
    { "tls_client_ca", VALUE_PATH, NULL, LISTEN(tls_client_ca), SINGLE_VALUE },
    { "tls_verify_client", VALUE_CHOICE(verify_client_words), "no", LISTEN(tls_verify_client), SINGLE_VALUE },
    { "tls_unknown_name", VALUE_CHOICE(unknown_name_words), "default", LISTEN(tls_unknown_name), SINGLE_VALUE },
    { "tls_tickets", VALUE_BOOL, "yes", LISTEN(tls_tickets), SINGLE_VALUE },
    { "tls_ticket_key", VALUE_PATH, NULL, LISTEN(tls_ticket_key), KEY_ORDERED,
      LIST(char *, LISTEN(tls_ticket_key_count)) },
    { "tls_kernel", VALUE_CHOICE(tls_kernel_words), "auto", LISTEN(tls_limits.kernel), SINGLE_VALUE },
};

#define POOL(field) offsetof(struct config_pool, field)
static const struct key pool_keys[] = {
    { "server", VALUE_SERVER, NULL, POOL(server), KEY_NO_DEFAULTS | KEY_ORDERED,
      LIST(struct config_server, POOL(server_count)) },
    { "file", VALUE_PATH, NULL, POOL(file), KEY_NO_DEFAULTS, NO_LIST },
    { "empty", VALUE_BOOL, "no", POOL(empty), SINGLE_VALUE },
    { "balance", VALUE_CHOICE(config_balance_words), "round_robin", POOL(balance), SINGLE_VALUE },
    { "hash_key", VALUE_CHOICE(config_hash_key_words), "source", POOL(hash_key), SINGLE_VALUE },
    { "connect_timeout", VALUE_TIMEOUT, "5s", POOL(connect_timeout), SINGLE_VALUE },
    { "retries", VALUE_COUNT(0, 1000, NULL), "2", POOL(retries), SINGLE_VALUE },
    { "max_fails", VALUE_COUNT(0, 1000000, NULL), "3", POOL(max_fails), SINGLE_VALUE },
    { "fail_timeout", VALUE_DURATION(1, VALUE_DAY, NULL), "10s", POOL(fail_timeout), SINGLE_VALUE },
    { "max_queue", VALUE_COUNT(0, COUNT_MAX, NULL), "0", POOL(max_queue), SINGLE_VALUE },
    { "queue_timeout", VALUE_TIMEOUT, "5s", POOL(queue_timeout), SINGLE_VALUE },
    { "queue_when", VALUE_CHOICE(queue_when_words), "full", POOL(queue_when), SINGLE_VALUE },
    { "slow_start", VALUE_DURATION(1, VALUE_DAY, "off"), "off", POOL(slow_start), SINGLE_VALUE },
    { "check", VALUE_CHOICE(check_words), "none", POOL(check), SINGLE_VALUE },
    { "check_port", VALUE_PORT, NULL, POOL(check_port), SINGLE_VALUE },
    { "check_send_proxy", VALUE_CHOICE(check_send_proxy_words), "auto", POOL(check_send_proxy), SINGLE_VALUE },
    { "check_send", VALUE_BYTES, NULL, POOL(check_send), KEY_BYTES, NO_LIST },
    { "check_expect", VALUE_BYTES, NULL, POOL(check_expect), KEY_BYTES, NO_LIST },
    { "check_step", VALUE_STEP, NULL, POOL(check_step), KEY_ORDERED | KEY_WHOLE | KEY_BYTES,
      LIST(struct config_step, POOL(check_step_count)) },
    { "check_path", VALUE_HTTP_PATH, "/", POOL(check_path), SINGLE_VALUE },
    { "check_host", VALUE_HTTP_HOST, NULL, POOL(check_host), SINGLE_VALUE },
    { "check_status", VALUE_STATUS, "200-399", POOL(check_status), SINGLE_VALUE },
    { "check_interval", VALUE_DURATION(10, VALUE_DAY, NULL), "2s", POOL(check_interval), SINGLE_VALUE },
    { "check_timeout", VALUE_DURATION(1, VALUE_HOUR, NULL), "1s", POOL(check_timeout), SINGLE_VALUE },
    { "check_rise", VALUE_COUNT(1, 1000, NULL), "2", POOL(check_rise), SINGLE_VALUE },
    { "check_fall", VALUE_COUNT(1, 1000, NULL), "3", POOL(check_fall), SINGLE_VALUE },
    { "on_down", VALUE_CHOICE(on_down_words), "keep", POOL(on_down), SINGLE_VALUE },
    { "fallback", VALUE_NAME, NULL, POOL(fallback_name), SINGLE_VALUE },
    { "send_proxy", VALUE_CHOICE(send_proxy_words), "no", POOL(send_proxy), SINGLE_VALUE },
    { "source", VALUE_SOURCE, "kernel", POOL(source), SINGLE_VALUE },
    { "congestion", VALUE_CONGESTION, "kernel", POOL(tcp.congestion), SINGLE_VALUE },
    { "dscp", VALUE_DSCP, "kernel", POOL(tcp.dscp), SINGLE_VALUE },
    { "notsent_lowat", VALUE_LOWAT, "kernel", POOL(tcp.notsent_lowat), SINGLE_VALUE },
    { "check_tls", VALUE_CHOICE(check_tls_words), "auto", POOL(check_tls), SINGLE_VALUE },
    /* in [defaults] these two are meant for listeners: a pool says itself that its servers have TLS */
    { "tls", VALUE_BOOL, "no", POOL(tls), KEY_NO_DEFAULTS, NO_LIST },
    { "tls_ca", { &value_kind_tls_ca, 0, 0, "system", NULL }, "system", POOL(tls_ca), SINGLE_VALUE },
    { "tls_verify", VALUE_BOOL, "yes", POOL(tls_verify), SINGLE_VALUE },
    { "tls_name", { .kind = &value_kind_tls_name }, NULL, POOL(tls_name), SINGLE_VALUE },
    { "tls_certificate", VALUE_CERTIFICATE, NULL, POOL(tls_certificate), KEY_NO_DEFAULTS, NO_LIST },
    { "tls_min", VALUE_CHOICE(tls_version_words), "1.2", POOL(tls_limits.min), SINGLE_VALUE },
    { "tls_max", VALUE_CHOICE(tls_version_words), "1.3", POOL(tls_limits.max), SINGLE_VALUE },
    { "tls_ciphers", VALUE_LIBRARY_LIST, "library", POOL(tls_limits.ciphers), SINGLE_VALUE },
    { "tls_ciphersuites", VALUE_LIBRARY_LIST, "library", POOL(tls_limits.ciphersuites), SINGLE_VALUE },
    { "tls_groups", VALUE_LIBRARY_LIST, "library", POOL(tls_limits.groups), SINGLE_VALUE },
    { "tls_alpn", VALUE_PROTOCOL, NULL, POOL(tls_limits.alpn), KEY_COMMAS | KEY_ORDERED,
      LIST(char *, POOL(tls_limits.alpn_count)) },
    { "tls_kernel", VALUE_CHOICE(tls_kernel_words), "auto", POOL(tls_limits.kernel), SINGLE_VALUE },
};

#define KEYS(rows)    rows, sizeof(rows) / sizeof *(rows)
#define CONFIG(field) offsetof(struct config, field)
const struct section keys_sections[] = {
    [SECTION_GLOBAL] = { "global", "[global]", KEYS(global_keys), CONFIG(global), { 0, 0, 0 } },
    [SECTION_ADMIN] = { "admin", "[admin]", KEYS(admin_keys), CONFIG(admin), { 0, 0, 0 } },
    [SECTION_LISTEN] = { "listen", "[listen NAME]", KEYS(listen_keys), CONFIG(listen),
                         { sizeof(struct config_listen), CONFIG(listen_count), LISTEN(name) } },
    [SECTION_POOL] = { "pool", "[pool NAME]", KEYS(pool_keys), CONFIG(pool),
                       { sizeof(struct config_pool), CONFIG(pool_count), POOL(name) } },
};
/* clang-format on */

/* --- Looking up --- */

const struct section *keys_find_section(const char *type)
{
    for (size_t i = 0; i < SECTION_KINDS; i++)
        if (strcmp(keys_sections[i].type, type) == 0)
            return &keys_sections[i];
    return NULL;
}

const struct key *keys_find(const struct section *s, const char *name)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (strcmp(s->keys[i].name, name) == 0)
            return &s->keys[i];
    return NULL;
}

/* --- From offsets to pointers --- */

static void *field(const void *at, size_t offset)
{
    return (char *)at + offset; /* drops const: the caller knows whether it may write */
}

/* The pointer at an offset, of any type: hence memcpy(). */
static char *pointer_at(const void *at, size_t offset)
{
    char *pointer = NULL;
    memcpy(&pointer, field(at, offset), sizeof pointer);
    return pointer;
}

/* --- Sections --- */

size_t keys_section_count(const struct section *s, const struct config *c)
{
    return s->list.size == 0 ? 1 : *(size_t *)field(c, s->list.count);
}

void *keys_section_at(const struct section *s, const struct config *c, size_t i)
{
    if (s->list.size == 0)
        return field(c, s->offset);
    return pointer_at(c, s->offset) + i * s->list.size;
}

const char *keys_section_name(const struct section *s, const void *at)
{
    return s->list.size == 0 ? NULL : pointer_at(at, s->list.name);
}

const char *keys_section_label(const struct section *s, const void *at, char buf[KEYS_LABEL_MAX])
{
    const char *name = keys_section_name(s, at);
    snprintf(buf, KEYS_LABEL_MAX, "%s%s%s", s->type, name == NULL ? "" : " ",
             name == NULL ? "" : name);
    return buf;
}

void *keys_section_add(const struct section *s, struct config *c, const char *name)
{
    char *copy = strdup(name);
    void *at =
        copy == NULL ? NULL : array_add(field(c, s->offset), field(c, s->list.count), s->list.size);
    if (at == NULL) {
        free(copy);
        return NULL;
    }
    memcpy(field(at, s->list.name), &copy, sizeof copy);
    /* cppcheck-suppress memleak ; at owns the copy */
    return at;
}

void keys_section_free(const struct section *s, void *at)
{
    for (size_t i = 0; i < s->key_count; i++) {
        const struct key *k = &s->keys[i];
        if (k->list.size > 0 && (k->flags & KEY_SAME_LIST) == 0) {
            keys_items_clear(k, at);
            free(pointer_at(at, k->offset));
        } else if (k->list.size == 0 && keys_item_count(k, at) > 0) {
            value_free(&k->value, keys_item(k, at, 0));
        }
    }
    if (s->list.size > 0)
        free(pointer_at(at, s->list.name));
}

/* --- Values --- */

size_t keys_item_count(const struct key *k, const void *at)
{
    if ((k->flags & KEY_INCLUDE) != 0)
        return 0;
    if (k->list.size > 0)
        return *(size_t *)field(at, k->list.count);
    /* A value without a default begins with a pointer or a length, which is 0 while it is unset. */
    return k->default_value != NULL || pointer_at(at, k->offset) != NULL ? 1 : 0;
}

void *keys_item(const struct key *k, const void *at, size_t i)
{
    if (k->list.size == 0)
        return field(at, k->offset);
    return pointer_at(at, k->offset) + i * k->list.size;
}

void *keys_item_add(const struct key *k, void *at)
{
    return array_add(field(at, k->offset), field(at, k->list.count), k->list.size);
}

void keys_item_remove(const struct key *k, void *at)
{
    --*(size_t *)field(at, k->list.count);
}

void keys_items_clear(const struct key *k, void *at)
{
    for (size_t i = keys_item_count(k, at); i > 0; i--) {
        value_free(&k->value, keys_item(k, at, i - 1));
        keys_item_remove(k, at);
    }
}

const struct key *keys_list_row(const struct key *k)
{
    while ((k->flags & KEY_SAME_LIST) != 0)
        k--;
    return k;
}

const char *keys_item_name(const struct key *k, const void *item)
{
    return k->list.name == NULL ? k->name : k->list.name(item);
}

char *keys_to_string(const struct section *s, const void *at, const char *name)
{
    const struct key *k = keys_find(s, name);
    char *text = NULL;
    size_t size = 0;
    FILE *out = k == NULL ? NULL : open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < keys_item_count(k, at); i++) {
        fputs(i == 0 ? "" : ", ", out);
        value_print(&k->value, keys_item(k, at, i), out);
    }
    fclose(out);
    return text;
}

bool keys_equal(const struct section *s, const void *a, const void *b, const char *name)
{
    char *x = keys_to_string(s, a, name);
    char *y = keys_to_string(s, b, name);
    bool equal = x != NULL && y != NULL && strcmp(x, y) == 0;
    free(x);
    free(y);
    return equal;
}
