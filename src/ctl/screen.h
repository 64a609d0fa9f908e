/* The whole terminal, for as long as something is shown there. Whatever ends the program gives it
 * back as it was. */
#ifndef ZPROXY_CTL_SCREEN_H
#define ZPROXY_CTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the terminal of standard input and output. Returns 0 or -errno (-ENOTTY). */
int screen_open(void);
void screen_close(void);

/* Its size by now. */
void screen_size(size_t *rows, size_t *columns);

/* Writes a picture, lines of UTF-8 text, each cut to the width, and one line at the bottom of the
 * screen; what is between them is cleared. Colours (ECMA-48 SGR sequences) take no width; they are
 * left out where the environment has NO_COLOR (no-color.org). */
void screen_draw(const char *picture, const char *bottom);

/* What screen_wait() returns beside characters. */
enum screen_key {
    SCREEN_GONE = -1, /* the program is told to end, or the terminal has gone */
    SCREEN_NONE = 0,
    SCREEN_ENTER = '\n',
    SCREEN_ESCAPE = 27,
    SCREEN_BACKSPACE = 127,
    SCREEN_KEYS = 256, /* above: keys that are no characters */
    SCREEN_UP,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_HOME,
    SCREEN_END,
};

/* Waits for a key, or so many ms, or until the size has changed. */
int screen_wait(int ms);

#endif
