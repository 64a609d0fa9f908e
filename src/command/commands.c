#include "command/commands.h"

#include <string.h>

#include "base/suggestion.h"
#include "command/command_config.h"
#include "command/command_explain.h"
#include "command/command_process.h"
#include "command/command_server.h"
#include "command/command_session.h"
#include "command/command_show.h"
#include "command/request.h"

#define PHRASE_MAX      64
#define RELOAD_DISTANCE 2 /* "relaod" is meant, "remote" is not */

static enum request_result help(struct request *r);

static enum request_result top(struct request *r)
{
    return request_fail(r, "top: zproxyctl(8) has it: a terminal is needed");
}

static const struct command help_commands[] = {
    { "top", "", "a live view of rates, servers and the busiest sessions", 0, 0, top },
    { "help", "[COMMAND]", "all commands, or those that begin so", 0, REQUEST_WORDS_MAX, help },
};

static const struct command_list help_list = { help_commands, 2 };

/* In the order that help has. */
static const struct command_list *const lists[] = {
    &command_show,   &command_session, &command_explain, &command_server,
    &command_config, &command_process, &help_list,
};
#define LISTS (sizeof lists / sizeof *lists)

/* ---- which command ---- */

/* How many words there are in words, if r begins with them; else 0. */
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

/* The one with most words: "show sessions busiest" rather than "show sessions". */
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

/* The first n words that were given. */
static void commands_join(const struct request *r, size_t n, char phrase[PHRASE_MAX])
{
    size_t len = 0;
    phrase[0] = '\0';
    for (size_t i = 0; i < n && i < r->count && len < PHRASE_MAX; i++)
        len +=
            (size_t)snprintf(phrase + len, PHRASE_MAX - len, "%s%s", i == 0 ? "" : " ", r->word[i]);
}

static bool is_whole_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    return strncmp(words, word, len) == 0 && (words[len] == ' ' || words[len] == '\0');
}

/* A word that begins a command, with the rest missing or unknown. */
static bool is_command_prefix(const char *word)
{
    for (size_t i = 0; i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++)
            if (is_whole_word(lists[i]->command[j].words, word))
                return true;
    return false;
}

/* Whether a mistyped command may be answered with this one. What ends sessions or takes a server
 * out is never suggested: the suggestion might be run unread. What changes something else is, if
 * its first word was typed as it is; reload has one word, of which two letters may be wrong. */
static bool may_suggest(const struct request *r, const struct command *c, size_t distance)
{
    static const char *const harmless[] = { "show", "explain", "preview", "top", "help" };
    static const char *const changing[] = { "set", "add" };
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (is_whole_word(c->words, harmless[i]))
            return true;
    for (size_t i = 0; i < sizeof changing / sizeof *changing; i++)
        if (is_whole_word(c->words, changing[i]))
            return strcmp(r->word[0], changing[i]) == 0;
    return is_whole_word(c->words, "reload") && distance <= RELOAD_DISTANCE;
}

/* Compares as many words as each command has. What must not be suggested takes part: where it is
 * the nearest, nothing else was meant. */
static enum request_result commands_refuse(struct request *r)
{
    char given[3][PHRASE_MAX];
    const struct command *best = NULL;
    size_t distance = SIZE_MAX;
    for (size_t n = 0; n < 3; n++)
        commands_join(r, n + 1, given[n]);
    for (size_t i = 0; i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++) {
            const struct command *c = &lists[i]->command[j];
            struct suggestion near;
            suggestion_init(&near, given[count_words(c->words) - 1]);
            suggestion_offer(&near, c->words);
            if (near.word != NULL && near.distance < distance) {
                distance = near.distance;
                best = c;
            }
        }
    if (best != NULL && may_suggest(r, best, distance))
        return request_fail(r, "%s: unknown command, did you mean \"%s\"?", given[2], best->words);
    return request_fail(r, "%s: unknown command, try \"help%s%s\"", given[2],
                        is_command_prefix(r->word[0]) ? " " : "",
                        is_command_prefix(r->word[0]) ? r->word[0] : "");
}

static enum request_result execute(struct request *r)
{
    size_t taken = 0;
    const struct command *c = commands_find(r, &taken);
    if (r->count == 0)
        return request_fail(r, "no command, try \"help\"");
    if (c == NULL)
        return commands_refuse(r);
    r->count -= taken;
    memmove(r->word, r->word + taken, (r->count + 1) * sizeof(char *));
    if (r->count < c->min_args || r->count > c->max_args)
        return request_fail(r, "usage: %s%s%s", c->words, *c->usage == '\0' ? "" : " ", c->usage);
    return c->execute(r);
}

void commands_run(struct runtime *rt, struct admin_call *call, const char *line)
{
    struct request *r = request_new(rt, call, line);
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
    sheet_text(s, c->help);
}

static enum request_result help(struct request *r)
{
    static const struct sheet_column columns[] = { { "command", SHEET_TEXT },
                                                   { "help", SHEET_TEXT } };
    char wanted[PHRASE_MAX];
    struct sheet *s = sheet_new(columns, 2);
    commands_join(r, r->count, wanted);
    for (size_t i = 0; s != NULL && i < LISTS; i++)
        for (size_t j = 0; j < lists[i]->count; j++)
            if (strncmp(lists[i]->command[j].words, wanted, strlen(wanted)) == 0)
                put_help(s, &lists[i]->command[j]);
    if (s == NULL || sheet_rows(s) > 0)
        return request_table(r, s);
    sheet_free(s);
    return request_fail(r, "%s: no command begins so", wanted);
}
