/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/small_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/penstock-small-file-XXXXXX");
    cr_assert(mkdtemp(directory));
}

static void remove_directory(void)
{
    small_file_remove(directory, "a.json");
    rmdir(directory);
}

TestSuite(small_file, .init = make_directory, .fini = remove_directory);

Test(small_file, written_content_is_read_back_and_only_the_owner_may_read_it)
{
    struct buffer content = BUFFER_EMPTY;
    char path[128];
    struct stat status;
    cr_assert_eq(small_file_write(directory, "a.json", slice_from_string("first")), OK);
    cr_assert_eq(small_file_write(directory, "a.json", slice_from_string("second")), OK);
    cr_assert_eq(small_file_read(directory, "a.json", 6, &content), OK);
    cr_expect(slice_equals_string(buffer_slice(&content), "second"));
    snprintf(path, sizeof path, "%s/a.json", directory);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    buffer_clear(&content);
    cr_expect_eq(small_file_read("", path, 6, &content), OK, "a path without a directory");
    buffer_done(&content);
}

Test(small_file, missing_large_and_wrong_files_are_distinguished)
{
    struct buffer content = BUFFER_EMPTY;
    cr_expect_eq(small_file_read(directory, "none", 10, &content), ERR_NOT_FOUND);
    cr_expect_eq(small_file_read("/", "tmp", 10, &content), ERR_DAMAGED);
    cr_assert_eq(small_file_write(directory, "a.json", slice_from_string("seven b")), OK);
    cr_expect_eq(small_file_read(directory, "a.json", 6, &content), ERR_TOO_LARGE);
    cr_expect_eq(small_file_write("/does/not/exist", "a.json", slice_from_string("x")), ERR_SYSTEM);
    buffer_done(&content);
}

Test(small_file, removing_a_file_that_does_not_exist_is_no_error)
{
    struct buffer content = BUFFER_EMPTY;
    cr_assert_eq(small_file_write(directory, "a.json", slice_from_string("x")), OK);
    small_file_remove(directory, "a.json");
    small_file_remove(directory, "a.json");
    cr_expect_eq(small_file_read(directory, "a.json", 6, &content), ERR_NOT_FOUND);
    buffer_done(&content);
}
