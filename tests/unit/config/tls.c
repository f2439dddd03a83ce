/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the two listeners. */
#include "base/cleanup.h"
#include "unit/config/fixture.h"

TestSuite(tls_options);

#define TLS "PENSTOCK_INGRESS__TLS_LISTEN=*:8443"
#define PAIR "PENSTOCK_INGRESS__CERTIFICATE_FILE=/c.pem", "PENSTOCK_INGRESS__KEY_FILE=/k.pem"
#define FOLLOWER \
    "PENSTOCK_ROLES=ingress", "PENSTOCK_QUEUE__KIND=rabbitmq", "PENSTOCK_LEADER__TOKEN_FILE=/token"

Test(tls_options, those_that_do_not_fit_together_are_refused)
{
    static const struct {
        const char *variables[7], *complaint; /* NULL: fine */
    } cases[] = {
        {{TLS, PAIR}, NULL},
        {{TLS, PAIR, "PENSTOCK_INGRESS__LISTEN="}, NULL},
        {{TLS, "PENSTOCK_INGRESS__CERTIFICATE_FILE=/a.pem, /b.pem",
             "PENSTOCK_INGRESS__KEY_FILE=/a.key,/b.key"},
            NULL},
        {{"PENSTOCK_INGRESS__LISTEN="}, "PENSTOCK_INGRESS__LISTEN: must not be empty without"},
        {{TLS}, "ingress.certificate_file: is missing"},
        {{TLS, "PENSTOCK_INGRESS__CERTIFICATE_FILE=/c.pem"}, "ingress.key_file: is missing"},
        {{TLS, "PENSTOCK_INGRESS__CERTIFICATE_FILE=/a.pem,/b.pem",
             "PENSTOCK_INGRESS__KEY_FILE=/a.key"},
            "PENSTOCK_INGRESS__KEY_FILE: names 1 files, and ingress.certificate_file names 2"},
        {{"PENSTOCK_INGRESS__CLIENT_CA_FILE=/ca.pem"},
            "PENSTOCK_INGRESS__CLIENT_CA_FILE: has no effect without ingress.tls_listen"},
        {{"PENSTOCK_ADMIN__CERTIFICATE_FILE=/c.pem"},
            "PENSTOCK_ADMIN__CERTIFICATE_FILE: has no effect without admin.tls_listen"},
        {{"PENSTOCK_INGRESS__TLS_LISTEN=127.0.0.1:8080", PAIR},
            "PENSTOCK_INGRESS__TLS_LISTEN: is the address of ingress.listen as well"},
        {{"PENSTOCK_INGRESS__TLS_LISTEN=127.0.0.1:9640", PAIR},
            "admin.listen: is the address of ingress.tls_listen as well"},
        {{"PENSTOCK_INGRESS__TLS_LISTEN=127.0.0.1:0", PAIR, "PENSTOCK_ADMIN__LISTEN=127.0.0.1:0"},
            NULL},
        {{"PENSTOCK_ADMIN__LISTEN="}, "PENSTOCK_ADMIN__LISTEN: must be host:port"},
        {{"PENSTOCK_LEADER__CA_FILE=/ca"}, "PENSTOCK_LEADER__CA_FILE: has no effect"},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://127.0.0.1:9640"}, NULL},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://[::1]:9640"}, NULL},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://Localhost"}, NULL},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://10.0.0.1:9640"},
            "PENSTOCK_LEADER__URL: must begin with https://"},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://127.0.0.1.example:9640"},
            "PENSTOCK_LEADER__URL: must begin with https://"},
        {{FOLLOWER, "PENSTOCK_LEADER__URL=http://127.0.0.1@leader:9640"},
            "PENSTOCK_LEADER__URL: must begin with"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct loaded loaded = load_environment(cases[i].variables);
        if (cases[i].complaint)
            cr_expect(loaded.complaints.data && strncmp(loaded.complaints.data, cases[i].complaint,
                                                    strlen(cases[i].complaint)) == 0,
                "%zu: %s", i, loaded.complaints.data);
        else
            cr_expect_eq(loaded.result, OK, "%zu: %s", i, loaded.complaints.data);
        loaded_done(&loaded);
    }
}
