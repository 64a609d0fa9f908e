#include "balance/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/gcd.h"
#include "base/hash.h"

static uint64_t add_word(uint64_t hash, const char *word)
{
    return hash_splitmix64(hash, hash_bytes(word, strlen(word)));
}

/* Servers of weights 2 and 4 get the same clients as servers of weights 1 and 2. */
static unsigned weight_divisor(const struct server_member *member, size_t count, bool backup)
{
    unsigned divisor = 0;
    for (size_t i = 0; i < count; i++)
        if (member[i].backup == backup)
            divisor = gcd(divisor, server_weight(member[i].server));
    return divisor == 0 ? 1 : divisor;
}

/* A sum, which is the same in every order. */
static uint64_t hash_weights(const struct server_member *member, size_t count)
{
    const unsigned divisor[] = { weight_divisor(member, count, false),
                                 weight_divisor(member, count, true) };
    uint64_t sum = count;
    for (size_t i = 0; i < count; i++) {
        const struct server *srv = member[i].server;
        unsigned weight = server_weight(srv) / divisor[member[i].backup];
        sum += hash_splitmix64(srv->address_hash, UINT64_C(2) * weight + member[i].backup);
    }
    return sum;
}

static uint64_t hash_order(const struct server_member *member, size_t count, bool backup)
{
    uint64_t hash = backup;
    for (size_t i = 0; i < count; i++) {
        const struct server *srv = member[i].server;
        if (member[i].backup == backup)
            hash = hash_splitmix64(hash_splitmix64(hash, srv->address_hash),
                                   atomic_load(&srv->max_connections));
    }
    return hash;
}

static uint64_t hash_missing(const struct server_member *member, size_t count, bool by_name)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        const struct server *srv = member[i].server;
        if (!server_is_eligible(srv))
            sum += hash_splitmix64(by_name ? srv->identity : srv->address_hash, member[i].backup);
    }
    return sum;
}

/* What a policy that looks at keys adds by table_add_digest() is not hashed here. */
static uint64_t hash_members(enum config_balance balance, const struct server_member *member,
                             size_t count)
{
    switch (balance) {
    case CONFIG_BALANCE_HASH:
        return count;
    case CONFIG_BALANCE_FIRST:
        return hash_splitmix64(hash_order(member, count, false), hash_order(member, count, true));
    case CONFIG_BALANCE_ROUND_ROBIN:
    case CONFIG_BALANCE_LEAST_CONN:
    case CONFIG_BALANCE_RANDOM:
    case CONFIG_BALANCE_LEAST_TIME:
        break;
    }
    return hash_weights(member, count);
}

struct table table_of(const struct config_pool *conf, const struct server_member *member,
                      size_t count)
{
    bool by_name = conf->balance == CONFIG_BALANCE_HASH;
    struct table t = { .missing = hash_missing(member, count, by_name) };
    t.all =
        add_word(hash_members(conf->balance, member, count), config_balance_words[conf->balance]);
    if (by_name)
        t.all = add_word(t.all, config_hash_key_words[conf->hash_key]);
    return t;
}

void table_add_digest(struct table *t, uint64_t digest)
{
    t->all = hash_splitmix64(t->all, digest);
}

uint64_t table_now(const struct table *t)
{
    return t->missing == 0 ? t->all : hash_splitmix64(t->all, t->missing);
}

const char *table_print(uint64_t fingerprint, char text[TABLE_TEXT_SIZE])
{
    snprintf(text, TABLE_TEXT_SIZE, "%016" PRIx64, fingerprint);
    return text;
}
