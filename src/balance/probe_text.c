#include "balance/probe_text.h"

#include <stdio.h>
#include <string.h>

#include "balance/probe.h"
#include "config/variable.h"

/* Room for a text in which values are replaced by the names of variables. */
#define MASKED_MAX (PROBE_RECEIVE_MAX + 1024)

const char *probe_text_quote(const struct script *script, char text[PROBE_QUOTE_MAX],
                             const char *data, size_t len)
{
    char masked[MASKED_MAX];
    return probe_quote(text, masked,
                       variable_mask(script->secrets, data, len, masked, sizeof masked));
}

const char *probe_text_expected(const struct script *script, const struct script_step *step,
                                char text[PROBE_TEXT_EXPECTED_MAX])
{
    char quoted[PROBE_QUOTE_MAX];
    switch (step->kind) {
    case SCRIPT_EXPECT:
        return probe_text_quote(script, text, step->data, step->len);
    case SCRIPT_EXPECT_REGEX:
        snprintf(text, PROBE_TEXT_EXPECTED_MAX, "a match of %s",
                 probe_text_quote(script, quoted, step->data, step->len));
        return text;
    case SCRIPT_EXPECT_STATUS:
        return "an HTTP status";
    case SCRIPT_EXPECT_NOT:
    case SCRIPT_SEND:
        break;
    }
    return "an answer";
}

/* The length of the literal text that a regular expression begins with. */
static size_t literal_length(const char *ere, size_t len)
{
    size_t n = 0;
    while (n < len && strchr("\\^$.[|()*+?{", ere[n]) == NULL)
        n++;
    return n;
}

const char *probe_text_received(const struct script *script, const struct script_step *step,
                                char text[PROBE_QUOTE_MAX], const char *data, size_t len)
{
    char masked[MASKED_MAX];
    const char *like = step->data;
    size_t like_len = step->len;
    if (step->kind == SCRIPT_EXPECT_REGEX) {
        size_t skip = like_len > 0 && like[0] == '^';
        like += skip;
        like_len = literal_length(like, like_len - skip);
    }
    len = variable_mask(script->secrets, data, len, masked, sizeof masked);
    return step->kind == SCRIPT_EXPECT_STATUS ? probe_quote(text, masked, len)
                                              : probe_quote_line(text, masked, len, like, like_len);
}
