/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces client/: nothing is sent. A request ends as its client has planned (clients.h), or waits
 * until the driver decides. Then its on_done runs on the loop, as client.h promises. The model is
 * notified of each request and its end.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_CLIENT_H
#define PENSTOCK_TESTS_MODEL_FAKE_CLIENT_H

#include "clients.h"

unsigned fake_client_waiting(void); /* requests that the driver has to end */
/* Ends one of them. They are numbered from 0 in the order of sending. */
void fake_client_answer(unsigned number, const struct client_answer *answer);
bool fake_client_is_question(unsigned number); /* a status probe */
bool fake_client_is_guarded(unsigned number);
void fake_client_forget(void); /* called after a crash */

int64_t fake_client_next_us(
    void);                   /* when the next planned end is due; INT64_MAX: none is planned */
void fake_client_work(void); /* ends what is due */
void fake_client_forget_plans(void); /* the driver has to end all requests */

#endif
