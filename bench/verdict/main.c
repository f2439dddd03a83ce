/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "verdict/report.h"
#include "verdict/verdict.h"

#include <sysexits.h>

enum { EXIT_PASS = 0, EXIT_FAIL = 1 };

static int exit_code(enum err result)
{
    return result == ERR_NO_MEMORY ? err_exit_code(result) : EX_NOINPUT;
}

int main(int argc, char **argv)
{
    struct options options;
    char problem[VERDICT_PROBLEM_BYTES];
    AUTO_FREE struct figures *figures = NULL;
    enum err result = verdict_options_parse(argc, argv, &options);
    if (result)
        return err_exit_code(result);
    result = verdict_run(&options, &figures, problem);
    if (result) {
        fprintf(stderr, "penstock-verdict: %s\n", problem);
        return exit_code(result);
    }
    result = options.json ? report_json(stdout, figures, &options.levels)
                          : report_text(stdout, figures, &options.levels, !options.details);
    if (result) {
        fprintf(
            stderr, "penstock-verdict: the report could not be written: %s\n", err_title(result));
        return err_exit_code(result);
    }
    return verdict_is_pass(figures) ? EXIT_PASS : EXIT_FAIL;
}
