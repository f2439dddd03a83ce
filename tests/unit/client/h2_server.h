/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/h2_server.py as a process of its own, with a certificate for sink.test. */
#ifndef PENSTOCK_TESTS_UNIT_CLIENT_H2_SERVER_H
#define PENSTOCK_TESTS_UNIT_CLIENT_H2_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

#define H2_SERVER_IDS_MAX 512

struct h2_server {
    unsigned port;
    char directory[64], certificate[96];
    pid_t pid;
    FILE *output;
    int mark_fd; /* the pipe of its output, for marks between its lines */
    pthread_t thread;
    /* what it has said, as far as it has been read */
    _Atomic unsigned connections, http_1, plaintext, handled, refused, ignored, marks;
    _Atomic unsigned handled_of[H2_SERVER_IDS_MAX]; /* of the requests with "webhook-id: N" */
};

/* `options`: "NAME=VALUE", ended by NULL; NULL: none. */
void h2_server_start(struct h2_server *server, const char *const *options);
/* Waits until all that it has said so far has been read. It says what it sees before it answers. */
void h2_server_settle(struct h2_server *server);
void h2_server_stop(struct h2_server *server);

#endif
