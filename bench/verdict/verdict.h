/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a run: did what was sent, what the gateway says and what arrived agree, and were
 * the service levels met? Nobody is believed alone: a 200 counts as a promise, a row in the journal
 * as a claim, and only a request that the sink answered 2xx as a delivery.
 *
 *   load logs --.
 *   journals  ---+--> keys (one row an event) --> figures --> reasons to fail --> text or JSON
 *   sink logs --'
 *
 * One thread; a few hundred megabytes for millions of events, since the logs are mapped and each
 * event is one row.
 */
#ifndef PENSTOCK_BENCH_VERDICT_VERDICT_H
#define PENSTOCK_BENCH_VERDICT_VERDICT_H

#include "verdict/options.h"

#define VERDICT_PROBLEM_BYTES 4096

/* The figures with their reasons; the caller frees them. When an input can't be read, or there is
 * no memory, an error other than OK, and ret_problem names the input. */
enum err verdict_run(const struct options *options, struct figures **ret_figures,
    char ret_problem[VERDICT_PROBLEM_BYTES]) MUST_CHECK;

bool verdict_is_pass(const struct figures *figures);

#endif
