/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `penstock endpoint test`: what was sent, how the connection was made, and the answer. The exit
 * code is the verdict: EX_OK, or EX_PROTOCOL if the answer is not a success.
 */
#ifndef PENSTOCK_CLI_ENDPOINT_TEST_H
#define PENSTOCK_CLI_ENDPOINT_TEST_H

#include <jansson.h>

/* More than the largest connect_timeout and answer_timeout together. */
#define ENDPOINT_TEST_TIMEOUT_S 720

void show_endpoint_test(const json_t *test);
int endpoint_test_exit_code(const json_t *test);

#endif
