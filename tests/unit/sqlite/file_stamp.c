/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite/file_stamp.h"
#include "support/at_end.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/penstock-stamp-XXXXXX", path[128], detail[FILE_STAMP_DETAIL_BYTES];

static const struct file_stamp made = {.installation = "11111111111111111111111111111111",
    .file = "journal-0.db",
    .id = "22222222222222222222222222222222",
    .seed = "33333333333333333333333333333333",
    .partitions = 16,
    .shards = 2,
    .epoch = 7};

static void set_up(void)
{
    cr_assert(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a?b#c%%.db", directory); /* means something in a URI */
}

static void tear_down(void)
{
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", directory);
    assert_at_end(system(command) == 0);
}

TestSuite(file_stamp, .init = set_up, .fini = tear_down);

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
}

Test(file_stamp, what_is_made_is_read_and_only_the_epoch_moves)
{
    struct file_stamp stamp;
    cr_assert_eq(file_stamp_make(path, &made, detail), OK, "%s", detail);
    cr_assert_eq(file_stamp_read(path, &stamp, detail), OK, "%s", detail);
    cr_expect_str_eq(stamp.installation, made.installation);
    cr_expect_str_eq(stamp.file, made.file);
    cr_expect_str_eq(stamp.id, made.id);
    cr_expect_str_eq(stamp.seed, made.seed);
    cr_expect(stamp.partitions == 16 && stamp.shards == 2 && stamp.epoch == 7);
    for (int into_file = 0; into_file <= 1; into_file++) {
        cr_assert_eq(
            file_stamp_set_epoch(path, 8 + into_file, into_file, detail), OK, "%s", detail);
        cr_assert_eq(file_stamp_read(path, &stamp, detail), OK, "%s", detail);
        cr_expect_eq(stamp.epoch, 8 + into_file);
        cr_expect_str_eq(stamp.id, made.id);
        char wal[160];
        snprintf(wal, sizeof wal, "%s-wal", path);
        cr_expect_eq(access(wal, F_OK) == 0, !into_file, "a WAL is left, or gone into the file");
    }
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
}

Test(file_stamp, without_its_wal_the_file_has_the_epoch_before)
{
    struct file_stamp stamp;
    char wal[160];
    snprintf(wal, sizeof wal, "%s-wal", path);
    cr_assert_eq(file_stamp_make(path, &made, detail), OK);
    cr_assert_eq(file_stamp_set_epoch(path, 8, false, detail), OK);
    cr_assert_eq(unlink(wal), 0);
    cr_assert_eq(file_stamp_read(path, &stamp, detail), OK);
    cr_expect_eq(stamp.epoch, 7);
}

Test(file_stamp, a_wal_of_another_file_is_found)
{
    char other[128], command[512];
    struct file_stamp another = made, stamp;
    memset(another.id, '4', sizeof another.id - 1);
    snprintf(other, sizeof other, "%s/other.db", directory);
    cr_assert_eq(file_stamp_make(path, &made, detail), OK);
    cr_assert_eq(file_stamp_make(other, &another, detail), OK);
    cr_assert_eq(file_stamp_set_epoch(other, 8, false, detail), OK);
    snprintf(command, sizeof command, "mv '%s-wal' '%s-wal'", other, path);
    cr_assert_eq(system(command), 0);
    cr_expect_eq(file_stamp_read(path, &stamp, detail), ERR_DAMAGED);
    cr_expect(strstr(detail, "-wal"), "%s", detail);
}

Test(file_stamp, what_is_no_file_of_ours_is_refused_and_nothing_is_made_beside_it)
{
    struct file_stamp stamp;
    cr_expect_eq(file_stamp_read(path, &stamp, detail), ERR_NOT_FOUND);
    write_file(path, "");
    cr_expect_eq(file_stamp_read(path, &stamp, detail), ERR_DAMAGED);
    write_file(path, "this is no database, and longer than the head of one: "
                     "0123456789012345678901234567890123456789012345");
    cr_expect_eq(file_stamp_read(path, &stamp, detail), ERR_DAMAGED);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_expect_eq(file_stamp_read(path, &stamp, detail), ERR_DAMAGED);
    cr_expect_str_eq(detail, "it is a directory");
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(rmdir(directory), 0, "nothing was made");
    cr_assert_eq(mkdir(directory, 0700), 0);
}

Test(file_stamp, a_file_that_was_cut_is_refused)
{
    struct file_stamp stamp;
    cr_assert_eq(file_stamp_make(path, &made, detail), OK);
    cr_assert_eq(truncate(path, 4096), 0);
    cr_expect_eq(file_stamp_read(path, &stamp, detail), ERR_DAMAGED);
}
