/* SPDX-License-Identifier: Apache-2.0 */
/* Through SQLite's own way to the files, so that whoever stands in for the disk stands in for it
 * here as well. */
#include "journal/wal_file.h"

#include "journal/sql.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES \
    (64 * 1024) /* SQLite writes less than 128 KiB at a time: more would read as a full disk */

static int write_onto_itself(sqlite3_file *file, char *piece)
{
    sqlite3_int64 size = 0;
    int code = file->pMethods->xFileSize(file, &size);
    for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += PIECE_BYTES) {
        int len = size - at < PIECE_BYTES ? (int)(size - at) : PIECE_BYTES;
        code = file->pMethods->xRead(file, piece, len, at);
        if (code == SQLITE_OK)
            code = file->pMethods->xWrite(file, piece, len, at);
    }
    return code == SQLITE_OK && size > 0 ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : code;
}

enum err wal_file_make_durable(const char *path)
{
    char name[4096 + 8] = ""; /* two zeros behind it, as SQLite promises its VFS */
    int exists = 0;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs)
        return ERR_NO_MEMORY;
    snprintf(name, sizeof name - 2, "%s-wal", path);
    if (vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &exists) != SQLITE_OK || !exists)
        return OK;
    sqlite3_file *file =
        calloc(1, (size_t)vfs->szOsFile + PIECE_BYTES); /* and behind it the piece */
    if (!file)
        return ERR_NO_MEMORY;
    int code = vfs->xOpen(vfs, name, file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, NULL);
    if (code == SQLITE_OK)
        code = write_onto_itself(file, (char *)file + vfs->szOsFile);
    if (file->pMethods)
        file->pMethods->xClose(file);
    free(file);
    return sql_err(NULL, code);
}
