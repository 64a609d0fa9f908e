#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/admin.h"
#include "fuzz.h"
#include "json_text.h"
#include "rig.h"

const char fuzz_name[] = "commands";

#define INPUT_MAX   16384 /* bytes */
#define TURNS       64    /* of the loop, for each command, */
#define TURNS_BYTES 1024  /* and for so many bytes of answers */
#define PATIENCE_MS 5000  /* in which anything must happen */

/* A client that sends all commands at once, and reads to the end. */
struct client {
    int fd;
    const uint8_t *left; /* of what is to be sent */
    size_t left_size;
    FILE *in;
    char *answers;
    size_t size; /* of them, when in has been flushed */
    bool ended;
};

/* ---- what is expected ---- */

/* The next line, without its break; NULL: there is none. */
static const char *next_line(const char **at, const char *end, size_t *n)
{
    const char *line = *at;
    if (line == end)
        return NULL;
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    *n = (size_t)((stop == NULL ? end : stop) - line);
    *at = line + *n + (stop != NULL);
    return line;
}

/* A line that is no command is the last one. */
static bool is_command(const char *line, size_t n)
{
    if (n > ADMIN_LINE_MAX)
        return false;
    n -= n > 0 && line[n - 1] == '\r';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < 0x20 && line[i] != '\t')
            return false;
    return true;
}

static bool is_empty(const char *line, size_t n)
{
    return n == 0 || (n == 1 && *line == '\r');
}

static bool wants_json(const char *line, size_t n)
{
    while (n > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        n--;
    }
    n -= n > 0 && line[n - 1] == '\r';
    return n >= 4 && memcmp(line, "json", 4) == 0 && (n == 4 || line[4] == ' ' || line[4] == '\t');
}

/* Lines, none of them empty, and an empty one. Returns what is behind them. */
static const char *check_answer(const char *answer, const char *end, bool json)
{
    const char *stop = memmem(answer, (size_t)(end - answer), "\n\n", 2);
    FUZZ_REQUIRE(stop != NULL && stop > answer && *answer != '\n');
    if (json)
        FUZZ_REQUIRE(json_text_is_valid(answer, (size_t)(stop - answer)));
    return stop + 2;
}

/* Every command has one answer, in their order. */
static void check_answers(const struct client *c, const char *at, const char *end)
{
    const char *answer = c->answers;
    const char *answers_end = answer + c->size;
    const char *line;
    size_t n = 0;
    bool good = true;
    while (good && (line = next_line(&at, end, &n)) != NULL) {
        if (is_empty(line, n))
            continue;
        good = is_command(line, n);
        answer = check_answer(answer, answers_end, good && wants_json(line, n));
    }
    FUZZ_REQUIRE(answer == answers_end);
}

/* ---- the client ---- */

/* After a line that is no command nothing more is taken. */
static void send_some(struct client *c)
{
    ssize_t n = send(c->fd, c->left, c->left_size, MSG_NOSIGNAL);
    FUZZ_REQUIRE(n >= 0 || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
    if (n < 0 && errno == EAGAIN)
        return;
    c->left += n < 0 ? 0 : n;
    c->left_size -= n < 0 ? c->left_size : (size_t)n;
    if (c->left_size == 0)
        (void)shutdown(c->fd, SHUT_WR); /* the other side may have gone */
}

static void read_some(struct client *c)
{
    char some[16384];
    ssize_t n = recv(c->fd, some, sizeof some, 0);
    FUZZ_REQUIRE(n >= 0 || errno == EAGAIN || errno == ECONNRESET);
    if (n > 0)
        fwrite(some, 1, (size_t)n, c->in);
    c->ended = n == 0 || (n < 0 && errno == ECONNRESET);
}

/* The loop itself may have more to do at once. Only "wait" needs a timer, for a removed server. */
static void wait_for_anything(const struct client *c, const uv_loop_t *loop)
{
    struct pollfd fds[] = {
        { .fd = c->fd, .events = (short)(POLLIN | (c->left_size > 0 ? POLLOUT : 0)) },
        { .fd = uv_backend_fd(loop), .events = POLLIN },
    };
    int timer = uv_backend_timeout(loop);
    if (timer == 0)
        return;
    int ready = poll(fds, 2, timer > 0 && timer < PATIENCE_MS ? timer : PATIENCE_MS);
    FUZZ_REQUIRE(ready > 0 || (ready == 0 && timer > 0 && timer < PATIENCE_MS));
}

static void talk(struct client *c, uv_loop_t *loop, size_t lines)
{
    for (size_t turns = 0; !c->ended; turns++) {
        FUZZ_REQUIRE(turns < TURNS * (lines + 1) + (size_t)ftell(c->in) / TURNS_BYTES);
        if (c->left_size > 0)
            send_some(c);
        uv_run(loop, UV_RUN_NOWAIT);
        read_some(c);
        if (!c->ended)
            wait_for_anything(c, loop);
    }
    FUZZ_REQUIRE(fclose(c->in) == 0);
}

static size_t count_lines(const char *at, const char *end)
{
    size_t lines = 0;
    for (size_t n = 0; next_line(&at, end, &n) != NULL;)
        lines++;
    return lines;
}

/* Files elsewhere are none of its business. */
static bool reaches_out(const uint8_t *bytes, size_t n)
{
    return memmem(bytes, n, "preview", 7) != NULL && memchr(bytes, '/', n) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct rig g;
    const char *begin = (const char *)bytes;
    struct client c = { .left = bytes, .left_size = n };
    if (n == 0 || n > INPUT_MAX || reaches_out(bytes, n))
        return 0;
    rig_begin(&g);
    c.fd = rig_connect(&g);
    c.in = open_memstream(&c.answers, &c.size);
    FUZZ_REQUIRE(c.in != NULL);
    talk(&c, &g.loop, count_lines(begin, begin + n));
    check_answers(&c, begin, begin + n);
    close(c.fd);
    free(c.answers);
    rig_end(&g);
    return 0;
}
