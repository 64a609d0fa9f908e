#include "base/stdio_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int stdio_fds_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1)
            continue;
        /* the lowest number that is free: all below it are open by now */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) == -1)
            return -errno;
    }
    return 0;
}
