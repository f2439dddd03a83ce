/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replaces client/: nothing is sent. A request waits until the driver decides how it ends. Then its
 * on_done runs on the loop, as client.h promises. The model is notified of each request and its
 * end.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_CLIENT_H
#define PENSTOCK_TESTS_MODEL_FAKE_CLIENT_H

#include "client/client.h"

unsigned fake_client_waiting(void); /* requests that have not ended */
/* Ends one of them. They are numbered from 0 in the order of sending. */
void fake_client_answer(unsigned number, const struct attempt_end *end, int64_t retry_after_us);
void fake_client_forget(void); /* called after a crash */

#endif
