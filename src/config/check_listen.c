#include "config/check_listen.h"

#include "config/check_key.h"

void check_listen(const struct load *l, size_t i)
{
    const struct config_listen *listen = &l->config->listen[i];
    const char *accept = "accept_proxy";
    const char *trusted = "trusted_proxies";
    if (!listen->accept_proxy)
        check_key_unused_named(l, SECTION_LISTEN, i, trusted,
                               "of no use without accept_proxy = yes");
    else if (listen->trusted_proxy_count == 0 && !check_key_given(l, SECTION_LISTEN, i, trusted))
        check_key_report(
            l, SECTION_LISTEN, i, accept,
            "needs trusted_proxies, expected the networks whose header is believed, or "
            "all");
}
