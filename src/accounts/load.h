/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the directory from accounts.db, once, when both are opened. Only accounts.c includes
 * this. */
#ifndef PENSTOCK_ACCOUNTS_LOAD_H
#define PENSTOCK_ACCOUNTS_LOAD_H

#include "accounts/directory_publish.h"
#include "accounts/store.h"

/* On the writer's thread. ERR_DAMAGED, ERR_DISK, ERR_NO_MEMORY; `ret_detail` (STORE_DETAIL_BYTES)
 * says what is wrong. / */
enum err accounts_load_directory(
    struct accounts_store *store, struct directory *directory, char *ret_detail) MUST_CHECK;

#endif
