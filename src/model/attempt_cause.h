/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an attempt did not deliver, for people: a stable code, what happened, and what to do.
 *
 * The client (client/explain.c) knows the exact cause when there is no answer, and records it with
 * the attempt. For an answer, the cause follows from its status. The code is in the admin API, in
 * lists and in the log. etc/doc/causes.md lists all codes, and a test compares it with this table.
 *
 * Codes are stored in journals: a code never changes its meaning.
 */
#ifndef PENSTOCK_MODEL_ATTEMPT_CAUSE_H
#define PENSTOCK_MODEL_ATTEMPT_CAUSE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* What follows the words about what happened. */
enum cause_detail {
    DETAIL_NONE,
    DETAIL_PEER,    /* the address */
    DETAIL_TLS,     /* what OpenSSL says, and the certificate; without it, the words of the table */
    DETAIL_SECONDS, /* how long the attempt took */
    DETAIL_STATUS,  /* of the answer */
    DETAIL_LOCATION, /* of a redirect */
    DETAIL_RULE      /* the part of the success rule that is not met */
};

/* symbol, code, detail, what happened, what to do */
#define ATTEMPT_CAUSE_TABLE(X)                                                                     \
    X(CAUSE_NONE, "none", DETAIL_NONE, "it was delivered", "Nothing")                              \
    X(CAUSE_URL, "url", DETAIL_NONE, "the URL cannot be used", "Correct the URL of the endpoint")  \
    X(CAUSE_ADDRESS_REFUSED, "address-refused", DETAIL_NONE,                                       \
        "the address of the host is not allowed",                                                  \
        "Use a public address, or allow the network in delivery.allow_networks")                   \
    X(CAUSE_DNS_NO_NAME, "dns-no-such-name", DETAIL_NONE, "DNS: the host name does not exist",     \
        "Ask the client for the right host name, and change the URL of the endpoint")              \
    X(CAUSE_DNS_NO_ADDRESS, "dns-no-address", DETAIL_NONE, "DNS: the host name has no address",    \
        "Ask the client to add an address (A or AAAA record) to the name")                         \
    X(CAUSE_DNS_NO_ANSWER, "dns-no-answer", DETAIL_NONE,                                           \
        "DNS: the name servers of the host do not answer",                                         \
        "Ask the client to repair its name servers")                                               \
    X(CAUSE_DNS_FAILED, "dns-failed", DETAIL_NONE,                                                 \
        "DNS: the name servers of the host answer with an error",                                  \
        "Ask the client to repair its name servers")                                               \
    X(CAUSE_CONNECT_REFUSED, "connect-refused", DETAIL_PEER, "connection refused by",              \
        "Ask the client to start its server, or to open its firewall")                             \
    X(CAUSE_CONNECT_RESET, "connect-reset", DETAIL_PEER, "connection reset by",                    \
        "Ask the client whether its server or firewall closes connections")                        \
    X(CAUSE_CONNECT_NO_ROUTE, "connect-no-route", DETAIL_PEER, "no route to",                      \
        "Ask the client whether this address is right, and whether its network is up")             \
    X(CAUSE_CONNECT_TIMEOUT, "connect-timeout", DETAIL_PEER, "no connection in time to",           \
        "Ask the client whether its server is up, and whether its firewall lets this gateway in")  \
    X(CAUSE_CONNECT_FAILED, "connect-failed", DETAIL_PEER, "no connection to",                     \
        "Ask the client whether its server is up")                                                 \
    X(CAUSE_TLS_EXPIRED, "tls-expired", DETAIL_TLS, "the certificate has expired",                 \
        "Ask the client to renew the certificate")                                                 \
    X(CAUSE_TLS_NOT_YET_VALID, "tls-not-yet-valid", DETAIL_TLS,                                    \
        "the certificate is not yet valid",                                                        \
        "Check the clock of this machine. If it is right, ask the client for a valid certificate") \
    X(CAUSE_TLS_UNKNOWN_CA, "tls-unknown-ca", DETAIL_TLS,                                          \
        "the CA of the certificate is not known",                                                  \
        "Ask the client to send the whole chain. For a private CA, set tls.ca in the policy")      \
    X(CAUSE_TLS_SELF_SIGNED, "tls-self-signed", DETAIL_TLS, "the certificate is self-signed",      \
        "Ask the client for a certificate of a CA, or set tls.ca in the policy of the endpoint")   \
    X(CAUSE_TLS_WRONG_NAME, "tls-wrong-name", DETAIL_TLS, "the certificate is for another name",   \
        "Ask the client for a certificate of this host name, or correct the URL")                  \
    X(CAUSE_TLS_NO_NAME, "tls-no-name", DETAIL_TLS,                                                \
        "the certificate has no alternative name (SAN)",                                           \
        "Ask the client for a certificate with its host name as alternative name (SAN)")           \
    X(CAUSE_TLS_CERTIFICATE, "tls-certificate", DETAIL_TLS, "the certificate is not valid",        \
        "Ask the client to correct its certificate")                                               \
    X(CAUSE_TLS_NOT_TLS, "tls-not-tls", DETAIL_TLS, "no TLS at this port",                         \
        "Ask the client for the right port, and change the URL of the endpoint")                   \
    X(CAUSE_TLS_VERSION, "tls-version", DETAIL_TLS, "no common version of TLS",                    \
        "Ask the client to support TLS 1.2 or 1.3")                                                \
    X(CAUSE_TLS_OUR_CERTIFICATE, "tls-our-certificate", DETAIL_TLS,                                \
        "the client rejects our certificate, or asks for one",                                     \
        "Ask the client which certificate it expects, and set it in the policy (tls.certificate)") \
    X(CAUSE_TLS_OUR_SETTINGS, "tls-our-settings", DETAIL_TLS,                                      \
        "the certificate, key or CA in the policy cannot be used",                                 \
        "Correct the member tls in the policy of the endpoint")                                    \
    X(CAUSE_TLS_FAILED, "tls-failed", DETAIL_TLS, "the handshake failed",                          \
        "Show the client this text: its server ended the handshake")                               \
    X(CAUSE_SEND, "send", DETAIL_PEER, "the connection was lost before the request was sent to",   \
        "It is sent again. If it happens often, ask the client whether its server restarts")       \
    X(CAUSE_ANSWER_LOST, "answer-lost", DETAIL_NONE,                                               \
        "the connection was closed before the answer",                                             \
        "Ask the client whether its server or proxy restarts, or closes connections early")        \
    X(CAUSE_ANSWER_TIMEOUT, "answer-timeout", DETAIL_SECONDS, "no answer within",                  \
        "Ask the client to answer first and to work later, or raise the timeout in the policy")    \
    X(CAUSE_ANSWER_MALFORMED, "answer-not-http", DETAIL_NONE, "the answer is not valid HTTP",      \
        "Ask the client which program listens at this port")                                       \
    X(CAUSE_ANSWER_TOO_LARGE, "answer-too-large", DETAIL_NONE, "the answer is too large",          \
        "Ask the client to answer with a short body")                                              \
    X(CAUSE_REDIRECT, "http-redirect", DETAIL_LOCATION, "redirected to",                           \
        "Ask the client for the new URL, and change the endpoint: redirects are not followed")     \
    X(CAUSE_UNAUTHORIZED, "http-unauthorized", DETAIL_STATUS, "access was denied:",                \
        "Compare the signing secret and the credentials of the endpoint with those of the client") \
    X(CAUSE_NOT_FOUND, "http-not-found", DETAIL_STATUS, "the path was not found:",                 \
        "Ask the client for the right path, and change the URL of the endpoint")                   \
    X(CAUSE_GONE, "http-gone", DETAIL_STATUS, "the client refuses further events:",                \
        "Ask the client. Then enable the endpoint again, or remove it")                            \
    X(CAUSE_TOO_MANY, "http-too-many", DETAIL_STATUS, "the client limits the rate:",               \
        "It is sent again, more slowly. If this lasts, ask the client for a higher limit")         \
    X(CAUSE_REJECTED, "http-rejected", DETAIL_STATUS,                                              \
        "the client rejected the event:", "Read its answer, and ask the client why")               \
    X(CAUSE_BUSY, "http-unavailable", DETAIL_STATUS, "the client is not available:",               \
        "It is sent again. If this lasts, ask the client whether its server is up")                \
    X(CAUSE_FAILED, "http-failed", DETAIL_STATUS,                                                  \
        "the program of the client failed:", "Ask the client to look into its log")                \
    X(CAUSE_UNEXPECTED, "http-unexpected", DETAIL_STATUS, "an answer with an unexpected status:",  \
        "Ask the client which program listens at this port")                                       \
    X(CAUSE_RULE, "success-rule", DETAIL_RULE, "the answer is no success:",                        \
        "Read the answer, and ask the client why; or correct the success rule in the policy")      \
    X(CAUSE_SHORTAGE, "shortage", DETAIL_NONE, "this machine lacked a resource",                   \
        "See the log of the gateway. It was no attempt of the client")                             \
    X(CAUSE_INTERRUPTED, "interrupted", DETAIL_NONE,                                               \
        "the gateway was killed or crashed during the attempt",                                    \
        "Find out why the gateway ended. A payout needs a decision: ask the client")               \
    X(CAUSE_CANCELLED, "cancelled", DETAIL_NONE, "the gateway was stopped during the attempt",     \
        "Nothing: it is sent again. A payout needs a decision: ask the client")                    \
    X(CAUSE_OTHER, "other", DETAIL_NONE, "it failed", "See the log of the gateway")

