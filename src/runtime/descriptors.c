/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/descriptors.h"

#include "runtime/log.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* Descriptors that an idle gateway has open, measured, times 1.5. */
#define OF_PROCESS 40
#define OF_SHARD 16
#define AT_LEAST 4
#define ENOUGH 4096 /* below it the log has a warning */

uint64_t descriptors_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return descriptors_limit();
    uint64_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (before != limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("limit of open files could not be raised: limit=%llu wanted=%llu reason=\"%s\"",
            (unsigned long long)before, (unsigned long long)limit.rlim_max, strerror(errno));
    uint64_t now = descriptors_limit();
    if (now < ENOUGH)
        log_warn("limit of open files is low: the gateway serves fewer connections; raise the hard "
                 "limit (ulimit -Hn, LimitNOFILE in systemd) limit=%llu",
            (unsigned long long)now);
    else if (now != before)
        log_info("limit of open files raised: limit=%llu before=%llu", (unsigned long long)now,
            (unsigned long long)before);
    return now;
}

static unsigned share(uint64_t all, unsigned among)
{
    uint64_t each = all / (among > 0 ? among : 1);
    if (each < AT_LEAST)
        return AT_LEAST;
    return each > INT32_MAX ? INT32_MAX : (unsigned)each;
}

struct descriptor_shares descriptors_share(
    uint64_t limit, unsigned shards, unsigned ingress_threads)
{
    uint64_t own = OF_PROCESS + (uint64_t)OF_SHARD * shards +
                   (uint64_t)DESCRIPTORS_OF_INGRESS_THREAD * ingress_threads;
    uint64_t left = limit > own ? limit - own : 0;
    return (struct descriptor_shares){
        .partners = share(left / 2, ingress_threads),
        .deliveries = share(left / 4, shards),
        .operators = share(left / 8, 1),
    };
}

unsigned descriptors_open(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    for (const struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count > 0 ? count - 1 : OF_PROCESS; /* without the one of the directory */
}

unsigned descriptors_end_for_partners(uint64_t limit, uint64_t in_use, unsigned shards)
{
    uint64_t left = limit > in_use ? limit - in_use : 0;
    uint64_t kept = (uint64_t)AT_LEAST * (shards + 1); /* those of each shard, and of operators */
    if (kept < left / 8)
        kept = left / 8;
    if (kept > left / 2)
        kept = left / 2;
    uint64_t end = limit - kept;
    return end > INT32_MAX ? INT32_MAX : (unsigned)end;
}
