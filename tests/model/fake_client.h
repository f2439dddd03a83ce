/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In place of client/: nothing is sent. A request waits for the driver to say how it ends; its
 * on_done runs on the loop, as client.h promises. What is sent, and what becomes of it, the model
 * hears of.
 */
#ifndef PENSTOCK_TESTS_MODEL_FAKE_CLIENT_H
#define PENSTOCK_TESTS_MODEL_FAKE_CLIENT_H

#include "client/client.h"

unsigned fake_client_waiting(void); /* requests without an end so far */
/* The end of one of them, numbered from 0 in order of sending. */
void fake_client_answer(unsigned number, const struct attempt_end *end, int64_t retry_after_us);
void fake_client_forget(void); /* after a crash */

#endif
