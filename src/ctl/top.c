#include "ctl/top.h"

#include <string.h>

#include "ctl/ctl.h"
#include "ctl/screen.h"
#include "ctl/top_draw.h"
#include "ctl/top_view.h"

#define INTERVAL_MS  1000
#define PAUSE_FACTOR 4 /* a pause is at least this many times as long as the answers took */

/* ---- keys ---- */

static void edit_filter(struct top_options *c, int key)
{
    size_t len = strlen(c->filter);
    if (key == SCREEN_ESCAPE)
        c->filter[0] = '\0';
    if (key == SCREEN_ESCAPE || key == SCREEN_ENTER)
        c->typing = false;
    else if (key == SCREEN_BACKSPACE && len > 0)
        c->filter[len - 1] = '\0';
    else if (key >= ' ' && key < SCREEN_KEYS && len + 1 < sizeof c->filter) {
        c->filter[len] = (char)key;
        c->filter[len + 1] = '\0';
    }
}

static void scroll(struct top_options *c, int key)
{
    size_t *offset = c->on_sessions ? &c->session_offset : &c->server_offset;
    size_t page = c->page > 0 ? c->page : 1;
    if (key == SCREEN_UP || key == 'k')
        *offset -= *offset > 0;
    else if (key == SCREEN_DOWN || key == 'j')
        *offset += 1;
    else if (key == SCREEN_PAGE_UP)
        *offset -= *offset < page ? *offset : page;
    else if (key == SCREEN_PAGE_DOWN || key == ' ')
        *offset += page;
    else if (key == SCREEN_HOME || key == 'g')
        *offset = 0;
    else if (key == SCREEN_END || key == 'G')
        *offset = SIZE_MAX / 2; /* beyond the end: top_draw() lowers it to the last page */
}

/* Returns false if the user quits. */
static bool on_key(struct top_options *c, struct top_view *v, int key)
{
    if (key == SCREEN_GONE || key == SCREEN_NONE)
        return key != SCREEN_GONE;
    if (c->typing) {
        edit_filter(c, key);
        return true;
    }
    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case '/':
        c->typing = true;
        break;
    case SCREEN_ESCAPE:
        c->filter[0] = '\0';
        break;
    case '\t':
        c->on_sessions = !c->on_sessions;
        break;
    case 't':
        c->trouble = !c->trouble;
        break;
    case 's':
        c->sort = (c->sort + 1) % TOP_SORTS;
        top_view_sort(v, c->sort);
        break;
    default:
        scroll(c, key);
    }
    return true;
}

/* ---- the view ---- */

/* Shows a view until the next one is due; draws again after each key and change of size. Returns
 * false if the user quits. */
static bool top_show(struct top_view *v, const struct top_view *before, struct top_options *c)
{
    uint64_t took = ctl_clock() - v->at;
    uint64_t next = v->at + INTERVAL_MS;
    if (next < v->at + took * (1 + PAUSE_FACTOR))
        next = v->at + took * (1 + PAUSE_FACTOR);
    for (uint64_t now = ctl_clock(); now < next; now = ctl_clock()) {
        top_draw(v, before, c);
        if (!on_key(c, v, screen_wait((int)(next - now))))
            return false;
    }
    return true;
}

int top_run(struct control_client *t)
{
    struct top_options choice = { .sort = TOP_SORT_TROUBLE };
    struct top_view before;
    struct top_view v;
    int rc = top_view_fetch(t, NULL, &before);
    if (rc < 0)
        return rc;
    rc = screen_open();
    if (rc < 0) {
        top_view_free(&before);
        return rc;
    }
    top_view_sort(&before, choice.sort);
    bool more = top_show(&before, &before, &choice);
    while (more && (rc = top_view_fetch(t, &before, &v)) == 0) {
        top_view_sort(&v, choice.sort);
        more = top_show(&v, &before, &choice);
        top_view_free(&before);
        before = v;
    }
    top_view_free(&before);
    screen_close();
    return rc;
}
