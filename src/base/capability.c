#include "base/capability.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MASK(capability) (UINT32_C(1) << (capability)) /* for capabilities below 32 */

/* Version 3 takes two words of 32 capabilities each. */
struct capability_sets {
    struct __user_cap_data_struct word[2];
};

static int capability_syscall(long number, struct capability_sets *s)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    return syscall(number, &head, s->word) == -1 ? -errno : 0;
}

static bool has_any(uint32_t mask)
{
    struct capability_sets s = { 0 };
    return capability_syscall(SYS_capget, &s) == 0 && (s.word[0].effective & mask) != 0;
}

bool capability_has_transparent(void)
{
    return has_any(MASK(CAP_NET_RAW) | MASK(CAP_NET_ADMIN));
}

bool capability_has_net_admin(void)
{
    return has_any(MASK(CAP_NET_ADMIN));
}

int capability_set_keepcaps(void)
{
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == -1 ? -errno : 0;
}

/* Only an inheritable capability can be ambient, and only an ambient one survives execve(2) of a
 * program without file capabilities. */
int capability_keep_transparent(void)
{
    const uint32_t raw = MASK(CAP_NET_RAW);
    struct capability_sets s = { .word = {
                                     { .effective = raw, .permitted = raw, .inheritable = raw } } };
    int rc = capability_syscall(SYS_capset, &s);
    if (rc == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == -1)
        rc = -errno;
    return rc;
}

/* The loop ends at the first number that is no capability of this kernel: EINVAL. */
void capability_drop_bounding_set(bool raw)
{
    for (unsigned long c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
        if (!raw || c != CAP_NET_RAW)
            (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
}
