/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/usage.h"

#include <jansson.h>
#include <unistd.h>

const char *usage_process_name(enum usage_process process)
{
    static const char *const names[USAGE_PROCESSES] = {[USAGE_GATEWAY] = "gateway",
        [USAGE_BROKER] = "broker",
        [USAGE_LOAD] = "load",
        [USAGE_SINK] = "sink"};
    return names[process];
}

/* Returns false when the member is there, but is not a number. */
static bool take_number(const json_t *object, const char *name, bool *ret_has, double *ret_number)
{
    const json_t *value = json_object_get(object, name);
    *ret_has = value && !json_is_null(value);
    if (!*ret_has)
        return true;
    *ret_number = json_number_value(value);
    return json_is_number(value);
}

static bool take_process(const json_t *object, struct usage_row *row)
{
    double rss = 0, syncs = 0;
    bool right = take_number(object, "cpu_seconds", &row->has_cpu, &row->cpu_seconds) &&
                 take_number(object, "peak_rss_bytes", &row->has_rss, &rss) &&
                 take_number(object, "syncs", &row->has_syncs, &syncs);
    row->peak_rss_bytes = (int64_t)rss;
    row->syncs = (int64_t)syncs;
    return right;
}

static bool take_usage(const json_t *root, struct usage *usage)
{
    bool has, right = json_is_object(root);
    double started = 0, ended = 0;
    const json_t *processes = json_object_get(root, "processes");
    right = right && take_number(root, "started_us", &has, &started) &&
            take_number(root, "ended_us", &has, &ended);
    usage->started_us = (int64_t)started;
    usage->ended_us = (int64_t)ended;
    for (unsigned i = 0; right && i < USAGE_PROCESSES; i++)
        right = take_process(json_object_get(processes, usage_process_name((enum usage_process)i)),
            &usage->processes[i]);
    return right;
}

enum err usage_read(const char *path, struct usage *ret_usage)
{
    if (access(path, R_OK) != 0)
        return ERR_NOT_FOUND;
    json_t *root = json_load_file(path, 0, NULL);
    struct usage usage = {.is_given = true};
    bool right = root && take_usage(root, &usage);
    json_decref(root);
    if (!right)
        return ERR_MALFORMED_JSON;
    *ret_usage = usage;
    return OK;
}
