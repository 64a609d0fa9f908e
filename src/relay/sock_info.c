#include "relay/sock_info.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* include/net/tcp_states.h of Linux */
static const char *state_name(unsigned state)
{
    static const char *const names[] = {
        "none",      "established", "syn_sent",   "syn_received", "fin_wait1", "fin_wait2",
        "time_wait", "closed",      "close_wait", "last_ack",     "listen",    "closing",
    };
    return state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

static uint64_t queue(int fd, unsigned long request)
{
    int bytes = 0;
    return ioctl(fd, request, &bytes) == -1 || bytes < 0 ? 0 : (uint64_t)bytes;
}

void sock_info(int fd, struct sock_info *info)
{
    struct tcp_info ti;
    socklen_t len = sizeof ti;
    memset(info, 0, sizeof *info);
    memset(&ti, 0, sizeof ti); /* an older kernel fills in less */
    if (fd == -1)
        return;
    info->known = true;
    info->tcp = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0;
    info->state = info->tcp ? state_name(ti.tcpi_state) : "connected";
    info->rtt = ti.tcpi_rtt;
    info->rtt_variance = ti.tcpi_rttvar;
    info->retransmits = ti.tcpi_total_retrans;
    info->window = ti.tcpi_snd_cwnd;
    info->unacked = ti.tcpi_unacked;
    info->unread = queue(fd, SIOCINQ);
    info->unsent = queue(fd, SIOCOUTQ);
}

uint64_t sock_info_rtt(int fd)
{
    struct tcp_info ti;
    socklen_t len = sizeof ti;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0 ? ti.tcpi_rtt : 0;
}
