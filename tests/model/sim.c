/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "runtime/rcu.h"
#include "runtime/thread.h"
#include "trace.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <urcu-qsbr.h>

#define STACK_BYTES (512 * 1024)
#define GUARD_BYTES 4096
#define WALL_AT_START_US INT64_C(1764590400000000) /* 2025-12-01 12:00 UTC */

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_LEAVE(fake, bottom, size) __sanitizer_start_switch_fiber(fake, bottom, size)
#define FIBER_ENTER(fake, bottom, size) __sanitizer_finish_switch_fiber(fake, bottom, size)
#define STACK_IS_NEW(stack, size) __asan_unpoison_memory_region(stack, size)
#else
#define FIBER_LEAVE(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define FIBER_ENTER(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define STACK_IS_NEW(stack, size) ((void)(stack), (void)(size))
#endif

struct sim_coroutine {
    char name[16];
    ucontext_t context;
    char *stack; /* above its guard page */
    void *fake_stack;
    void (*run)(void *context);
    void *run_context;
    bool (*is_ready)(void *context);
    void *ready_context;
    int64_t wake_us;
    bool ended;
};

int sim_still;

static uint64_t streams[SIM_STREAMS];
static int64_t mono_us, wall_offset_us;
static struct sim_coroutine *coroutines[SIM_COROUTINES_MAX], *current;
static unsigned coroutines_count;
static bool crashed;

/* The driver's context while a coroutine runs. */
static ucontext_t driver;
static void *driver_fake_stack;
static const void *driver_stack;
static size_t driver_stack_bytes;

/* splitmix64 (Steele, Lea, Flood 2014) */
#define GAMMA UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t sim_random(enum sim_stream stream)
{
    return mix(streams[stream] += GAMMA);
}

unsigned sim_below(enum sim_stream stream, unsigned bound)
{
    assert(bound > 0);
    return (unsigned)(sim_random(stream) % bound);
}

bool sim_chance(enum sim_stream stream, unsigned per_mille)
{
    return sim_below(stream, 1000) < per_mille;
}

int64_t sim_mono_us(void)
{
    return mono_us;
}

int64_t sim_wall_us(void)
{
    return mono_us + wall_offset_us;
}

void sim_pass(int64_t us)
{
    assert(us >= 0);
    mono_us += us;
}

void sim_set_wall(int64_t by_us)
{
    wall_offset_us += by_us;
}

void sim_init(uint64_t seed)
{
    for (unsigned i = 0; i < SIM_STREAMS; i++)
        streams[i] = mix(mix(seed + 1) + i * GAMMA);
    mono_us = 1000 * US_PER_SECOND;
    wall_offset_us = WALL_AT_START_US - mono_us;
}

/* Returns from the calling coroutine to the driver. A coroutine that has ended never resumes. */
static void leave(struct sim_coroutine *self)
{
    /* liburcu sees one reader, the OS thread. Each coroutine keeps its own online state. */
    bool online = urcu_qsbr_read_ongoing();
    if (online)
        urcu_qsbr_thread_offline();
    FIBER_LEAVE(self->ended ? NULL : &self->fake_stack, driver_stack, driver_stack_bytes);
    swapcontext(&self->context, &driver);
    FIBER_ENTER(self->fake_stack, NULL, NULL);
    if (online)
        urcu_qsbr_thread_online();
}

static void begin(void)
{
    FIBER_ENTER(NULL, &driver_stack, &driver_stack_bytes);
    struct sim_coroutine *self = current;
    self->run(self->run_context);
    self->ended = true;
    leave(self);
    abort();
}

static char *new_stack(void)
{
    char *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0)
        abort();
    return memory + GUARD_BYTES;
}

struct sim_coroutine *sim_spawn(const char *name, void (*run)(void *context), void *context)
{
    static char *spare[SIM_COROUTINES_MAX];
    static unsigned spare_count;
    /* Reuse the entries and stacks of coroutines that have ended. */
    unsigned kept = 0;
    for (unsigned i = 0; i < coroutines_count; i++) {
        if (!coroutines[i]->ended)
            coroutines[kept++] = coroutines[i];
        else if (spare_count < SIM_COROUTINES_MAX)
            spare[spare_count++] = coroutines[i]->stack;
    }
    coroutines_count = kept;
    assert(coroutines_count < SIM_COROUTINES_MAX);
    struct sim_coroutine *self =
        calloc(1, sizeof *self); /* never freed: sim_has_ended may be called later */
    assert(self);
    snprintf(self->name, sizeof self->name, "%s", name);
    self->run = run;
    self->run_context = context;
    self->wake_us = mono_us;
    self->stack = spare_count > 0 ? spare[--spare_count] : new_stack();
    STACK_IS_NEW(self->stack, STACK_BYTES);
    getcontext(&self->context);
    self->context.uc_stack.ss_sp = self->stack;
    self->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&self->context, begin, 0);
    coroutines[coroutines_count++] = self;
    return self;
}

