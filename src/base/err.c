/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <string.h>

static const struct {
    const char *name;
    const char *title;
    enum err_kind kind;
    int http_status;
    int exit_code;
} catalogue[ERR_COUNT] = {
#define X(symbol, name_, kind_, status_, exit_code_, title_) \
    [symbol] = {.name = name_,                               \
        .title = title_,                                     \
        .kind = ERR_KIND_##kind_,                            \
        .http_status = status_,                              \
        .exit_code = exit_code_},
    ERR_TABLE(X)
#undef X
};

static enum err known(enum err e)
{
    return (unsigned)e < ERR_COUNT ? e : ERR_BUG;
}

const char *err_name(enum err e)
{
    return catalogue[known(e)].name;
}

const char *err_title(enum err e)
{
    return catalogue[known(e)].title;
}

enum err_kind err_kind(enum err e)
{
    return catalogue[known(e)].kind;
}

int err_http_status(enum err e)
{
    return catalogue[known(e)].http_status;
}

int err_exit_code(enum err e)
{
    return catalogue[known(e)].exit_code;
}

enum err err_from_name(const char *name)
{
    for (int e = 0; e < ERR_COUNT; e++)
        if (strcmp(catalogue[e].name, name) == 0)
            return (enum err)e;
    return ERR_BUG;
}
