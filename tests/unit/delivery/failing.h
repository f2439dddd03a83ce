/* SPDX-License-Identifier: Apache-2.0 */
/* A shard whose endpoint fails, until its breaker opens. */
#ifndef PENSTOCK_TESTS_UNIT_DELIVERY_FAILING_H
#define PENSTOCK_TESTS_UNIT_DELIVERY_FAILING_H

#include "fixture.h"

/* Starts a shard whose endpoint answers 500 and whose retries are a day away. Outcomes are
 * committed at once. */
void begin_failing_shard(void);
/* Fails deliveries from `first` on until the breaker opens. Returns the number behind the last one
 * that was handed over. */
int64_t open_breaker(int64_t first);
/* Returns the next load of that kind, from `*index` on. Answers the others: they bring nothing. */
struct journal_load *next_load(unsigned *index, bool is_probe);

#endif
