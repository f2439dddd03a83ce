/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of one name, in the order in which they should be tried. */
#ifndef PENSTOCK_CLIENT_ADDRESS_SET_H
#define PENSTOCK_CLIENT_ADDRESS_SET_H

#include "base/err.h"

#include <netinet/in.h>

/* As many as a request may try before its time for connecting is up. */
#define ADDRESS_SET_MAX 8

union address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

struct address_set {
    enum err error; /* ERR_NAME_LOOKUP and the like: then there are none */
    unsigned count;
    union address items[ADDRESS_SET_MAX];
};

#endif