enum attempt_cause {
#define X(symbol, code, detail, what, remedy) symbol,
    ATTEMPT_CAUSE_TABLE(X)
#undef X
        ATTEMPT_CAUSES
};

struct attempt_end;
struct attempt_evidence;

/* What an attempt says about itself. `rule`: the part of the success rule that is not met; may be
 * empty. */
struct attempt_said {
    const struct attempt_end *end;
    const struct attempt_evidence *evidence;
    const char *rule;
    int64_t duration_us;
};

/* CAUSE_NONE: it delivered. */
enum attempt_cause attempt_cause_of(const struct attempt_said *said);
/* The cause for an error when nothing more is known. */
enum attempt_cause attempt_cause_of_error(enum err error);

const char *attempt_cause_code(enum attempt_cause cause);
const char *attempt_cause_remedy(enum attempt_cause cause);
/* The cause with this code; CAUSE_OTHER: none has it (a newer version wrote it). */
enum attempt_cause attempt_cause_from_code(const char *code);

#define CAUSE_CODE_BYTES 32
#define CAUSE_TEXT_BYTES 320
/* What happened, such as "TLS: certificate has expired (CN=sink.test, 2026-11-03)" or "no answer
 * within 30 s". */
void attempt_cause_describe(const struct attempt_said *said, char ret_text[CAUSE_TEXT_BYTES]);

#endif
