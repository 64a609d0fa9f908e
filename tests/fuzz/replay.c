/* Calls a target with each of its seeds, or with the files named. So what fuzzing has found stays
 * tested where there is no clang. */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

/* To its end; NULL where that cannot be done. */
static uint8_t *read_file(const char *path, size_t *n)
{
    FILE *in = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (in == NULL)
        return NULL;
    const long size = fseek(in, 0, SEEK_END) == 0 ? ftell(in) : -1;
    if (size >= 0 && fseek(in, 0, SEEK_SET) == 0) {
        bytes = malloc((size_t)size + 1);
        *n = bytes == NULL ? 0 : fread(bytes, 1, (size_t)size, in);
    }
    fclose(in);
    return bytes;
}

static void replay(const char *path, int number)
{
    size_t n = 0;
    uint8_t *bytes = read_file(path, &n);
    const char *slash = strrchr(path, '/');
    if (bytes == NULL) {
        printf("not ok %d - %s cannot be read\n", number, path);
        return;
    }
    uint8_t *exact = malloc(n > 0 ? n : 1); /* so that reading beyond the end is seen */
    if (exact != NULL) {
        memcpy(exact, bytes, n);
        (void)LLVMFuzzerTestOneInput(exact, n);
    }
    free(exact);
    free(bytes);
    printf("ok %d - %s %s\n", number, fuzz_name, slash == NULL ? path : slash + 1);
    fflush(stdout);
}

static int is_seed(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int replay_all(const char *directory)
{
    struct dirent **seeds = NULL;
    int n = scandir(directory, &seeds, is_seed, alphasort);
    if (n <= 0) {
        printf("1..1\nnot ok 1 - no seeds in %s\n", directory);
        return 1;
    }
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++) {
        char path[sizeof(struct dirent) + 4096];
        snprintf(path, sizeof path, "%s/%s", directory, seeds[i]->d_name);
        replay(path, i + 1);
        free(seeds[i]);
    }
    free(seeds);
    return 0;
}

int main(int argc, char **argv)
{
    char directory[4096];
    const char *srcdir = getenv("srcdir");
    if (argc > 1) {
        printf("1..%d\n", argc - 1);
        for (int i = 1; i < argc; i++)
            replay(argv[i], i);
        return 0;
    }
    snprintf(directory, sizeof directory, "%s/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir,
             fuzz_name);
    return replay_all(directory);
}
