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

/* Writes a picture, lines of text, each cut to the width; what is below is cleared. */
void screen_draw(const char *picture);

/* Waits for a key, or so many ms, or until the size has changed. Returns the key; 0: no key; -1:
 * the program is told to end. */
int screen_wait(int ms);

#endif
