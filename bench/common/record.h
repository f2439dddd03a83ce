/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logs of a run, as the generator and the sink write them and the verdict joins them: fixed-size records behind one header, native
 * byte order, appended in big writes, so that 6000 events a second cost next to nothing. Times are CLOCK_MONOTONIC microseconds, which all
 * programs of one machine share.
 */
#ifndef PENSTOCK_BENCH_COMMON_RECORD_H
#define PENSTOCK_BENCH_COMMON_RECORD_H

#include <stdint.h>

#define RECORD_FORMAT 1

struct record_header {
    char magic[8];       /* "PNSLOAD" or "PNSSINK", NUL included */
    uint32_t format;     /* RECORD_FORMAT */
    uint32_t record_bytes;
    int64_t wall_us;     /* when the log was opened, on both clocks */
    int64_t mono_us;
};

enum load_flag {
    LOAD_DUPLICATE = 1, /* a re-send of an event that was sent before, on purpose */
    LOAD_INVALID = 2,   /* meant to be refused */
    LOAD_CONFLICT = 4,  /* the key of an earlier event, another amount */
    LOAD_RESEND = 8     /* the same event again, since no answer came (as partners do) */
};

/* One request of the generator. */
struct load_record {
    uint64_t number;         /* of the event, from 1; its id is `<run>-<number>` */
    int64_t intended_us;     /* when it was due by the timetable: latency counts from here */
    int64_t sent_us;         /* when it really left; 0: never */
    int64_t answered_us;     /* 0: no answer came */
    unsigned char event[16]; /* the evt_ id of a 200; zeros without */
    uint16_t status;         /* 0: the connection broke */
    uint8_t flags;           /* of enum load_flag */
    uint8_t is_duplicate;    /* the gateway said so */
    uint32_t body_hash;      /* CRC-32 of the bytes sent */
};

/* One request that the sink got. */
struct sink_record {
    unsigned char event[16]; /* webhook-id */
    int64_t received_us;     /* headers and body complete */
    int64_t answered_us;     /* 0: dropped or hung on purpose */
    uint64_t number;         /* from the body's id; 0: not one of the generator's */
    uint32_t body_hash;      /* CRC-32 of the bytes received */
    uint16_t status;         /* what the sink answered; 0: nothing */
    uint16_t attempt;        /* penstock-attempt */
    uint8_t signature_good;
    uint8_t guarded; /* a payout */
    uint8_t unused[6];
};

#endif
