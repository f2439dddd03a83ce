/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/config/fixture.h"

#include "base/cleanup.h"

#include <stdio.h>

static void strip_name(struct buffer *complaints, const char *file)
{
    struct buffer stripped = BUFFER_EMPTY;
    size_t file_len = strlen(file);
    for (char *at = complaints->data; at && *at;) {
        char *end = strchr(at, '\n') + 1;
        cr_assert(strncmp(at, file, file_len) == 0 && at[file_len] == ':', "no file name: %s", at);
        buffer_add(&stripped, at + file_len + 1, (size_t)(end - at) - file_len - 1);
        at = end;
    }
    buffer_done(complaints);
    *complaints = stripped;
}

struct loaded load_bytes(const char *yaml, size_t len)
{
    char file[] = "/tmp/penstock-test-XXXXXX";
    int fd = mkstemp(file);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, yaml, len), (ssize_t)len);
    close(fd);
    struct loaded loaded = {.complaints = BUFFER_EMPTY};
    config_defaults(&loaded.config);
    loaded.result = config_load(file, NULL, &loaded.config, &loaded.complaints);
    unlink(file);
    strip_name(&loaded.complaints, file);
    return loaded;
}

struct loaded load_text(const char *yaml)
{
    return load_bytes(yaml, strlen(yaml));
}

struct loaded load_environment(const char *const *variables)
{
    struct loaded loaded = {.complaints = BUFFER_EMPTY};
    config_defaults(&loaded.config);
    loaded.result = config_load(NULL, (char *const *)variables, &loaded.config, &loaded.complaints);
    return loaded;
}

void loaded_done(struct loaded *loaded)
{
    buffer_done(&loaded->complaints);
}
