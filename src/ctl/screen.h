/* Full-screen output to the terminal and input of single keys. The terminal is restored when the
 * program ends, also by a signal. */
#ifndef ZPROXY_CTL_SCREEN_H
#define ZPROXY_CTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Switches the terminal of standard input and output to the alternate screen. Returns 0, or -ENOTTY
 * if one of them is not a terminal. */
int screen_open(void);
void screen_close(void);

/* The present size; 24 by 80 if it is unknown. */
void screen_size(size_t *rows, size_t *columns);

/* Draws lines of UTF-8 text, each cut to the width of the screen, and one line at its bottom;
 * clears the rest. Colours (ECMA-48 SGR sequences) take no width; they are left out if the
 * environment variable NO_COLOR is set (no-color.org). */
void screen_draw(const char *picture, const char *bottom);

/* Results of screen_wait() other than characters. */
enum screen_key {
    SCREEN_GONE = -1, /* a signal asks the program to end, or the terminal was closed */
    SCREEN_NONE = 0,
    SCREEN_ENTER = '\n',
    SCREEN_ESCAPE = 27,
    SCREEN_BACKSPACE = 127,
    SCREEN_KEYS = 256, /* above: keys that are not characters */
    SCREEN_UP,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_HOME,
    SCREEN_END,
};

/* Waits for a key for `ms` at most, or until the size changes. Returns a character or a SCREEN_
 * value.
 */
int screen_wait(int ms);

#endif
