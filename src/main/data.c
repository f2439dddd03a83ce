/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock data`: what is done to a data directory on which no gateway runs. */
#include "main/data_files.h"
#include "main/installation.h"
#include "main/remote.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

int command_data_accept_loss(const struct invocation *call)
{
    const char *file = call->words[0], *note = call->flags[FLAG_NOTE], *problem = NULL;
    char directory[4001];
    if (!note || !*note || strlen(note) > ACTION_NOTE_BYTES_MAX)
        return command_fail(ERR_USAGE,
            "data accept-loss: say why with --note TEXT (1 to %d bytes), for those who read the "
            "audit",
            ACTION_NOTE_BYTES_MAX);
    json_t *text = json_string(note); /* NULL: not UTF-8 */
    json_decref(text);
    if (!text)
        return command_fail(ERR_USAGE, "data accept-loss: write --note in UTF-8");
    enum err failed = remote_directory(call, directory, sizeof directory);
    if (failed)
        return err_exit_code(failed);
    struct buffer complaints = BUFFER_EMPTY;
    struct installation *installation = malloc(sizeof *installation);
    umask(0077);
    failed = installation ? installation_look(directory, installation, &problem, &complaints)
                          : ERR_NO_MEMORY;
    if (!failed || failed == ERR_NOT_FOUND) {
        failed = data_files_accept(installation, problem, file, note, &complaints);
        installation_close(installation);
    }
    free(installation);
    if (complaints.len)
        fwrite(complaints.data, 1, complaints.len, stderr);
    buffer_done(&complaints);
    if (failed)
        return command_fail(failed, "nothing was given up: %s", err_title(failed));
    fprintf(stderr, "%s was given up; the audit names it. Start the gateway\n", file);
    return EX_OK;
}
