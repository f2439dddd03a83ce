/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict/verdict.h"

#include "base/cleanup.h"
#include "verdict/join.h"
#include "verdict/judge.h"
#include "verdict/usage.h"

#include <stdio.h>

static enum err explain(enum err result, const char *input, const char *detail, char *ret_problem)
{
    if (result)
        snprintf(ret_problem, VERDICT_PROBLEM_BYTES, "%s: %s", input,
            *detail ? detail : err_title(result));
    return result;
}

static enum err read_loads(
    const struct options *options, struct keys *keys, struct figures *figures, char *ret_problem)
{
    struct run_log_view views[OPTIONS_FILES_MAX] = {0};
    size_t count = options->load_files_count;
    enum err result = OK;
    for (size_t i = 0; i < count && !result; i++)
        result = explain(
            run_log_open(options->load_files[i], LOAD_LOG, sizeof(struct load_record), &views[i]),
            options->load_files[i], "", ret_problem);
    if (!result)
        series_begin(&figures->series, join_load_start_us(views, count));
    for (size_t i = 0; i < count && !result; i++)
        result =
            explain(join_load(&views[i], keys, figures), options->load_files[i], "", ret_problem);
    for (size_t i = 0; i < count; i++)
        run_log_view_done(&views[i]);
    return result;
}

static enum err read_sinks(
    const struct options *options, struct keys *keys, struct figures *figures, char *ret_problem)
{
    struct run_log_view views[OPTIONS_FILES_MAX] = {0};
    enum err result = OK;
    for (size_t i = 0; i < options->sink_files_count && !result; i++) {
        result =
            run_log_open(options->sink_files[i], SINK_LOG, sizeof(struct sink_record), &views[i]);
        explain(result, options->sink_files[i], "", ret_problem);
    }
    if (!result) {
        result = join_sinks(views, options->sink_files_count, keys, figures);
        explain(result, "the sink logs", "", ret_problem);
    }
    for (size_t i = 0; i < options->sink_files_count; i++)
        run_log_view_done(&views[i]);
    return result;
}

static enum err read_all(
    const struct options *options, struct keys *keys, struct figures *figures, char *ret_problem)
{
    enum err result = read_loads(options, keys, figures, ret_problem);
    if (!result && options->data) {
        char detail[JOIN_DETAIL_BYTES] = "";
        result = explain(
            join_journal(options->data, keys, figures, detail), options->data, detail, ret_problem);
    }
    if (!result)
        result = read_sinks(options, keys, figures, ret_problem);
    if (!result && options->usage_file)
        result = explain(
            usage_read(options->usage_file, &figures->usage), options->usage_file, "", ret_problem);
    return result;
}

enum err verdict_run(const struct options *options, struct figures **ret_figures,
    char ret_problem[VERDICT_PROBLEM_BYTES])
{
    struct keys keys;
    AUTO_FREE struct figures *figures = calloc(1, sizeof *figures);
    if (!figures)
        return explain(ERR_NO_MEMORY, "the figures", "", ret_problem);
    keys_init(&keys);
    figures->impacts.late_after_us =
        (int64_t)options->levels.values[LEVEL_FRESHNESS_P99_MAX].value; /* also when it is off */
    figures->target = options->target;
    figures->subsets_count = options->subsets_count;
    for (unsigned i = 0; i < options->subsets_count; i++)
        subset_init(&figures->subsets[i], &options->subsets[i]);
    enum err result = read_all(options, &keys, figures, ret_problem);
    if (!result) {
        figures_collect(figures, &keys);
        judge_figures(figures, &options->levels);
        *ret_figures = TAKE(figures);
    }
    keys_done(&keys);
    return result;
}

bool verdict_is_pass(const struct figures *figures)
{
    return figures->reasons_count == 0;
}
