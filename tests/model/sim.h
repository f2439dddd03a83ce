/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated process: Penstock's threads as coroutines on one OS thread, virtual time, and
 * random numbers.
 *
 * A coroutine runs until it waits. The driver chooses which one continues and when time passes. The
 * choices come from the seed, so a seed is the same run, byte for byte. A real thread may lose the
 * CPU at some points where another thread sees what it did: when it posts a mail, or calls the
 * disk. These points call sim_pause, where the driver may continue another coroutine.
 *
 *   driver (the OS thread's own stack) --sim_resume--> coroutine
 *   coroutine --sim_wait, sim_pause, or its end--> driver
 *
 * A crash abandons the coroutines where they are, with all their memory (sim_abandon).
 */
#ifndef PENSTOCK_TESTS_MODEL_SIM_H
#define PENSTOCK_TESTS_MODEL_SIM_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_COROUTINES_MAX 16

/* Random numbers. Each user has a stream of its own, so that one draw more in one of them does not
 * change the others. */
enum sim_stream {
    STREAM_DRIVER,
    STREAM_SCHEDULE,
    STREAM_DISK,
    STREAM_SYSTEM,
    STREAM_CLIENTS,
    STREAM_RULES,
    STREAM_SWITCHES,
    STREAM_REPLAYS,
    SIM_STREAMS
};

uint64_t sim_random(enum sim_stream stream);
unsigned sim_below(enum sim_stream stream, unsigned bound); /* 0 to bound - 1 */
bool sim_chance(enum sim_stream stream, unsigned per_mille);

/* Time in microseconds. Monotonic time continues across crashes; the wall clock can be set. */
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

/* Called by a coroutine: waits until `is_ready` returns true (NULL: never) or the monotonic time is
 * `wake_us` (INT64_MAX: never). After that the driver decides when it continues. */
void sim_wait(bool (*is_ready)(void *context), void *context, int64_t wake_us);
/* Lets another coroutine run, with the given chance. Does nothing in the driver. */
void sim_pause(unsigned per_mille);
/* While it is not 0 sim_pause does nothing: the model is reading state inside a coroutine. */
extern int sim_still;

/* Called by the driver. */
unsigned sim_runnable(struct sim_coroutine *ret_coroutines[SIM_COROUTINES_MAX]);
int64_t sim_next_wake_us(void); /* the earliest time that a coroutine waits for; INT64_MAX: none */
void sim_resume(struct sim_coroutine *coroutine);
void sim_abandon(void); /* all coroutines */

/* Called by a coroutine: the process crashes here. sim_is_crashed returns true until
 * sim_abandon. */
_Noreturn void sim_crash(void);
bool sim_is_crashed(void);

#endif
