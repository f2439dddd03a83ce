/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a run: whether the sent events, the gateway's journals and the received requests
 * agree, and whether the service levels were reached. A 200 counts as a promise, and a row in the
 * journal as a claim. Only a request that the sink answered 2xx counts as a delivery.
 *
 *   load logs --.
 *   journals  ---+--> keys (a row for each event) --> figures --> reasons to fail --> text or JSON
 *   sink logs --'
 *
 * It uses one thread, and a few hundred megabytes for millions of events: the logs are mapped, and
 * each event is one row.
 */
#ifndef PENSTOCK_BENCH_VERDICT_VERDICT_H
#define PENSTOCK_BENCH_VERDICT_VERDICT_H

#include "verdict/options.h"

#define VERDICT_PROBLEM_BYTES 4096

/* Returns the figures with their reasons; the caller frees them. When an input cannot be read, or
 * memory is short, it returns an error, and ret_problem names the input. */
enum err verdict_run(const struct options *options, struct figures **ret_figures,
    char ret_problem[VERDICT_PROBLEM_BYTES]) MUST_CHECK;

bool verdict_is_pass(const struct figures *figures);

#endif
