/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated process: what Penstock's threads become (coroutines on one OS thread), the virtual
 * time, and chance.
 *
 * A coroutine runs until it waits. Who goes on next, and when time passes, is the driver's choice,
 * drawn from the seed; so a seed is a run, byte for byte. Points at which a real thread may lose
 * the CPU while another one sees what it did (a mail is posted, the disk is asked) are sim_pause:
 * there the driver may go on with somebody else.
 *
 *   driver (the OS thread's own stack) --sim_resume--> coroutine --sim_wait, sim_pause, its end--> driver
 *
 * A crash leaves coroutines where they are: sim_abandon forgets them, and with them all that they
 * had in memory.
 */
#ifndef PENSTOCK_TESTS_MODEL_SIM_H
#define PENSTOCK_TESTS_MODEL_SIM_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_COROUTINES_MAX 16

/* Chance. Each user has a stream of its own, so that one more draw here does not turn everything
 * over there. */
enum sim_stream { STREAM_DRIVER, STREAM_SCHEDULE, STREAM_DISK, STREAM_SYSTEM, SIM_STREAMS };

uint64_t sim_random(enum sim_stream stream);
unsigned sim_below(enum sim_stream stream, unsigned bound); /* 0 to bound - 1 */
bool sim_chance(enum sim_stream stream, unsigned per_mille);

/* Time. Monotonic time goes on over crashes; the wall clock can be set. */
int64_t sim_mono_us(void);
int64_t sim_wall_us(void);
void sim_pass(int64_t us);
void sim_set_wall(int64_t by_us);

/* Coroutines. */
struct sim_coroutine;

void sim_init(uint64_t seed);
struct sim_coroutine *sim_spawn(const char *name, void (*run)(void *context), void *context);
struct sim_coroutine *sim_current(void); /* NULL: the driver */
const char *sim_name(const struct sim_coroutine *coroutine);
bool sim_has_ended(const struct sim_coroutine *coroutine);

/* Inside of a coroutine: until `is_ready` says so (NULL: never) or the monotonic time is `wake_us`
 * (INT64_MAX: never). The driver decides when it goes on after that. */
void sim_wait(bool (*is_ready)(void *context), void *context, int64_t wake_us);
/* Somebody else may go on here, with the given chance. Harmless in the driver. */
void sim_pause(unsigned per_mille);
/* While not 0 nothing pauses: somebody looks at things in the middle of a coroutine. */
extern int sim_still;

/* For the driver. */
unsigned sim_runnable(struct sim_coroutine *ret_coroutines[SIM_COROUTINES_MAX]);
int64_t sim_next_wake_us(void); /* the earliest time for which anybody waits; INT64_MAX: none */
void sim_resume(struct sim_coroutine *coroutine);
void sim_abandon(void); /* all of them */

/* Inside of a coroutine: the process dies here. sim_is_crashed tells the driver, until sim_abandon.
 * */
_Noreturn void sim_crash(void);
bool sim_is_crashed(void);

#endif
