#include "base/suggestion.h"

#include <string.h>

#define WORD_MAX 64 /* longer words are not compared */

static size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The number of letters to insert, remove, replace or swap with the next one (optimal string
 * alignment distance). */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][WORD_MAX + 1]; /* used in turn: the two before, and the one being filled */
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *last = rows[(i + 2) % 3];
        const size_t *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = size_min(last[j], row[j - 1]) + 1;
            row[j] = size_min(row[j], last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = size_min(row[j], before[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void suggestion_init(struct suggestion *n, const char *wanted)
{
    n->wanted = wanted;
    n->word = NULL;
    n->distance = strlen(wanted) / 3 + 2; /* one mistake, and one more for each 3 letters */
}

void suggestion_offer(struct suggestion *n, const char *word)
{
    size_t a_len = strlen(n->wanted);
    size_t b_len = strlen(word);
    size_t difference = a_len < b_len ? b_len - a_len : a_len - b_len;
    if (a_len > WORD_MAX || b_len > WORD_MAX || difference >= n->distance)
        return;
    size_t d = distance(n->wanted, a_len, word, b_len);
    if (d >= n->distance || d >= a_len)
        return; /* d >= a_len: nothing in common */
    n->word = word;
    n->distance = d;
}
