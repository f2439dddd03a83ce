/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a request of a partner or an operator is rejected: the error, a sentence that says what to
 * do, and the fields that are wrong. The caller turns it into an answer, or into a result in a list
 * (http/problem.h).
 */
#ifndef PENSTOCK_MODEL_REFUSAL_H
#define PENSTOCK_MODEL_REFUSAL_H

#include "base/err.h"
#include "base/limits.h"

#include <stddef.h>

#define FIELD_PROBLEMS_MAX 8

struct field_problem {
    char pointer[KEY_POINTER_BYTES_MAX + 1]; /* RFC 6901 */
    char detail[128];
};

struct field_problems {
    unsigned count;
    struct field_problem list[FIELD_PROBLEMS_MAX];
};

/* Adds a problem, unless the list is full or already has the pointer. */
void field_problems_add(struct field_problems *problems, const char *pointer, const char *detail);

struct refusal {
    enum err error;
    char detail[200];
    struct field_problems problems;
};

/* All return the error, so that a check can end with one of them. Without a field, and with one. */
enum err refuse(struct refusal *ret_refusal, enum err error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
enum err refuse_field(
    struct refusal *ret_refusal, enum err error, const char *pointer, const char *problem);
/* ERR_MALFORMED_JSON with a problem of the text, such as "a string is not closed". */
enum err refuse_json_at(struct refusal *ret_refusal, size_t at, const char *problem);

#define CORRECT_THE_FIELDS "Correct the fields under errors and send the event again."

#endif
