/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client deployment behaves: a text of words ("delay=exp:20ms fail=2% down=10s..20s"), and
 * the decisions that follow from them for one request. The functions do not wait, send or read a
 * clock: random state, time and the workers' state are parameters.
 *
 * For a request the words apply in this order:
 *
 *   down              the deployment is down, or goes down before it has acted: the connection is
 *                     dropped and no work is done (status 0)
 *   hang, drop, cut   exclude each other: one random number decides between them
 *   fail, status      the status of the answer, also of one that is not sent
 *   workers           when the work begins: when one of the workers is free. Requests wait in the
 *                     order of their arrival. A request that hangs needs no worker.
 *   delay, stall      the time of the answer: after the delay, and after any stall at that time
 *
 * So `delay=20ms workers=4` is a client that takes 200 requests a second. It needs no queue: how
 * long each request takes is drawn when it arrives, so the time at which its worker is free is
 * known then. A client that has left does not free its worker: the work is done all the same.
 */
#ifndef PENSTOCK_BENCH_SINK_BEHAVIOUR_H
#define PENSTOCK_BENCH_SINK_BEHAVIOUR_H

#include "common/run_log.h"
#include "model/signature.h"

#define BEHAVIOUR_WINDOWS_MAX 16
#define BEHAVIOUR_WORKERS_MAX 64
#define BEHAVIOUR_BODY_BYTES_MAX 1024
#define BEHAVIOUR_COMPLAINT_BYTES 512
#define BEHAVIOUR_DELAY_US_MAX (3600 * INT64_C(1000000))

enum delay_kind { DELAY_FIXED, DELAY_EXPONENTIAL, DELAY_UNIFORM, DELAY_LOGNORMAL };

enum drop_on { DROP_ON_ANY, DROP_ON_NEW, DROP_ON_WARM };

/* From..to, since the sink's start; `to` is not included. */
struct window {
    int64_t from_us, to_us;
};

struct windows {
    struct window windows[BEHAVIOUR_WINDOWS_MAX];
    unsigned count;
};

/* Immutable once it is in the table of paths. */
struct behaviour {
    unsigned path; /* its path's number, set by that table; 0: none */
    enum delay_kind delay_kind;
    int64_t delay_us;       /* fixed delay, mean, lower end or median */
    int64_t delay_upper_us; /* uniform */
    double delay_sigma;     /* log-normal */
    unsigned status;
    double fail;
    unsigned fail_status;
    int64_t retry_after_s; /* -1: no such header */
    char body[BEHAVIOUR_BODY_BYTES_MAX];
    size_t body_len;
    double hang, drop, cut;
    enum drop_on drop_on;
    struct windows down, stall;
    unsigned workers;        /* 0: not limited */
    int64_t slow_read_bytes; /* per second; 0: not limited */
    struct secret secrets[ENDPOINT_SECRETS_MAX];
    unsigned secrets_count;
};

/* When each worker of a path is free, since the sink's start. All zeros at first. */
struct workers {
    int64_t free_us[BEHAVIOUR_WORKERS_MAX];
};

struct behaviour_draw {
    enum sink_deed deed;
    unsigned status;  /* of the answer, also of one that is not sent; 0: no work is done */
    int64_t after_us; /* from now; 0 for SINK_NEVER_ENDED (it hangs) */
};

/* The default: answers 200 and {} at once. */
void behaviour_init(struct behaviour *behaviour);

/* Parses words separated by white space; no words give the default. On false the complaint names
 * the word and says what it should be, and `ret_behaviour` is unchanged. */
bool behaviour_parse(const char *words, struct behaviour *ret_behaviour,
    char ret_complaint[BEHAVIOUR_COMPLAINT_BYTES]) MUST_CHECK;

/* Prints the words and what they do, for --help. */
void behaviour_print_words(FILE *file);

/* Decides what happens to a request. `random` is a state from behaviour_seed. `warm`: the request
 * is not the first one of its connection. `workers` may be NULL when the words do not limit them.
 */
void behaviour_draw(const struct behaviour *behaviour, bool warm, int64_t since_start_us,
    struct workers *workers, uint64_t *random, struct behaviour_draw *ret_draw);

/* Returns the random state for one of several threads. */
uint64_t behaviour_seed(uint64_t seed, unsigned thread);

#endif
