/* SPDX-License-Identifier: Apache-2.0 */
/* Operators who order replays, and change them while they run. In some of the seeds. */
#ifndef PENSTOCK_TESTS_MODEL_REPLAYS_H
#define PENSTOCK_TESTS_MODEL_REPLAYS_H

#include <stdbool.h>

/* Called at the start of a seed. `always`: there are replays, and many. */
void replays_begin(bool always);
void replays_step(void);
/* At the end of a seed: paused ones are resumed. */
void replays_resume_all(void);

#endif
