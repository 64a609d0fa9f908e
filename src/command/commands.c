#include "command/commands.h"

#include <errno.h>
#include <string.h>

#include "base/suggestion.h"
#include "command/command.h"

#define PHRASE_MAX       64
#define PHRASE_WORDS     3 /* of the longest command */
#define SUGGEST_DISTANCE 2 /* letters: "relaod" means reload, "remote" does not */

static enum request_result command_help(struct request *r);

static enum request_result command_top(struct request *r)
{
    return request_fail_as(r, REQUEST_USAGE, "top: run \"zproxyctl top\" in a terminal");
}

static enum request_result command_apply(struct request *r)
{
    return request_fail_as(r, REQUEST_USAGE, "apply: run \"zproxyctl apply FILE\" in a shell");
}

static const struct command commands[] = {
    { "apply", "FILE", "check FILE, put it in place of the configuration, and reload", 1, 1,
      command_apply, COMMAND_SUGGEST_NEAR, COMMAND_CHANGES },
    { "top", "", "live view of rates, servers and the busiest sessions", 0, 0, command_top,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "help", "[COMMAND]", "list all commands, or those that begin with these words", 0,
      REQUEST_WORDS_MAX, command_help, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
};

static const struct command_list command_help_list = COMMAND_LIST(commands);

static const struct command_list *const lists[] = {
    &command_show,   &command_session,   &command_explain,   &command_server,
    &command_pool,   &command_rebalance, &command_wait,      &command_config,
    &command_health, &command_process,   &command_help_list,
};
#define LISTS (sizeof lists / sizeof *lists)

/* ---- finding the command ---- */

/* Returns the number of words in `words` if the request begins with them, else 0. */
static size_t commands_match(const struct request *r, const char *words)
{
    size_t n = 0;
    while (n < r->count) {
        size_t len = strlen(r->word[n]);
        if (strncmp(words, r->word[n], len) != 0 || (words[len] != ' ' && words[len] != '\0'))
            return 0;
        n++;
        if (words[len] == '\0')
            return n;
        words += len + 1;
    }
    return 0;
}

/* The longest match wins: "show sessions busiest" before "show sessions". */
static const struct command *commands_find(const struct request *r, size_t *taken)
{
    const struct command *best = NULL;
    *taken = 0;
    for (size_t i = 0; i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++) {
            size_t n = commands_match(r, lists[i]->command[j].words);
            if (n > *taken) {
                *taken = n;
                best = &lists[i]->command[j];
            }
        }
    return best;
}

static size_t count_words(const char *phrase)
{
    size_t n = 1;
    for (; *phrase != '\0'; phrase++)
        n += *phrase == ' ';
    return n;
}

/* Joins the first n words of the request. */
static void commands_join(const struct request *r, size_t n, char phrase[PHRASE_MAX])
{
    size_t len = 0;
    phrase[0] = '\0';
    for (size_t i = 0; i < n && i < r->count && len < PHRASE_MAX; i++)
        len +=
            (size_t)snprintf(phrase + len, PHRASE_MAX - len, "%s%s", i == 0 ? "" : " ", r->word[i]);
}

static bool is_first_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    return strncmp(words, word, len) == 0 && (words[len] == ' ' || words[len] == '\0');
}

/* Whether a command begins with this word: the words after it are missing or unknown. */
static bool begins_command(const char *word)
{
    for (size_t i = 0; i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++)
            if (is_first_word(lists[i]->command[j].words, word))
                return true;
    return false;
}

static bool may_suggest(const struct request *r, const struct command *c, size_t distance)
{
    switch (c->suggest) {
    case COMMAND_SUGGEST_NEVER:
        return false;
    case COMMAND_SUGGEST_GROUP:
        return is_first_word(c->words, r->word[0]);
    case COMMAND_SUGGEST_NEAR:
        return distance <= SUGGEST_DISTANCE;
    case COMMAND_SUGGEST_ALWAYS:
        return true;
    }
    return false;
}

/* Finds the nearest command, comparing as many words as each one has. Commands that must not be
 * suggested take part: if one of them is the nearest, no other was meant. */
static const struct command *commands_find_nearest(char given[PHRASE_WORDS][PHRASE_MAX],
                                                   size_t *distance)
{
    const struct command *best = NULL;
    *distance = SIZE_MAX;
    for (size_t i = 0; i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++) {
            const struct command *c = &lists[i]->command[j];
            struct suggestion near;
            suggestion_init(&near, given[count_words(c->words) - 1]);
            suggestion_offer(&near, c->words);
            if (near.word != NULL && near.distance < *distance) {
                *distance = near.distance;
                best = c;
            }
        }
    return best;
}

