/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/replica.h"

#include "accounts/replication.h"
#include "base/clock.h"
#include "base/memory.h"
#include "cluster/leader.h"
#include "cluster/replica_page.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/thread.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define WAIT_S 25 /* of the long poll: below the 30 s that a leader allows */
#define TIMEOUT_S (WAIT_S + 15)
#define PAUSE_MS_MIN 1000
#define PAUSE_MS_MAX 30000

struct replica {
    /* immutable after init */
    struct replica_options options;
    struct thread thread;
    int stop_fd;       /* an eventfd, written once */
    bool has_followed; /* an earlier run has had all accounts: the leader is not needed */
    sem_t first_time;  /* posted once: the accounts are complete, or waiting has no use */

    _Atomic bool stopping; /* shared */

    /* owned by the thread */
    bool lost, posted, is_current;
    bool follows;            /* the database is a follower's, of this leader or an earlier one */
    int64_t current_mono_us; /* when the accounts were last equal to the leader's */
    int64_t age_s;           /* as the metric has it */
    int pause_ms;
};

static void show_age(struct replica *replica)
{
    int64_t age_s = (clock_mono_us() - replica->current_mono_us) / US_PER_SECOND;
    metrics_add(METRIC_DIRECTORY_AGE, age_s - replica->age_s);
    replica->age_s = age_s;
}

static bool on_wait(void *context)
{
    struct replica *replica = context;
    show_age(replica);
    return !atomic_load(&replica->stopping);
}

static void end_waiting(struct replica *replica)
{
    if (!replica->posted)
        sem_post(&replica->first_time);
    replica->posted = true;
}

static void on_current(struct replica *replica)
{
    replica->current_mono_us = clock_mono_us();
    replica->is_current = true;
    show_age(replica);
    end_waiting(replica);
}

/* Logs once, until the leader answers again. */
static void on_lost(struct replica *replica, const char *why)
{
    if (!replica->lost)
        log_warn("the leader cannot be followed, and the accounts stay as they are: %s", why);
    replica->lost = true;
    replica->is_current = false;
    if (replica->has_followed)
        end_waiting(replica);
}

static void on_back(struct replica *replica)
{
    if (replica->lost)
        log_info("the leader is back: %s", replica->options.leader_url);
    replica->lost = false;
    replica->pause_ms = 0;
}

/* Sleeps longer each time, and ends at once at a stop. */
static void pause_a_while(struct replica *replica)
{
    replica->pause_ms = replica->pause_ms == 0 ? PAUSE_MS_MIN : replica->pause_ms * 2;
    if (replica->pause_ms > PAUSE_MS_MAX)
        replica->pause_ms = PAUSE_MS_MAX;
    struct pollfd stop = {.fd = replica->stop_fd, .events = POLLIN};
    for (int left_ms = replica->pause_ms; left_ms > 0 && on_wait(replica); left_ms -= 1000)
        if (poll(&stop, 1, 1000) > 0)
            return;
}

static enum err ask(struct replica *replica, struct replica_answer *ret_answer, char *ret_detail)
{
    char path[128];
    struct buffer body = BUFFER_EMPTY;
    struct leader leader = {.url = replica->options.leader_url,
        .token_file = replica->options.token_file,
        .ca_file = replica->options.ca_file,
        .timeout_s = TIMEOUT_S,
        .on_wait = on_wait,
        .context = replica};
    snprintf(path, sizeof path, "/api/v1/changes?after=%lld&wait=%d",
        replica->follows ? (long long)accounts_version(replica->options.accounts) : 0LL,
        replica->is_current ? WAIT_S : 0);
    enum err err = leader_ask(&leader, path, &body, ret_detail);
    if (!err && !replica_page_parse(buffer_slice(&body), ret_answer, ret_detail))
        err = ERR_DAMAGED;
    if (!err && strcmp(ret_answer->installation, replica->options.installation) != 0) {
        snprintf(ret_detail, LEADER_DETAIL_BYTES, "%.150s belongs to another installation",
            replica->options.leader_url);
        err = ERR_CONFIG;
    }
    buffer_done(&body);
    return err;
}

