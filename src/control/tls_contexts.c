#include "control/tls_contexts.h"

#include "config/place.h"
#include "tls/tls_client_context.h"

static int make_client(const struct config *conf, size_t i, FILE *errors,
                       struct tls_client_context **out)
{
    const struct config_pool *pool = &conf->pool[i];
    struct tls_problem problem;
    *out = NULL;
    if (!config_pool_has_tls(pool) || tls_client_context_new(out, pool, &problem) == 0)
        return 0;
    fprintf(errors, "%s[pool %s] %s: %s\n", place_find(conf, SECTION_POOL, i, problem.key, 0),
            pool->name, problem.key, problem.text);
    return -1;
}

int tls_contexts_make(struct config *conf, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < conf->pool_count; i++)
        rc |= make_client(conf, i, errors, &conf->pool[i].tls_context);
    return rc;
}

void tls_contexts_free(struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        tls_client_context_free(conf->pool[i].tls_context);
        conf->pool[i].tls_context = NULL;
    }
}

int tls_contexts_check(const struct config *conf, FILE *errors)
{
    struct tls_client_context *context = NULL;
    int rc = 0;
    for (size_t i = 0; i < conf->pool_count; i++) {
        rc |= make_client(conf, i, errors, &context);
        tls_client_context_free(context);
    }
    return rc;
}
