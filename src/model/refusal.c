/* SPDX-License-Identifier: Apache-2.0 */
#include "model/refusal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void field_problems_add(struct field_problems *problems, const char *pointer, const char *detail)
{
    if (problems->count == FIELD_PROBLEMS_MAX)
        return;
    struct field_problem *problem = &problems->list[problems->count];
    snprintf(problem->pointer, sizeof problem->pointer, "%s", pointer);
    for (unsigned i = 0; i < problems->count; i++)
        if (strcmp(problems->list[i].pointer, problem->pointer) == 0)
            return;
    snprintf(problem->detail, sizeof problem->detail, "%s", detail);
    problems->count++;
}

enum err refuse(struct refusal *ret_refusal, enum err error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_refusal->detail, sizeof ret_refusal->detail, format, args);
    va_end(args);
    ret_refusal->error = error;
    ret_refusal->problems.count = 0;
    return error;
}

enum err refuse_field(
    struct refusal *ret_refusal, enum err error, const char *pointer, const char *problem)
{
    refuse(ret_refusal, error, CORRECT_THE_FIELDS);
    field_problems_add(&ret_refusal->problems, pointer, problem);
    return error;
}

enum err refuse_json_at(struct refusal *ret_refusal, size_t at, const char *problem)
{
    return refuse(ret_refusal, ERR_MALFORMED_JSON, "At byte %zu: %s. Correct it and send it again.",
        at, problem);
}
