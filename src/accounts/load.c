/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts/load.h"

#include "accounts/account_endpoints.h"

#include <stdio.h>

struct loading {
    struct directory *directory;
    char *detail;
};

static enum err publish(const struct loading *loading, struct directory_entry *entry)
{
    if (!entry) {
        snprintf(loading->detail, STORE_DETAIL_BYTES, "out of memory");
        return ERR_NO_MEMORY;
    }
    directory_publish(loading->directory, entry);
    return OK;
}

static enum err on_partner(const struct partner *partner, void *context)
{
    return publish(context, directory_entry_of_partner(partner));
}

static enum err on_account(const struct account *account, void *context)
{
    return publish(context, directory_entry_of_account(account));
}

/* Its account is published anew with each endpoint; nobody reads yet, and sixteen copies are soon
 * freed. */
static enum err on_endpoint(const struct endpoint *endpoint, void *context)
{
    const struct loading *loading = context;
    const struct account *present =
        directory_account(loading->directory, slice_from_string(endpoint->account));
    if (!present || present->endpoints_count >= ACCOUNT_ENDPOINTS_MAX) {
        snprintf(loading->detail, STORE_DETAIL_BYTES,
            "accounts.db can't be read: an endpoint's account %s is %s", endpoint->account,
            present ? "full" : "not there");
        return ERR_DAMAGED;
    }
    struct account account = *present;
    account_endpoints_put(&account, endpoint);
    enum err error = publish(loading, directory_entry_of_endpoint(endpoint));
    return error ? error : publish(loading, directory_entry_of_account(&account));
}

static enum err on_credential(const struct credential *credential, void *context)
{
    return publish(context, directory_entry_of_credential(credential));
}

static enum err on_grant(const char *partner, const char *account, void *context)
{
    return publish(context, directory_entry_of_grant(partner, account));
}

enum err accounts_load_directory(
    struct accounts_store *store, struct directory *directory, char *ret_detail)
{
    struct loading loading = {.directory = directory, .detail = ret_detail};
    struct store_visitor visitor = {.on_partner = on_partner,
        .on_account = on_account,
        .on_endpoint = on_endpoint,
        .on_credential = on_credential,
        .on_grant = on_grant,
        .context = &loading};
    ret_detail[0] = '\0';
    enum err error = accounts_store_load(store, &visitor);
    if (error && !ret_detail[0])
        snprintf(ret_detail, STORE_DETAIL_BYTES, "accounts.db can't be read: %.200s",
            accounts_store_detail(store));
    directory_free_retired(directory);
    return error;
}
