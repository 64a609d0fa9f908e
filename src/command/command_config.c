#include "command/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/value.h"
#include "control/reload.h"

/* Takes ownership of text. */
static enum request_result command_config_answer(struct request *r, int rc, char *text)
{
    if (text == NULL)
        return request_fail_memory(r);
    if (rc < 0)
        request_fail_lines(r, r->rt->draining ? REQUEST_REFUSED : REQUEST_INVALID, text);
    else
        request_print_lines(r, text);
    if (rc >= 0)
        request_changed(r, rc > 0);
    free(text);
    return REQUEST_DONE;
}

static enum request_result command_reload(struct request *r)
{
    char *text = NULL;
    int rc = reload_file(r->rt, &text);
    return command_config_answer(r, rc, text);
}

static enum request_result preview(struct request *r)
{
    char *text = NULL;
    if (r->count == 2 || (r->count == 3 && strcmp(r->word[1], "as") != 0))
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown, expected as FILE", r->word[1]);
    int rc = reload_preview(r->rt, r->word[0], r->word[2], &text);
    return command_config_answer(r, rc, text);
}

static enum request_result set_log_level(struct request *r)
{
    static const struct value kind = VALUE_CHOICE(log_level_words);
    enum log_level level = LOG_LEVEL_INFO;
    struct value_error error;
    if (value_parse(&kind, &level, r->word[0], &error) < 0)
        return request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    request_changed(r, level != log_level());
    log_set_level(level);
    request_print(r, "log_level: %s", log_level_words[level]);
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "preview", "FILE [as FILE]",
      "list what a reload would change if FILE were the configuration; as FILE: moved there", 1, 3,
      preview, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "reload", "", "read the configuration again; list its errors or the changes", 0, 0,
      command_reload, COMMAND_SUGGEST_NEAR, COMMAND_CHANGES },
    { "set log_level", "LEVEL", "log this level and above: error, warning, notice, info or debug",
      1, 1, set_log_level, COMMAND_SUGGEST_GROUP, COMMAND_CHANGES },
};

const struct command_list command_config = COMMAND_LIST(commands);
