#include "ctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER      "\033[?1049h\033[?25l\033[?7l" /* other screen, no cursor, no wrapping */
#define LEAVE      "\033[?7h\033[?25h\033[?1049l"
#define HOME       "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_REST "\033[J"

/* One terminal, one process: what signal handlers need. */
static struct termios before;
static volatile sig_atomic_t is_open;
static volatile sig_atomic_t told_to_end;

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

/* Signal handlers call it. */
static void put(const char *text)
{
    ssize_t n = write(STDOUT_FILENO, text, strlen(text));
    (void)n;
}

static void take(void)
{
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    put(ENTER);
    is_open = 1;
}

void screen_close(void)
{
    if (!is_open)
        return;
    is_open = 0;
    put(LEAVE);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

static void on_end(int number)
{
    (void)number;
    told_to_end = 1;
}

static void on_crash(int number)
{
    screen_close();
    raise(number); /* its handler has been reset */
}

static void on_stop(int number)
{
    int error = errno;
    (void)number;
    screen_close();
    raise(SIGSTOP);
    take();
    errno = error;
}

/* It interrupts screen_wait(), and is all that it is for. */
static void on_resize(int number)
{
    (void)number;
}

static void handle(int number, void (*handler)(int), int flags)
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
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) == -1)
        return -ENOTTY;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        handle(ends[i], on_end, 0);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        handle(crashes[i], on_crash, (int)SA_RESETHAND);
    handle(SIGTSTP, on_stop, 0);
    handle(SIGWINCH, on_resize, 0);
    told_to_end = 0;
    atexit(screen_close);
    take();
    return 0;
}

void screen_size(size_t *rows, size_t *columns)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
    *rows = known ? size.ws_row : 24;
    *columns = known ? size.ws_col : 80;
}

void screen_draw(const char *picture)
{
    size_t rows = 0;
    size_t columns = 0;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return;
    screen_size(&rows, &columns);
    fputs(HOME, out);
    for (size_t row = 0; row < rows && *picture != '\0'; row++) {
        size_t length = strcspn(picture, "\n");
        size_t shown = length < columns ? length : columns;
        fprintf(out, "%s%.*s" CLEAR_LINE, row == 0 ? "" : "\n", (int)shown, picture);
        picture += length + (picture[length] == '\n');
    }
    fputs(CLEAR_REST, out);
    if (fclose(out) == 0)
        put(text);
    free(text);
}

int screen_wait(int ms)
{
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    unsigned char key = 0;
    if (!told_to_end && poll(&in, 1, ms) == 1) {
        ssize_t n = read(STDIN_FILENO, &key, 1);
        if (n == 0 || (n == -1 && errno != EINTR && errno != EAGAIN))
            return -1; /* the terminal has gone */
    }
    return told_to_end ? -1 : key;
}
