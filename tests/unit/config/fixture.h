/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration loaded from a text or an environment, with what was complained about. */
#ifndef PENSTOCK_TESTS_UNIT_CONFIG_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_CONFIG_FIXTURE_H

#include "config/config.h"

#include <criterion/criterion.h>

struct loaded {
    struct config config;
    enum err result;
    struct buffer
        complaints; /* every one begins with the file's name, which is taken off: `12:9: ...` */
};

struct loaded load_text(const char *yaml);
struct loaded load_bytes(const char *yaml, size_t len);
struct loaded load_environment(const char *const *variables);
void loaded_done(struct loaded *loaded);

#define ASSERT_COMPLAINTS(loaded, expected, ...)                           \
    do {                                                                   \
        cr_assert_eq((loaded).result, ERR_CONFIG);                         \
        cr_assert_str_eq((loaded).complaints.data, expected, __VA_ARGS__); \
    } while (0)

#endif
