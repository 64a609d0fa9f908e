#include <string.h>

#include "base/addr.h"
#include "base/network.h"
#include "fuzz.h"

const char fuzz_name[] = "address";

static void check_addr(const char *text)
{
    struct addr a;
    struct addr again;
    char printed[ADDR_TEXT_MAX];
    const char *why = NULL;
    if (addr_parse(&a, text, &why) < 0) {
        FUZZ_REQUIRE(why != NULL);
        return;
    }
    addr_print(&a, printed);
    FUZZ_REQUIRE(addr_parse(&again, printed, &why) == 0);
    FUZZ_REQUIRE(addr_equal(&a, &again) && addr_hash(&a) == addr_hash(&again));
}

static void check_network(const char *text)
{
    struct network n;
    struct network again;
    char printed[NETWORK_TEXT_MAX];
    char why[NETWORK_WHY_MAX] = "";
    if (network_parse(&n, text, why) < 0) {
        FUZZ_REQUIRE(why[0] != '\0');
        return;
    }
    network_print(&n, printed);
    FUZZ_REQUIRE(network_parse(&again, printed, why) == 0);
    FUZZ_REQUIRE(network_equal(&n, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = malloc(n + 1);
    if (text == NULL)
        return 0;
    memcpy(text, bytes, n);
    text[n] = '\0';
    check_addr(text);
    check_network(text);
    free(text);
    return 0;
}
