/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock data`: works on a data directory while no gateway runs on it. */
#include "base/cleanup.h"
#include "base/memory.h"
#include "cli/remote.h"
#include "main/accept_loss.h"
#include "main/commands.h"
#include "main/data_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

int command_accept_loss(const struct invocation *call)
{
    const char *file = call->words[0], *note = call->flags[FLAG_REASON], *problem = NULL;
    char directory[4001];
    if (!*note || strlen(note) > ACTION_NOTE_BYTES_MAX)
        return command_fail(ERR_USAGE,
            "data accept-loss: --reason has %zu bytes: give the reason in 1 to %d bytes, for the "
            "readers of the audit",
            strlen(note), ACTION_NOTE_BYTES_MAX);
    enum err err = remote_directory(call, directory, sizeof directory);
    if (err)
        return err_exit_code(err);
    struct buffer complaints = BUFFER_EMPTY;
    AUTO_FREE struct installation *installation = memory_new(sizeof *installation);
    umask(0077);
    err = data_directory_look(directory, installation, &problem, &complaints);
    if (!err || err == ERR_NOT_FOUND) {
        err = accept_loss(installation, problem, file, note, &complaints);
        data_directory_close(installation);
    }
    if (complaints.len)
        fwrite(complaints.data, 1, complaints.len, stderr);
    buffer_done(&complaints);
    if (err)
        return command_fail(err, "data accept-loss: nothing was changed (%s)", err_title(err));
    fprintf(
        stderr, "The loss of %s is accepted, and the audit lists it. Start the gateway.\n", file);
    return EX_OK;
}