struct sim_coroutine *sim_current(void)
{
    return current;
}

const char *sim_name(const struct sim_coroutine *coroutine)
{
    return coroutine->name;
}

bool sim_has_ended(const struct sim_coroutine *coroutine)
{
    return coroutine->ended;
}

void sim_wait(bool (*is_ready)(void *context), void *context, int64_t wake_us)
{
    struct sim_coroutine *self = current;
    assert(self);
    self->is_ready = is_ready;
    self->ready_context = context;
    self->wake_us = wake_us;
    leave(self);
    self->is_ready = NULL;
    self->wake_us = INT64_MAX;
}

void sim_pause(unsigned per_mille)
{
    if (current && !sim_still && sim_chance(STREAM_SCHEDULE, per_mille))
        sim_wait(NULL, NULL, mono_us);
}

static bool is_runnable(const struct sim_coroutine *coroutine)
{
    if (coroutine->ended)
        return false;
    return coroutine->wake_us <= mono_us ||
           (coroutine->is_ready && coroutine->is_ready(coroutine->ready_context));
}

unsigned sim_runnable(struct sim_coroutine *ret_coroutines[SIM_COROUTINES_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < coroutines_count; i++)
        if (is_runnable(coroutines[i]))
            ret_coroutines[count++] = coroutines[i];
    return count;
}

int64_t sim_next_wake_us(void)
{
    int64_t wake_us = INT64_MAX;
    for (unsigned i = 0; i < coroutines_count; i++)
        if (!coroutines[i]->ended && coroutines[i]->wake_us < wake_us)
            wake_us = coroutines[i]->wake_us;
    return wake_us;
}

void sim_resume(struct sim_coroutine *coroutine)
{
    assert(!current && !coroutine->ended && !crashed);
    current = coroutine;
    FIBER_LEAVE(&driver_fake_stack, coroutine->stack, STACK_BYTES);
    swapcontext(&driver, &coroutine->context);
    FIBER_ENTER(driver_fake_stack, NULL, NULL);
    current = NULL;
}

void sim_abandon(void)
{
    assert(!current);
    for (unsigned i = 0; i < coroutines_count; i++)
        coroutines[i]->ended = true;
    crashed = false;
}

void sim_crash(void)
{
    assert(current);
    crashed = true;
    leave(current);
    abort();
}

bool sim_is_crashed(void)
{
    return crashed;
}

/* base/clock.h and base/crypto.h: replaced at link time by --wrap. */

int64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_mono_us(void);
void __wrap_crypto_random(void *ret_bytes, size_t len);

int64_t __wrap_clock_wall_us(void)
{
    return sim_wall_us();
}

int64_t __wrap_clock_mono_us(void)
{
    return sim_mono_us();
}

void __wrap_crypto_random(void *ret_bytes, size_t len)
{
    unsigned char *bytes = ret_bytes;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)sim_random(STREAM_SYSTEM);
}

/* runtime/thread.h: a thread is a coroutine, and thread_join waits for its end. */

char rcu_grace_token;

static struct sim_coroutine *coroutine_of(const struct thread *thread)
{
    return (struct sim_coroutine *)(void *)thread->id;
}

enum err thread_start(
    struct thread *thread, const char *name, void (*run)(void *context), void *context)
{
    snprintf(thread->name, sizeof thread->name, "%s", name);
    thread->run = run;
    thread->context = context;
    thread->id = (pthread_t)(void *)sim_spawn(name, run, context);
    thread->started = true;
    return OK;
}

static bool has_ended(void *context)
{
    return sim_has_ended(context);
}

void thread_join(struct thread *thread)
{
    if (!thread->started)
        return;
    while (!sim_has_ended(coroutine_of(thread)))
        sim_wait(has_ended, coroutine_of(thread), INT64_MAX);
    thread->started = false;
}

/* There is one OS thread for all coroutines. It is offline until a coroutine is online. */
void thread_adopt_main(void)
{
    rcu_register_thread();
    rcu_go_offline();
}

void thread_leave_main(void)
{
    rcu_unregister_thread();
}

bool thread_is_current(const struct thread *thread)
{
    return sim_current() == coroutine_of(thread);
}
