/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts in a directory of their own, and one call per action. */
#ifndef PENSTOCK_TESTS_UNIT_ACCOUNTS_FIXTURE_H
#define PENSTOCK_TESTS_UNIT_ACCOUNTS_FIXTURE_H

#include "accounts/accounts.h"

#include <criterion/criterion.h>

extern char data_directory[64]; /* made by fixture_begin */
extern struct accounts *accounts;
extern char open_detail[256];

void fixture_begin(void); /* makes the directory, adopts the thread, opens nothing */
void fixture_end(void);   /* stops what is open, removes the directory */

enum err open_accounts(void); /* into `accounts` */
void begin_with_accounts(void);
void close_accounts(void);

/* Each is one request; `last` is its answer. */
extern struct accounts_request last;
enum err call_accounts(const struct accounts_request *request);
enum err add_partner(const char *partner);
enum err add_account(const char *account);
enum err add_credential(const char *partner, const char *key);
enum err grant(const char *partner, const char *account);
enum err add_endpoint(const char *account, const char *name, const char *url);
enum err withdraw_grant(const char *partner, const char *account);
enum err change_partner(
    const char *partner, unsigned changes, bool enabled, const char *key_pointer);
enum err change_endpoint(
    const char *account, uint64_t endpoint, unsigned changes, const struct endpoint *wanted);

/* What `sql` gives as one number, on a connection of its own. */
int64_t query_number(const char *sql);
void execute_sql(const char *sql);

#endif
