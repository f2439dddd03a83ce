/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logs of a run, which the verdict joins: what the load generator sent and how it was answered,
 * and what the sink received. A file is one header and records of fixed size in the machine's byte
 * order. A record is appended when its request ends.
 *
 * Times are wall microseconds of a clock that does not jump: each process reads the wall clock once
 * at its start, and adds monotonic time. 0 means "never".
 *
 * An event's number is its place in the generator's timetable. The body's first field is the
 * partner's id, "<run>-<number>". So a request at the sink finds its event even when the partner
 * got no answer.
 */
#ifndef PENSTOCK_BENCH_COMMON_RUN_LOG_H
#define PENSTOCK_BENCH_COMMON_RUN_LOG_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>
#include <stdio.h>

#define RUN_NAME_BYTES 16 /* with the NUL; letters and digits */
#define RUN_NO_NUMBER UINT64_MAX
#define CURRENCY_TEXT_BYTES 4

enum load_kind {
    LOAD_FRESH,     /* a new event */
    LOAD_DUPLICATE, /* the same event as `original`, byte for byte */
    LOAD_CONFLICT,  /* the key of `original` with another amount */
    LOAD_INVALID    /* must be rejected with a 4xx */
};

enum load_end {
    LOAD_ANSWERED,
    LOAD_TIMED_OUT, /* the partner stopped waiting */
    LOAD_BROKEN,    /* the connection or the stream ended without an answer */
    LOAD_UNFINISHED /* the run ended first */
};

enum load_answer {
    LOAD_SAID_NOTHING, /* no 200 */
    LOAD_SAID_ACCEPTED,
    LOAD_SAID_DUPLICATE,
    LOAD_SAID_OTHER /* a 200 that is not an acceptance */
};

/* One sending of one event. Each re-send has a record of its own. */
struct load_record {
    int64_t intended_us; /* when it was due: by the timetable, or as a re-send */
    int64_t sent_us;     /* when its first frame was made; 0: never */
    int64_t ended_us;    /* when it was answered, or given up */
    uint64_t number;
    /* the number whose key this is: its own, or the original's of a duplicate or conflict */
    uint64_t original;
    uint64_t body_hash;
    int64_t amount_micros;   /* of `currency`, in millionths */
    unsigned char event[16]; /* the id in the answer; zeros: none */
    uint16_t status;         /* HTTP; 0: none */
    uint16_t account;        /* index of the generator's --accounts */
    uint8_t kind;            /* enum load_kind */
    uint8_t end;             /* enum load_end */
    uint8_t answer;          /* enum load_answer */
    uint8_t sending;         /* 0: the first one; n: the n-th re-send */
    char currency[CURRENCY_TEXT_BYTES];
    uint8_t guarded; /* the gateway guards its type */
    uint8_t unused[3];
};

enum sink_deed {
    SINK_ANSWERED,
    SINK_DROPPED,    /* did the work, then closed the connection without an answer */
    SINK_CUT_SHORT,  /* closed the connection in the middle of the answer */
    SINK_NEVER_ENDED /* hung, or the sink ended first */
};

enum sink_signature { SINK_UNCHECKED, SINK_RIGHT, SINK_WRONG };

/* One request of the gateway to a client deployment. */
struct sink_record {
    int64_t received_us;
    int64_t answered_us;     /* when the deed was done; 0: never */
    unsigned char event[16]; /* webhook-id; zeros: not an event id */
    uint64_t number;         /* from the id in the body; RUN_NO_NUMBER: none */
    uint64_t body_hash;
    int64_t amount_micros;
    uint32_t attempt; /* penstock-attempt */
    uint32_t body_bytes;
    uint16_t status;   /* of the answer, also of one that was not sent */
    uint16_t path;     /* the number of its configured path, from 1; 0: none of them */
    uint8_t deed;      /* enum sink_deed */
    uint8_t signature; /* enum sink_signature */
    uint8_t warm;      /* not the first request of its connection */
    uint8_t http2;
    char currency[CURRENCY_TEXT_BYTES];
    uint8_t unused[4];
    int64_t due_us; /* of a target: the {due_us} of the post; 0: not looked for */
};

/* Returns the hash of a body, as in both logs. */
uint64_t run_log_hash(struct slice body);

/* Returns the number in an event's body that begins {"id":"<run>-<number>", or RUN_NO_NUMBER. An
 * empty `run` matches any run. */
uint64_t run_log_number(struct slice body, const char *run);

/* The same for the first "<run>-<number>" anywhere in a text. `run` is not empty. */
uint64_t run_log_find_number(struct slice text, const char *run);

/* Maps the id of a target that is not Penstock, of any form, to the place of an event id. */
void run_log_id(struct slice text, unsigned char ret_id[16]);

/* Reads the value of `"amount":"..."` in millionths, and of `"currency":"..."`, as the generator
 * writes them. Returns false, and zeros, where they are missing. */
bool run_log_money(struct slice body, int64_t *ret_micros, char ret_currency[CURRENCY_TEXT_BYTES]);

/* Returns the time on the clock of the logs. */
int64_t run_log_now_us(void);

/* Writing. Not thread-safe. Records are buffered: a kill loses those in the buffer. */
struct run_log;
#define LOAD_LOG "penload1"
#define SINK_LOG "pensink2"
enum err run_log_create(const char *path, const char *kind, const char *run, size_t record_bytes,
    struct run_log **ret_log) MUST_CHECK;
void run_log_write(struct run_log *log, const void *record);
void run_log_flush(struct run_log *log);
/* ERR_DISK when a record was not written; takes NULL. */
enum err run_log_close(struct run_log *log) MUST_CHECK;

/* Reading: the whole file, mapped. */
struct run_log_view {
    const void *records;
    size_t count;
    char run[RUN_NAME_BYTES];
    int64_t started_us;
    void *map;
    size_t map_bytes;
};
/* ERR_NOT_FOUND; ERR_DAMAGED: the file is not a log of this kind and record size. An incomplete
 * last record is ignored. */
enum err run_log_open(const char *path, const char *kind, size_t record_bytes,
    struct run_log_view *ret_view) MUST_CHECK;
void run_log_view_done(struct run_log_view *view);

#endif