static enum request_result commands_refuse(struct request *r)
{
    char given[PHRASE_WORDS][PHRASE_MAX];
    size_t distance = 0;
    for (size_t n = 0; n < PHRASE_WORDS; n++)
        commands_join(r, n + 1, given[n]);
    const char *all = given[PHRASE_WORDS - 1];
    const struct command *best = commands_find_nearest(given, &distance);
    if (best != NULL && may_suggest(r, best, distance))
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown command, did you mean \"%s\"?", all,
                               best->words);
    if (begins_command(r->word[0]))
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown command, try \"help %s\"", all,
                               r->word[0]);
    return request_fail_as(r, REQUEST_USAGE, "%s: unknown command, try \"help\"", all);
}

static enum request_result execute(struct request *r)
{
    size_t taken = 0;
    const struct command *c = commands_find(r, &taken);
    if (r->count == 0)
        return request_fail_as(r, REQUEST_USAGE, "no command, try \"help\"");
    if (c == NULL)
        return commands_refuse(r);
    r->count -= taken;
    memmove(r->word, r->word + taken, (r->count + 1) * sizeof(char *));
    if (r->count < c->min_args || r->count > c->max_args)
        return request_fail_as(r, REQUEST_USAGE, "usage: %s%s%s", c->words,
                               *c->usage == '\0' ? "" : " ", c->usage);
    r->changes = c->effect == COMMAND_CHANGES;
    return c->execute(r);
}

/* The call is answered before this returns, or later. */
static void on_command(void *arg, struct admin_call *call, char *line)
{
    struct request *r = request_new(arg, call, line);
    if (r == NULL)
        admin_answer(call, NULL, 0);
    else if (execute(r) == REQUEST_DONE)
        request_finish(r);
}

/* ---- help ---- */

static void put_help(struct sheet *s, const struct command *c)
{
    char usage[256];
    snprintf(usage, sizeof usage, "%s%s%s", c->words, *c->usage == '\0' ? "" : " ", c->usage);
    sheet_text(s, usage);
    sheet_bool(s, c->effect == COMMAND_CHANGES);
    sheet_text(s, c->help);
}

static enum request_result command_help(struct request *r)
{
    static const struct sheet_column columns[] = { { "command", SHEET_TEXT },
                                                   { "changes", SHEET_BOOL },
                                                   { "help", SHEET_TEXT } };
    char wanted[PHRASE_MAX];
    struct sheet *s = sheet_new(columns, sizeof columns / sizeof *columns);
    commands_join(r, r->count, wanted);
    for (size_t i = 0; s != NULL && i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++)
            if (strncmp(lists[i]->command[j].words, wanted, strlen(wanted)) == 0)
                put_help(s, &lists[i]->command[j]);
    if (s == NULL || sheet_rows(s) > 0)
        return request_table(r, s);
    sheet_free(s);
    return request_fail_as(r, REQUEST_USAGE, "%s: no command begins with this", wanted);
}

/* ---- start and end ---- */

int commands_open(struct runtime *rt)
{
    int rc = scan_replies_open(&rt->scan_replies, rt->loop);
    if (rc < 0)
        return rc;
    session_lists_init(&rt->session_lists, &rt->scan_replies, &rt->workers);
    waits_init(&rt->waits, rt->loop);
    drains_init(&rt->drains, rt->loop, &rt->scan_replies, &rt->workers, &rt->pools);
    rebalances_init(&rt->rebalances, rt->loop, &rt->scan_replies, &rt->workers, &rt->pools,
                    &rt->last_session_id);
    rt->admin = admin_new(rt->loop, on_command, rt);
    return rt->admin == NULL ? -ENOMEM : 0;
}

/* The replies come first: they answer the calls that are open. */
void commands_fini(struct runtime *rt)
{
    if (rt->admin == NULL)
        return;
    scan_replies_fini(&rt->scan_replies);
    waits_end(&rt->waits);
    drains_fini(&rt->drains);
    rebalances_fini(&rt->rebalances);
    session_lists_fini(&rt->session_lists);
    admin_free(rt->admin);
    rt->admin = NULL;
}
