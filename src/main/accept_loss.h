/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses of files that an operator accepts (penstock data accept-loss). installation.json keeps
 * them, the audit names them for all days up to then, and the next start makes a new file. The old
 * file is renamed, not deleted.
 */
#ifndef PENSTOCK_MAIN_ACCEPT_LOSS_H
#define PENSTOCK_MAIN_ACCEPT_LOSS_H

#include "base/buffer.h"

struct installation;

/*
 * Accepts the loss of a file that is missing or wrong, for the reason in `note`. `problem` says
 * what is wrong with installation.json, or is NULL; installation.json is then made again from the
 * stamps of the files. ERR_USAGE: nothing is wrong with the file, or its loss cannot be accepted.
 * Other errors are the disk's.
 */
enum err accept_loss(struct installation *installation, const char *problem, const char *file,
    const char *note, struct buffer *complaints) MUST_CHECK;

#endif
