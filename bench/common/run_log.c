/* SPDX-License-Identifier: Apache-2.0 */
#include "common/run_log.h"

#include "base/clock.h"
#include "base/hash.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (1024 * 1024)
#define MICROS 1000000
#define FRACTION_DIGITS 6

struct header {
    char kind[8];
    char run[RUN_NAME_BYTES];
    uint64_t record_bytes;
    int64_t started_us;
};

struct run_log {
    FILE *file;
    size_t record_bytes;
    bool failed;
    char buffer[BUFFER_BYTES];
};

_Static_assert(sizeof(struct load_record) == 88 && sizeof(struct sink_record) == 88,
    "no padding: records are written as they are");

uint64_t run_log_hash(struct slice body)
{
    static const struct hash_seed none;
    return hash_siphash(&none, body);
}

static int64_t wall_offset_us;
static pthread_once_t offset_once = PTHREAD_ONCE_INIT;

static void take_offset(void)
{
    wall_offset_us = clock_wall_us() - clock_mono_us();
}

int64_t run_log_now_us(void)
{
    pthread_once(&offset_once, take_offset);
    return clock_mono_us() + wall_offset_us;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads the digits at the begin of a text. */
static uint64_t read_number(const char *at, const char *end)
{
    uint64_t number = 0;
    if (at == end || !is_digit(*at))
        return RUN_NO_NUMBER;
    for (; at < end && is_digit(*at); at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number;
}

uint64_t run_log_number(struct slice body, const char *run)
{
    static const char begin[] = "{\"id\":\"";
    if (!slice_starts_with(body, begin))
        return RUN_NO_NUMBER;
    struct slice rest = slice_of(body.data + sizeof begin - 1, body.len - (sizeof begin - 1));
    const char *dash =
        memchr(rest.data, '-', rest.len < RUN_NAME_BYTES ? rest.len : RUN_NAME_BYTES);
    if (!dash ||
        (*run && !slice_equals_string(slice_of(rest.data, (size_t)(dash - rest.data)), run)))
        return RUN_NO_NUMBER;
    return read_number(dash + 1, rest.data + rest.len);
}

uint64_t run_log_find_number(struct slice text, const char *run)
{
    size_t len = strlen(run);
    const char *end = text.data + text.len;
    for (const char *at = text.data; at && at < end; at++) {
        at = memmem(at, (size_t)(end - at), run, len);
        if (!at)
            break;
        bool begins = at == text.data || !isalnum((unsigned char)at[-1]);
        if (begins && at + len < end && at[len] == '-' && at + len + 1 < end &&
            is_digit(at[len + 1]))
            return read_number(at + len + 1, end);
    }
    return RUN_NO_NUMBER;
}

void run_log_id(struct slice text, unsigned char ret_id[16])
{
    static const struct hash_seed seeds[] = {{{1}}, {{2}}};
    for (unsigned i = 0; i < 2; i++) {
        uint64_t hash = hash_siphash(&seeds[i], text);
        memcpy(ret_id + i * sizeof hash, &hash, sizeof hash);
    }
}

static const char *find(struct slice body, const char *text)
{
    const char *found = memmem(body.data, body.len, text, strlen(text));
    return found ? found + strlen(text) : NULL;
}

bool run_log_money(struct slice body, int64_t *ret_micros, char ret_currency[CURRENCY_TEXT_BYTES])
{
    const char *end = body.data + body.len;
    const char *at = find(body, "\"amount\":\""), *currency = find(body, "\"currency\":\"");
    *ret_micros = 0;
    memset(ret_currency, 0, CURRENCY_TEXT_BYTES);
    if (!at || !currency || end - currency < 3)
        return false;
    bool negative = at < end && *at == '-';
    int64_t micros = 0;
    int fraction = -1; /* digits after the point so far; -1: before the point */
    for (at += negative; at < end && *at != '"'; at++) {
        if (*at == '.' && fraction < 0) {
            fraction = 0;
        } else if (is_digit(*at) && fraction < FRACTION_DIGITS && micros < INT64_MAX / 100) {
            micros = micros * 10 + (*at - '0');
            fraction += fraction >= 0;
        } else {
            return false;
        }
    }
    for (fraction = fraction < 0 ? 0 : fraction;
         fraction < FRACTION_DIGITS && micros < INT64_MAX / 100; fraction++)
        micros *= 10;
    *ret_micros = negative ? -micros : micros;
    memcpy(ret_currency, currency, 3);
    return true;
}

enum err run_log_create(const char *path, const char *kind, const char *run, size_t record_bytes,
    struct run_log **ret_log)
{
    struct run_log *log = malloc(sizeof *log);
    if (!log)
        return ERR_NO_MEMORY;
    *log = (struct run_log){.file = fopen(path, "wb"), .record_bytes = record_bytes};
    if (!log->file) {
        free(log);
        return ERR_DISK;
    }
    setvbuf(log->file, log->buffer, _IOFBF, sizeof log->buffer);
    struct header header = {.record_bytes = record_bytes, .started_us = run_log_now_us()};
    memcpy(header.kind, kind, sizeof header.kind);
    snprintf(header.run, sizeof header.run, "%s", run);
    log->failed = fwrite(&header, sizeof header, 1, log->file) != 1;
    *ret_log = log;
    return OK;
}

void run_log_write(struct run_log *log, const void *record)
{
    if (fwrite(record, log->record_bytes, 1, log->file) != 1)
        log->failed = true;
}

void run_log_flush(struct run_log *log)
{
    if (fflush(log->file) != 0)
        log->failed = true;
}

enum err run_log_close(struct run_log *log)
{
    if (!log)
        return OK;
    run_log_flush(log);
    bool failed = fclose(log->file) != 0 || log->failed;
    free(log);
    return failed ? ERR_DISK : OK;
}

enum err run_log_open(
    const char *path, const char *kind, size_t record_bytes, struct run_log_view *ret_view)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return ERR_NOT_FOUND;
    struct run_log_view view = {0};
    enum err result = ERR_DAMAGED;
    if (fstat(fd, &status) == 0 && status.st_size >= (off_t)sizeof(struct header)) {
        view.map_bytes = (size_t)status.st_size;
        view.map = mmap(NULL, view.map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        result = view.map == MAP_FAILED ? ERR_NO_MEMORY : OK;
    }
    close(fd);
    if (result)
        return result;
    const struct header *header = view.map;
    if (memcmp(header->kind, kind, sizeof header->kind) != 0 ||
        header->record_bytes != record_bytes) {
        munmap(view.map, view.map_bytes);
        return ERR_DAMAGED;
    }
    memcpy(view.run, header->run, sizeof view.run);
    view.run[sizeof view.run - 1] = '\0';
    view.started_us = header->started_us;
    view.records = header + 1;
    view.count = (view.map_bytes - sizeof *header) / record_bytes;
    *ret_view = view;
    return OK;
}

void run_log_view_done(struct run_log_view *view)
{
    if (view->map)
        munmap(view->map, view->map_bytes);
    *view = (struct run_log_view){0};
}
