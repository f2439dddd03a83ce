/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A time of doubt, near the end of some seeds: most events are payouts, whose answers are often
 * lost. Status probes take long, fail, or say nothing. Meanwhile operators decide what is in doubt,
 * and change the rules by which answers are judged; the gateway is disturbed.
 */
#ifndef PENSTOCK_TESTS_MODEL_DOUBT_H
#define PENSTOCK_TESTS_MODEL_DOUBT_H

void doubt_run(void);

#endif
