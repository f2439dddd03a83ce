/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of endpoints: an operator checks whether a client can be reached and takes events.
 *
 * A test sends one event of the type `penstock.test`, with the header `penstock-test: true` and a
 * body that says that it is a test. It is sent like the attempt of an unguarded event of critical
 * class: signed, with the endpoint's headers, TLS, timeouts and HTTP version, by the same client
 * and address guard. The answer is judged by the endpoint's rules. The connection is a new one, so
 * that each step is seen, and is closed afterwards.
 *
 * Nothing else happens. The event is in no journal and in no total, and is not sent again. The
 * breaker, the concurrency and the rate of the endpoint do not count it, and do not hold it back:
 * a disabled endpoint, and one whose breaker is open, can be tested as well.
 *
 * Limits: TESTS_MAX at a time for each shard, and the timeouts of the endpoint. When the shard
 * stops, tests are cut short.
 */
#ifndef PENSTOCK_DELIVERY_ENDPOINT_TEST_H
#define PENSTOCK_DELIVERY_ENDPOINT_TEST_H

struct delivery_shard;
struct endpoint_test; /* journal/endpoint_test.h */

/* Any thread. The test belongs to delivery until the answer to its `ask`. */
void delivery_shard_test_endpoint(struct delivery_shard *shard, struct endpoint_test *test);

#endif
