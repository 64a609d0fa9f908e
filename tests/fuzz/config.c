#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "fuzz.h"

const char fuzz_name[] = "config";

static char directory[4096]; /* of its own: an include sees the file itself, and nothing else */
static char path[4200];

static void clean_up(void)
{
    unlink(path);
    rmdir(directory);
}

static void set_up(void)
{
    const char *tmp = getenv("TMPDIR");
    if (directory[0] != '\0')
        return;
    snprintf(directory, sizeof directory, "%s/zproxy-fuzz.XXXXXX", tmp == NULL ? "/tmp" : tmp);
    FUZZ_REQUIRE(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/zproxy.ini", directory);
    atexit(clean_up);
}

static void write_file(const void *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_REQUIRE(fd != -1 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

/* Files elsewhere are none of its business: a pattern could match half of the machine. */
static bool reaches_out(const uint8_t *bytes, size_t n)
{
    return memmem(bytes, n, "include", 7) != NULL && memchr(bytes, '/', n) != NULL;
}

/* Every error is a line that begins with the name of a file. */
static void check_errors(const char *errors)
{
    FUZZ_REQUIRE(errors[0] != '\0');
    while (*errors != '\0') {
        const char *end = strchr(errors, '\n');
        FUZZ_REQUIRE(strncmp(errors, directory, strlen(directory)) == 0);
        FUZZ_REQUIRE(end != NULL);
        errors = end + 1;
    }
}

static struct config *load(void)
{
    char *errors = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&errors, &size);
    FUZZ_REQUIRE(out != NULL);
    struct config *c = config_load(path, out);
    fclose(out);
    if (c == NULL)
        check_errors(errors);
    else
        FUZZ_REQUIRE(size == 0);
    free(errors);
    return c;
}

static char *printed(const struct config *c, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    FUZZ_REQUIRE(out != NULL);
    config_print(c, out);
    fclose(out);
    return text;
}

static void on_difference(void *arg, const char *section, const char *key, const char *before,
                          const char *after)
{
    (void)arg;
    fprintf(stderr, "[%s] %s: %s > %s\n", section, key == NULL ? "" : key,
            before == NULL ? "" : before, after == NULL ? "" : after);
}

/* What is in force is printed as a file that says the same. */
static void check_printed(const struct config *c)
{
    size_t size = 0;
    size_t again_size = 0;
    char *text = printed(c, &size);
    write_file(text, size);
    struct config *again = load();
    FUZZ_REQUIRE(again != NULL);
    FUZZ_REQUIRE(config_compare(c, again, on_difference, NULL) == 0);
    char *text_again = printed(again, &again_size);
    FUZZ_REQUIRE(size == again_size && memcmp(text, text_again, size) == 0);
    free(text_again);
    free(text);
    config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (reaches_out(bytes, n))
        return 0;
    set_up();
    write_file(bytes, n);
    struct config *c = load();
    if (c != NULL)
        check_printed(c);
    config_free(c);
    return 0;
}
