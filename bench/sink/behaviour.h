/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a client deployment behaves: the words of a person ("delay=exp:20ms fail=2% down=10s..20s"),
 * and what they come to for one request. Nothing here waits, sends or looks at a clock: chance and
 * time are parameters.
 *
 * For a request the words are asked in this order:
 *
 *   down      the deployment is not there, or goes away before it has acted: dropped, no work done (status 0)
 *   hang, drop, cut    exclude each other: one throw decides which of them, if any
 *   fail, status       what it answers, or would have answered
 *   delay, stall       when: the delay from now on, and beyond any stall that this ends in
 */
#ifndef PENSTOCK_BENCH_SINK_BEHAVIOUR_H
#define PENSTOCK_BENCH_SINK_BEHAVIOUR_H

#include "common/run_log.h"
#include "model/signature.h"

#define BEHAVIOUR_WINDOWS_MAX 16
#define BEHAVIOUR_BODY_BYTES_MAX 1024
#define BEHAVIOUR_COMPLAINT_BYTES 512
#define BEHAVIOUR_DELAY_US_MAX (3600 * INT64_C(1000000))

enum delay_kind { DELAY_FIXED, DELAY_EXPONENTIAL, DELAY_UNIFORM, DELAY_LOGNORMAL };

enum drop_on { DROP_ON_ANY, DROP_ON_NEW, DROP_ON_WARM };

/* From..to, since the sink's start; `to` is outside. */
struct window {
    int64_t from_us, to_us;
};

struct windows {
    struct window windows[BEHAVIOUR_WINDOWS_MAX];
    unsigned count;
};

/* Immutable once it is in the table of paths. */
struct behaviour {
    unsigned path; /* its number, set by that table; 0: no path's */
    enum delay_kind delay_kind;
    int64_t delay_us;       /* fixed; mean; lower end; median */
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
    int64_t slow_read_bytes; /* a second; 0: as fast as it comes */
    struct secret secrets[ENDPOINT_SECRETS_MAX];
    unsigned secrets_count;
};

struct behaviour_draw {
    enum sink_deed deed;
    unsigned status;  /* that it answers or would have answered; 0: no work is done */
    int64_t after_us; /* from now; of SINK_NEVER_ENDED (it hangs) 0 */
};

/* Answers 200 and {} at once. */
void behaviour_init(struct behaviour *behaviour);

/* Words parted by white space; none at all are behaviour_init's. On false the complaint names the
 * word and says what it should be; `ret_behaviour` is then untouched. */
bool behaviour_parse(const char *words, struct behaviour *ret_behaviour,
    char ret_complaint[BEHAVIOUR_COMPLAINT_BYTES]) MUST_CHECK;

/* The words with what they do, for --help. */
void behaviour_print_words(FILE *file);

/* `random` is the state of a generator, seeded by behaviour_seed; `warm`: not the first request of
 * its connection. */
void behaviour_draw(const struct behaviour *behaviour, bool warm, int64_t since_start_us,
    uint64_t *random, struct behaviour_draw *ret_draw);

/* The state for one of several threads. */
uint64_t behaviour_seed(uint64_t seed, unsigned thread);

#endif
