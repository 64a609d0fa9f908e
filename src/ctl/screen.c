#include "ctl/screen.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/utf8.h"

#define ENTER      "\033[?1049h\033[?25l\033[?7l" /* alternate screen, no cursor, no wrapping */
#define LEAVE      "\033[?7h\033[?25h\033[?1049l"
#define HOME       "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"
#define ESCAPE_MS  50

/* Used by signal handlers, hence global. */
static struct termios saved_termios;
static volatile sig_atomic_t is_open;
static volatile sig_atomic_t end_requested;

static const int end_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int crash_signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

/* Signal handlers call it, so it uses write(2) only. */
static void screen_write(const char *text)
{
    ssize_t n = write(STDOUT_FILENO, text, strlen(text));
    (void)n;
}

static void screen_enter(void)
{
    struct termios raw = saved_termios;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    screen_write(ENTER);
    is_open = 1;
}

void screen_close(void)
{
    if (!is_open)
        return;
    is_open = 0;
    screen_write(LEAVE);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_termios);
}

static void on_end(int number)
{
    (void)number;
    end_requested = 1;
}

static void on_crash(int number)
{
    screen_close();
    raise(number); /* SA_RESETHAND: the default action follows */
}

static void on_stop(int number)
{
    int error = errno;
    (void)number;
    screen_close();
    raise(SIGSTOP);
    screen_enter();
    errno = error;
}

/* SIGWINCH: its only effect is that poll(2) in screen_wait() returns. */
static void on_resize(int number)
{
    (void)number;
}

static void set_handler(int number, void (*handler)(int), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

int screen_open(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
        tcgetattr(STDIN_FILENO, &saved_termios) == -1)
        return -ENOTTY;
    for (size_t i = 0; i < sizeof end_signals / sizeof *end_signals; i++)
        set_handler(end_signals[i], on_end, 0);
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++)
        set_handler(crash_signals[i], on_crash, (int)SA_RESETHAND);
    set_handler(SIGTSTP, on_stop, 0);
    set_handler(SIGWINCH, on_resize, 0);
    end_requested = 0;
    atexit(screen_close);
    screen_enter();
    return 0;
}

void screen_size(size_t *rows, size_t *columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    *rows = known ? size.ws_row : 24;
    *columns = known ? size.ws_col : 80;
}

/* The length of an SGR sequence at s; 0: there is none. */
static size_t colour_length(const char *s)
{
    if (s[0] != '\033' || s[1] != '[')
        return 0;
    size_t len = 2 + strspn(s + 2, "0123456789;");
    return s[len] == 'm' ? len + 1 : 0;
}

/* Writes at most `columns` columns of the line at s. Returns the beginning of the next line. */
static const char *put_line(const char *s, size_t columns, bool coloured, FILE *out)
{
    size_t end = strcspn(s, "\n");
    size_t at = 0;
    while (at < end) {
        size_t length = colour_length(s + at);
        bool is_colour = length > 0;
        if (!is_colour)
            length = utf8_length(s + at, end - at);
        if (length == 0)
            length = 1;
        if (!is_colour && columns > 0 && iscntrl((unsigned char)s[at]))
            fputc('?', out); /* texts of servers may contain control characters */
        else if (is_colour ? coloured : columns > 0)
            fwrite(s + at, 1, length, out);
        if (!is_colour && columns > 0)
            columns--;
        at += length;
    }
    fputs(CLEAR_LINE, out);
    return s + end + (s[end] == '\n');
}

void screen_draw(const char *picture, const char *bottom)
{
    size_t rows = 0;
    size_t columns = 0;
    char *text = NULL;
    size_t size = 0;
    const char *no_colour = getenv("NO_COLOR");
    bool coloured = no_colour == NULL || *no_colour == '\0';
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return;
    screen_size(&rows, &columns);
    fputs(HOME, out);
    for (size_t row = 0; row + 1 < rows; row++) {
        if (*picture != '\0')
            picture = put_line(picture, columns, coloured, out);
        else
            fputs(CLEAR_LINE, out);
        fputc('\n', out);
    }
    put_line(bottom, columns, coloured, out);
    fputs(CLEAR_REST, out);
    if (fclose(out) == 0)
        screen_write(text);
    free(text);
}

/* ---- keys ---- */

/* The key of an escape sequence without its ESC (xterm, also in application mode). */
static int key_of_sequence(const char *s)
{
    static const struct {
        const char *sequence;
        enum screen_key key;
    } keys[] = {
        { "[A", SCREEN_UP },   { "OA", SCREEN_UP },       { "[B", SCREEN_DOWN },
        { "OB", SCREEN_DOWN }, { "[5~", SCREEN_PAGE_UP }, { "[6~", SCREEN_PAGE_DOWN },
        { "[H", SCREEN_HOME }, { "OH", SCREEN_HOME },     { "[1~", SCREEN_HOME },
        { "[F", SCREEN_END },  { "OF", SCREEN_END },      { "[4~", SCREEN_END },
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(s, keys[i].sequence) == 0)
            return keys[i].key;
    return s[0] == '\0' ? SCREEN_ESCAPE : SCREEN_NONE;
}

static bool has_input(int ms)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&in, 1, ms) == 1;
}

/* Reads what follows ESC. A terminal sends a sequence at once, so ESC alone is the Escape key. */
static int read_sequence(void)
{
    char s[8];
    size_t n = 0;
    while (n + 1 < sizeof s && has_input(n == 0 ? ESCAPE_MS : 0) &&
           read(STDIN_FILENO, s + n, 1) == 1) {
        n++;
        if (n > 1 && s[n - 1] >= '@') /* the final byte of a sequence */
            break;
    }
    s[n] = '\0';
    return key_of_sequence(s);
}

int screen_wait(int ms)
{
    unsigned char key = 0;
    if (end_requested || !has_input(ms))
        return end_requested ? SCREEN_GONE : SCREEN_NONE;
    ssize_t n = read(STDIN_FILENO, &key, 1);
    if (n == 0 || (n == -1 && errno != EINTR && errno != EAGAIN))
        return SCREEN_GONE;
    if (end_requested)
        return SCREEN_GONE;
    if (n == -1)
        return SCREEN_NONE;
    if (key == SCREEN_ESCAPE)
        return read_sequence();
    return key == '\r' ? SCREEN_ENTER : key == '\b' ? SCREEN_BACKSPACE : key;
}
