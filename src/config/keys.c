#include "config/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/array.h"
#include "config/kinds.h"
#include "config/server.h"

#define MANY 1000000000 /* no limit anybody needs, and safe to multiply */
#define YEAR (365 * VALUE_DAY)
#define DAYS (24 * VALUE_DAY) /* as milliseconds in the int that the kernel keeps */

static const char *const level_words[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     [LOG_LEVEL_DEBUG + 1] = NULL,
};
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
static const char *const balance_words[] = {
    [CONFIG_BALANCE_ROUND_ROBIN] = "round_robin",
    [CONFIG_BALANCE_ROUND_ROBIN + 1] = NULL,
};

/* clang-format off */
#define VALUE_ADDRESS       { .kind = &kind_address }
#define VALUE_KEEPALIVE     { .kind = &kind_keepalive }
#define VALUE_TARGET(words) { .kind = &kind_target, .choice = (words) }
#define VALUE_SERVER        { .kind = &server_kind }
#define VALUE_TIMEOUT       VALUE_DURATION(1, YEAR, "off")
#define VALUE_BUFFER        VALUE_SIZE(1 << 10, 1 << 30, "kernel")

#define ONE                 0, { 0, 0 } /* no flags, no list */
#define LIST(type, count)   { sizeof(type), (count) }

#define GLOBAL(field) offsetof(struct config_global, field)
static const struct key global_keys[] = {
    { "workers", VALUE_COUNT(1, 1024, "auto"), "auto", GLOBAL(workers), ONE },
    { "cpu_affinity", VALUE_BOOL, "no", GLOBAL(cpu_affinity), ONE },
    { "max_connections", VALUE_COUNT(1, MANY, "auto"), "auto", GLOBAL(max_connections), ONE },
    { "user", VALUE_WORD, NULL, GLOBAL(user), ONE },
    { "group", VALUE_WORD, NULL, GLOBAL(group), ONE },
    { "chroot", VALUE_PATH, NULL, GLOBAL(chroot), ONE },
    { "pid_file", VALUE_PATH, NULL, GLOBAL(pid_file), ONE },
    { "log", VALUE_TARGET(kind_log_targets), "stderr", GLOBAL(log), ONE },
    { "log_level", VALUE_CHOICE(level_words), "info", GLOBAL(log_level), ONE },
    { "log_format", VALUE_CHOICE(format_words), "text", GLOBAL(log_format), ONE },
    { "access_log", VALUE_TARGET(kind_access_log_targets), "same", GLOBAL(access_log), ONE },
    { "relay", VALUE_CHOICE(relay_words), "splice", GLOBAL(relay), ONE },
    { "pipe_size", VALUE_SIZE(4 << 10, 1 << 30, NULL), "512k", GLOBAL(pipe_size), ONE },
    { "max_pipes", VALUE_COUNT(1, MANY, "auto"), "auto", GLOBAL(max_pipes), ONE },
    { "busy_poll", VALUE_COUNT(1, 1000, "off"), "off", GLOBAL(busy_poll), ONE },
    { "shutdown_timeout", VALUE_TIMEOUT, "30s", GLOBAL(shutdown_timeout), ONE },
    { "include", { NULL, 0, 0, NULL, NULL }, NULL, 0, KEY_INCLUDE | KEY_COMMAS, { 0, 0 } },
};

#define LISTEN(field) offsetof(struct config_listen, field)
static const struct key listen_keys[] = {
    { "bind", VALUE_ADDRESS, NULL, LISTEN(bind), KEY_REQUIRED | KEY_COMMAS | KEY_OWN,
      LIST(struct addr, LISTEN(bind_count)) },
    { "pool", VALUE_NAME, NULL, LISTEN(pool_name), KEY_REQUIRED | KEY_OWN, { 0, 0 } },
    { "idle_timeout", VALUE_TIMEOUT, "1h", LISTEN(idle_timeout), ONE },
    { "half_close_timeout", VALUE_TIMEOUT, "1h", LISTEN(half_close_timeout), ONE },
    { "session_timeout", VALUE_TIMEOUT, "off", LISTEN(session_timeout), ONE },
    { "max_connections", VALUE_COUNT(1, MANY, "off"), "off", LISTEN(max_connections), ONE },
    { "backlog", VALUE_COUNT(1, 65535, NULL), "4096", LISTEN(backlog), ONE },
    { "nodelay", VALUE_BOOL, "yes", LISTEN(nodelay), ONE },
    { "keepalive", VALUE_KEEPALIVE, "yes", LISTEN(keepalive), ONE },
    { "tcp_user_timeout", VALUE_DURATION(1, DAYS, "off"), "off", LISTEN(tcp_user_timeout), ONE },
    { "fastopen", VALUE_COUNT(1, 65535, "off"), "off", LISTEN(fastopen), ONE },
    { "defer_accept", VALUE_DURATION(1000, VALUE_HOUR, "off"), "off", LISTEN(defer_accept), ONE },
    { "receive_buffer", VALUE_BUFFER, "kernel", LISTEN(receive_buffer), ONE },
    { "send_buffer", VALUE_BUFFER, "kernel", LISTEN(send_buffer), ONE },
};

#define POOL(field) offsetof(struct config_pool, field)
static const struct key pool_keys[] = {
    { "server", VALUE_SERVER, NULL, POOL(server), KEY_REQUIRED | KEY_OWN,
      LIST(struct config_server, POOL(server_count)) },
    { "balance", VALUE_CHOICE(balance_words), "round_robin", POOL(balance), ONE },
    { "connect_timeout", VALUE_TIMEOUT, "5s", POOL(connect_timeout), ONE },
    { "retries", VALUE_COUNT(0, 1000, NULL), "2", POOL(retries), ONE },
};

#define KEYS(rows)    rows, sizeof(rows) / sizeof *(rows)
#define CONFIG(field) offsetof(struct config, field)
const struct section keys_sections[] = {
    [SECTION_GLOBAL] = { "global", "[global]", KEYS(global_keys), CONFIG(global), { 0, 0, 0 } },
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

/* --- Offsets to pointers. memcpy(): what is read there is a pointer to whatever type --- */

static void *field(const void *at, size_t offset)
{
    return (char *)at + offset; /* const goes: the caller knows what is its own */
}

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
        for (size_t item = 0; item < keys_count(k, at); item++)
            value_free(&k->value, keys_item(k, at, item));
        if (k->list.size > 0)
            free(pointer_at(at, k->offset));
    }
    if (s->list.size > 0)
        free(pointer_at(at, s->list.name));
}

/* --- Values --- */

size_t keys_count(const struct key *k, const void *at)
{
    if ((k->flags & KEY_INCLUDE) != 0)
        return 0;
    if (k->list.size > 0)
        return *(size_t *)field(at, k->list.count);
    /* Without a default it is text, and NULL until it is set. */
    return k->fallback != NULL || pointer_at(at, k->offset) != NULL ? 1 : 0;
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

void keys_item_drop(const struct key *k, void *at)
{
    --*(size_t *)field(at, k->list.count);
}
