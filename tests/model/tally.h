/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of what the runs did, over all seeds and processes. A simulation has not tested what it
 * never tried. So main.c prints the table, and fails when a long series of seeds leaves a row at
 * zero.
 */
#ifndef PENSTOCK_TESTS_MODEL_TALLY_H
#define PENSTOCK_TESTS_MODEL_TALLY_H

#define TALLY_TABLE(X)                                                          \
    X(TALLY_STEPS, "steps")                                                     \
    X(TALLY_POSTED, "events posted")                                            \
    X(TALLY_ACCEPTED, "  accepted")                                             \
    X(TALLY_DUPLICATES, "  duplicates")                                         \
    X(TALLY_CONFLICTS, "  conflicts")                                           \
    X(TALLY_OVERLOADED, "  refused: the memory budget is used up")              \
    X(TALLY_REFUSED, "  refused by the disk")                                   \
    X(TALLY_IN_DOUBT, "  answer lost")                                          \
    X(TALLY_IN_DOUBT_HAPPENED, "    but accepted")                              \
    X(TALLY_SENDS, "requests to clients")                                       \
    X(TALLY_SENDS_GUARDED, "  guarded")                                         \
    X(TALLY_SENDS_AGAIN, "  after a client had answered with a success")        \
    X(TALLY_ANSWERS_SUCCESS, "  answered with a success")                       \
    X(TALLY_SUCCESS_NOT_2XX, "    not a 2xx, but a success by the rules")       \
    X(TALLY_ANSWERS_FAILED, "  failed")                                         \
    X(TALLY_FAILED_2XX, "    a 2xx, but a failure by the rules")                \
    X(TALLY_BODY_UNKNOWN, "  with a body that cannot be judged")                \
    X(TALLY_ANSWERS_410, "  answered 410")                                      \
    X(TALLY_ANSWERS_AMBIGUOUS, "  ended ambiguously")                           \
    X(TALLY_CANCELLED, "  cancelled")                                           \
    X(TALLY_EARLY_PROBES, "  before they were due: the breaker may be open")    \
    X(TALLY_EARLY_RECOVERED, "  before they were due: the endpoint is back")    \
    X(TALLY_EARLY_FAILED, "    but failed, and used up no step")                \
    X(TALLY_OUTAGES, "outages")                                                 \
    X(TALLY_BREAKERS, "  breakers opened for certain")                          \
    X(TALLY_PROBES, "  probes")                                                 \
    X(TALLY_BACK, "  endpoints back, with an open breaker")                     \
    X(TALLY_RECOVERIES, "  recoveries")                                         \
    X(TALLY_LOOKS, "looks at the journal")                                      \
    X(TALLY_LOOKS_DURABLE, "  at the durable state")                            \
    X(TALLY_SEEN_WAITING, "  new: waiting")                                     \
    X(TALLY_SEEN_DELIVERED, "  new: delivered")                                 \
    X(TALLY_SEEN_DEAD, "  new: dead")                                           \
    X(TALLY_SEEN_AMBIGUOUS, "  new: parked as ambiguous")                       \
    X(TALLY_SEEN_DISABLED, "  new: parked as disabled")                         \
    X(TALLY_SEEN_GONE, "  new: parked as gone")                                 \
    X(TALLY_SEEN_UNROUTED, "  new: parked as unrouted")                         \
    X(TALLY_SEEN_DISCARDED, "  new: discarded")                                 \
    X(TALLY_ROUTED, "  new: routed")                                            \
    X(TALLY_BODIES_EXPIRED, "  new: without a body")                            \
    X(TALLY_EXPIRED, "  new: expired")                                          \
    X(TALLY_RELEASED, "  new: pending again")                                   \
    X(TALLY_REPLAYS_FAILED, "  new: delivered, after a failed replay")          \
    X(TALLY_STARTS, "starts")                                                   \
    X(TALLY_STARTS_REFUSED, "  refused by the disk")                            \
    X(TALLY_STOPS, "orderly stops")                                             \
    X(TALLY_KILLS, "kills")                                                     \
    X(TALLY_POWER_LOSSES, "power losses")                                       \
    X(TALLY_DEATHS_IN_DISK, "  kills within a disk operation")                  \
    X(TALLY_JOURNAL_FAILED, "journals that failed")                             \
    X(TALLY_DISK_FULL, "writes refused by a full disk")                         \
    X(TALLY_SHORT_WRITES, "  partly written")                                   \
    X(TALLY_RESERVE_GIVEN_UP, "reserves released")                              \
    X(TALLY_WRITE_ERRORS, "writes failed")                                      \
    X(TALLY_SYNC_ERRORS, "syncs failed")                                        \
    X(TALLY_CLOCK_SET, "wall clock set")                                        \
    X(TALLY_ENDPOINT_CHANGES, "endpoints changed")                              \
    X(TALLY_ACTIONS, "operator actions")                                        \
    X(TALLY_ACTIONS_DONE, "  done")                                             \
    X(TALLY_ACTIONS_MOVED_ON, "  too late")                                     \
    X(TALLY_ACTIONS_IN_VAIN, "  refused: no endpoint to send to, or no body")   \
    X(TALLY_ACTIONS_RESEND, "  to send, or to send again")                      \
    X(TALLY_ACTIONS_CLOSED, "  refused: the endpoint is not open")              \
    X(TALLY_ACTIONS_MOVED, "  to send to another endpoint")                     \
    X(TALLY_ACTIONS_FORCED, "  to send again after it was delivered")           \
    X(TALLY_REPLAYS, "replays")                                                 \
    X(TALLY_REPLAYS_CHANGED, "  changed while they run")                        \
    X(TALLY_REPLAYS_DONE, "  done, and judged")                                 \
    X(TALLY_REPLAYS_MOVED, "  moved: parked or dead")                           \
    X(TALLY_REPLAYS_WAITING, "  moved: waiting")                                \
    X(TALLY_REPLAYS_FORCED, "  moved: delivered")                               \
    X(TALLY_POLICIES, "endpoints with their own policy")                        \
    X(TALLY_DOUBTS, "times of doubt")                                           \
    X(TALLY_RULES, "rules about answers")                                       \
    X(TALLY_RULES_CHANGED, "  changed by an operator")                          \
    X(TALLY_QUESTIONS, "status probes")                                         \
    X(TALLY_QUESTIONS_YES, "  answered yes")                                    \
    X(TALLY_QUESTIONS_NO, "  answered no")                                      \
    X(TALLY_QUESTIONS_UNKNOWN, "  answered neither, or not at all")             \
    X(TALLY_QUESTIONS_LATE, "  answered after the delivery was sent again")     \
    X(TALLY_RESOLVED_YES, "  new: delivered by one")                            \
    X(TALLY_RESOLVED_NO, "  new: pending again by one")                         \
    X(TALLY_PROCESSED_AGAIN, "payouts processed again, by an operator's order") \
    X(TALLY_DIED, "deaths that were judged")                                    \
    X(TALLY_PAUSES, "policies changed")                                         \
    X(TALLY_SWITCHED_OFF, "switches switched off")                              \
    X(TALLY_SWITCHED_ON, "  on again")                                          \
    X(TALLY_PUBLISHED, "messages published")                                    \
    X(TALLY_PUBLISHED_AGAIN, "  a second time")                                 \
    X(TALLY_CONFIRMED, "  confirmed")                                           \
    X(TALLY_CONFIRMS_LATE, "  confirmed too late")                              \
    X(TALLY_CONFIRMS_NEVER, "  never confirmed")                                \
    X(TALLY_DELIVERED, "  delivered")                                           \
    X(TALLY_REDELIVERED, "  delivered again")                                   \
    X(TALLY_MESSAGES_BACK, "  returned to their queue")                         \
    X(TALLY_READY_TO_ACK, "  acked by the gateway")                             \
    X(TALLY_ACKED, "  acked")                                                   \
    X(TALLY_STALE_TAGS, "  acked with a stale tag")                             \
    X(TALLY_POISON_KEPT, "  kept as poison")                                    \
    X(TALLY_ALIASES, "aliases")                                                 \
    X(TALLY_LATE_CONFLICTS, "deliveries parked: a late conflict")               \
    X(TALLY_SEEN_MISMATCH, "deliveries parked: of another partition")           \
    X(TALLY_SEEN_ADOPTED, "deliveries parked: adopted by force")                \
    X(TALLY_SENDS_BROKER_OWNED, "sends of broker-owned deliveries")             \
    X(TALLY_CONNECTIONS, "consuming connections")                               \
    X(TALLY_CONNECTIONS_LOST, "  cut")                                          \
    X(TALLY_CHANNELS_LOST, "  closed channels")                                 \
    X(TALLY_GHOSTS, "  closed without the broker noticing")                     \
    X(TALLY_NOT_OWNER, "  refused: not the owner")                              \
    X(TALLY_NOT_READING, "  not read for a while")                              \
    X(TALLY_BROKER_DOWN, "brokers down")                                        \
    X(TALLY_QUEUES_DELETED, "queues deleted")                                   \
    X(TALLY_DROPPED, "messages dropped, and dead-lettered")                     \
    X(TALLY_DROPPED_LOST, "  dropped, and lost")                                \
    X(TALLY_TAPPED, "copies for taps")                                          \
    X(TALLY_TAPS_DROPPED, "  dropped")

enum tally {
#define X(symbol, title) symbol,
    TALLY_TABLE(X)
#undef X
        TALLY_COUNT
};

/* Allocates the counts in memory that the children share. Call it once, before the first fork. */
void tally_init(void);
void tally(enum tally row);
unsigned long tally_read(enum tally row);
const char *tally_title(enum tally row);

#endif