/* The database gives up its own history and secrets only after an answer of the leader. */
static enum err begin_to_follow(struct replica *replica, char *ret_detail)
{
    struct accounts_replication request = {.base.kind = REPLICATION_FOLLOW};
    enum err err = accounts_replicate_call(replica->options.accounts, &request);
    replica->follows = err == OK;
    if (err)
        snprintf(ret_detail, LEADER_DETAIL_BYTES, "%s", request.detail);
    return err;
}

static enum err take(struct replica *replica, struct replica_answer *answer, char *ret_detail)
{
    struct accounts_replication request = {
        .base.kind = answer->restart ? REPLICATION_RESTART : REPLICATION_APPLY,
        .page = answer->page};
    if (answer->restart)
        log_warn("the leader's accounts were restored to version %lld: all of them are read again",
            (long long)answer->page.version);
    enum err err = accounts_replicate_call(replica->options.accounts, &request);
    answer->page = request.page; /* it may have grown */
    if (err)
        snprintf(ret_detail, LEADER_DETAIL_BYTES, "%s", request.detail);
    return err;
}

static void follow(struct replica *replica)
{
    char detail[LEADER_DETAIL_BYTES] = "";
    struct replica_answer answer = {0};
    enum err err = ask(replica, &answer, detail);
    if (!err && !replica->follows)
        err = begin_to_follow(replica, detail);
    if (!err)
        err = take(replica, &answer, detail);
    if (err && !atomic_load(&replica->stopping)) {
        on_lost(replica, detail);
        pause_a_while(replica);
    } else if (!err) {
        on_back(replica);
        if (!answer.page.more && !answer.restart)
            on_current(replica);
    }
    accounts_page_done(&answer.page);
}

static void run(void *context)
{
    struct replica *replica = context;
    while (!atomic_load(&replica->stopping))
        follow(replica);
    metrics_add(METRIC_DIRECTORY_AGE, -replica->age_s);
}

enum err replica_new(const struct replica_options *options, struct replica **ret_replica)
{
    struct replica *replica;
    MEMORY_NEW(replica);
    replica->options = *options;
    replica->current_mono_us = clock_mono_us();
    sem_init(&replica->first_time, 0, 0);
    replica->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (replica->stop_fd < 0) {
        replica_free(replica);
        return ERR_SYSTEM;
    }
    *ret_replica = replica;
    return OK;
}

/* Returns false at a timeout. */
static bool wait_for_first_time(struct replica *replica, int wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t until_ns = until.tv_nsec + wait_ms * INT64_C(1000000);
    until.tv_sec += until_ns / 1000000000;
    until.tv_nsec = until_ns % 1000000000;
    int result;
    while ((result = sem_timedwait(&replica->first_time, &until)) && errno == EINTR)
        continue;
    return result == 0;
}

enum err replica_start(struct replica *replica, int wait_ms, struct buffer *complaints)
{
    struct accounts_replication request = {.base.kind = REPLICATION_STATE};
    enum err err = accounts_replicate_call(replica->options.accounts, &request);
    if (err) {
        buffer_add_format(complaints, "accounts.db: %s\n", request.detail);
        return err;
    }
    replica->follows = request.ret_follows;
    replica->has_followed = request.ret_is_complete;
    if ((err = thread_start(&replica->thread, "replica", run, replica))) {
        buffer_add_format(complaints, "the replica: %s\n", err_title(err));
        return err;
    }
    if (wait_for_first_time(replica, wait_ms) || replica->has_followed)
        return OK;
    replica_stop(replica);
    buffer_add_format(complaints,
        "leader.url: %s has not sent its accounts in time, and this gateway has none yet: see the "
        "log for the reason\n",
        replica->options.leader_url);
    return ERR_UNAVAILABLE;
}

void replica_stop(struct replica *replica)
{
    if (!replica)
        return;
    uint64_t one = 1;
    atomic_store(&replica->stopping, true);
    ssize_t written = write(replica->stop_fd, &one, sizeof one);
    (void)written; /* it only ends a pause earlier */
    thread_join(&replica->thread);
}

void replica_free(struct replica *replica)
{
    if (!replica)
        return;
    sem_destroy(&replica->first_time);
    if (replica->stop_fd >= 0)
        close(replica->stop_fd);
    free(replica);
}
