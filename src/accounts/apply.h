/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a leader's page to a follower's database and directory. Only accounts.c includes this. */
#ifndef PENSTOCK_ACCOUNTS_APPLY_H
#define PENSTOCK_ACCOUNTS_APPLY_H

#include "accounts/directory_publish.h"
#include "accounts/store.h"

/*
 * One transaction, then the publications; with the last page of all, what no page has brought is
 * taken out. `page` gets more objects by that. On the accounts thread, offline. `ret_detail`
 * (STORE_DETAIL_BYTES) says what is wrong.
 */
enum err apply_page(struct accounts_store *store, struct directory *directory,
    struct accounts_page *page, char *ret_detail) MUST_CHECK;

#endif
