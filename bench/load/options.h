/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of penstock-load. */
#ifndef PENSTOCK_BENCH_LOAD_OPTIONS_H
#define PENSTOCK_BENCH_LOAD_OPTIONS_H

#include "load/mix.h"
#include "load/post.h"
#include "load/timetable.h"
#include "model/signature.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define LOAD_THREADS_MAX 16
#define LOAD_CONNECTIONS_MAX 1024
#define LOAD_BATCH_MAX 1000

struct load_options {
    struct timetable timetable;
    struct mix mix;
    bool tls;
    char host[256], authority[300];
    struct sockaddr_storage address;
    socklen_t address_len;
    const char *ca_file; /* NULL: the certificate is not checked */
    const char *api_key;
    char *api_key_text;  /* malloc'd, of --api-key @FILE */
    struct post *post;   /* NULL: as to Penstock */
    const char *partner; /* with a secret: requests are signed */
    struct secret secret;
    unsigned threads, connections;
    unsigned batch; /* 1: single events */
    int64_t patience_us;
    int64_t resend_pause_us; /* after a connection error */
    unsigned resends_max;
    /* wake up so much early, and spin: timers are tens of microseconds late */
    int64_t spin_us;
    int64_t warm_up_us; /* events that are due before do not count in the figures */
    int64_t linger_us;  /* how long to wait for answers after the last event */
    const char *log_file, *progress_file;
    bool json;
};

/* ERR_USAGE: the complaint is on stderr. ERR_NO_MEMORY. --help ends the process (common/options.h).
 */
enum err load_options_parse(int argc, char **argv, struct load_options *ret_options) MUST_CHECK;
void load_options_done(struct load_options *options);

#endif
