/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/metrics.h"

#include "base/cleanup.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Upper bounds in microseconds: from the commit of a fast disk to the longest back-off. */
static const int64_t bounds_us[] = {100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
    250000, 500000, 1000000, 2500000, 5000000, 15000000, 30000000, 60000000, 300000000, 3600000000};
#define BOUNDS ARRAY_LENGTH(bounds_us)

struct distribution {
    _Atomic uint64_t buckets[BOUNDS + 1];
    _Atomic int64_t sum_us;
};

struct block {
    struct block *next; /* guarded by `blocks_lock`; blocks are never removed */
    _Atomic int64_t values[METRIC_COUNT];
    struct distribution distributions[HISTOGRAM_COUNT];
};

static const struct {
    const char *type, *name, *labels, *help;
} metric_rows[METRIC_COUNT] = {
#define X(symbol, type_, name_, labels_, help_) [symbol] = {#type_, name_, labels_, help_},
    METRIC_TABLE(X)
#undef X
};

static const struct {
    const char *name, *help;
} histogram_rows[HISTOGRAM_COUNT] = {
#define X(symbol, name_, help_) [symbol] = {name_, help_},
    HISTOGRAM_TABLE(X)
#undef X
};

static struct block *blocks;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local struct block *my_block;

void metrics_thread_enter(void)
{
    struct block *block = memory_new(sizeof *block);
    pthread_mutex_lock(&blocks_lock);
    block->next = blocks;
    blocks = block;
    pthread_mutex_unlock(&blocks_lock);
    my_block = block;
}

void metrics_thread_leave(void)
{
    my_block = NULL;
}

/* Only the owner writes, so a load and a store replace the atomic addition. */
#define OWN_ADD(field, amount)      \
    atomic_store_explicit(&(field), \
        atomic_load_explicit(&(field), memory_order_relaxed) + (amount), memory_order_relaxed)

void metrics_add(enum metric metric, int64_t amount)
{
    if (my_block)
        OWN_ADD(my_block->values[metric], amount);
}

void metrics_observe(enum histogram histogram, int64_t value_us)
{
    if (!my_block)
        return;
    size_t i = 0;
    while (i < BOUNDS && value_us > bounds_us[i])
        i++;
    struct distribution *distribution = &my_block->distributions[histogram];
    OWN_ADD(distribution->buckets[i], 1);
    OWN_ADD(distribution->sum_us, value_us);
}

int64_t metrics_read(enum metric metric)
{
    int64_t sum = 0;
    pthread_mutex_lock(&blocks_lock);
    for (const struct block *block = blocks; block; block = block->next)
        sum += atomic_load_explicit(&block->values[metric], memory_order_relaxed);
    pthread_mutex_unlock(&blocks_lock);
    return sum;
}

static void print_head(struct buffer *text, const char *name, const char *type, const char *help)
{
    buffer_add_format(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_histogram(struct buffer *text, enum histogram histogram)
{
    uint64_t counts[BOUNDS + 1] = {0};
    int64_t sum_us = 0;
    pthread_mutex_lock(&blocks_lock);
    for (const struct block *block = blocks; block; block = block->next) {
        const struct distribution *distribution = &block->distributions[histogram];
        for (size_t i = 0; i <= BOUNDS; i++)
            counts[i] += atomic_load_explicit(&distribution->buckets[i], memory_order_relaxed);
        sum_us += atomic_load_explicit(&distribution->sum_us, memory_order_relaxed);
    }
    pthread_mutex_unlock(&blocks_lock);

    const char *name = histogram_rows[histogram].name;
    print_head(text, name, "histogram", histogram_rows[histogram].help);
    uint64_t cumulated = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        cumulated += counts[i];
        buffer_add_format(text, "%s_bucket{le=\"%g\"} %llu\n", name, (double)bounds_us[i] / 1e6,
            (unsigned long long)cumulated);
    }
    cumulated += counts[BOUNDS];
    buffer_add_format(text, "%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)cumulated);
    buffer_add_format(text, "%s_sum %.6f\n", name, (double)sum_us / 1e6);
    buffer_add_format(text, "%s_count %llu\n", name, (unsigned long long)cumulated);
}

void metrics_print(struct buffer *text)
{
    const char *previous = "";
    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_rows[i].name, *labels = metric_rows[i].labels;
        if (strcmp(name, previous) != 0)
            print_head(text, name, metric_rows[i].type, metric_rows[i].help);
        previous = name;
        buffer_add_format(text, "%s%s%s%s %lld\n", name, *labels ? "{" : "", labels,
            *labels ? "}" : "", (long long)metrics_read((enum metric)i));
    }
    for (int i = 0; i < HISTOGRAM_COUNT; i++)
        print_histogram(text, (enum histogram)i);
}
