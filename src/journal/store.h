/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the journal's thread has of its file, and one function for each kind of request.
 * Internal to the journal. The thread owns it, and calls the functions within a transaction that
 * journal_sqlite.c begins and ends.
 *
 * Each function returns OK when the request has been worked off, with its own result in
 * `request->result`. An error means that the transaction cannot be committed. Its outputs are set
 * before anything can fail, so that the undo of its kind can always follow.
 */
#ifndef PENSTOCK_JOURNAL_STORE_H
#define PENSTOCK_JOURNAL_STORE_H

#include "dedupe/store.h"
#include "journal/backlog_board.h"
#include "journal/delivery_lists.h"
#include "journal/disk_reserve.h"
#include "journal/duplicate_rows.h"
#include "journal/event_keys.h"
#include "journal/event_rows.h"
#include "journal/expiry.h"
#include "journal/journal.h"
#include "journal/lost.h"
#include "journal/outbox.h"
#include "journal/poison.h"
#include "journal/replay_rows.h"
#include "journal/totals.h"
#include "model/notice_board.h"
#include "sqlite/wal.h"

enum store_statement { STORE_BEGIN, STORE_COMMIT, STORE_STATEMENTS };

struct store {
    struct sqlite3 *db;
    struct sqlite3_stmt *statements[STORE_STATEMENTS];
    unsigned shard;
    int64_t next_seq; /* of events; a rolled back transaction leaves a gap */
    struct dedupe_store dedupe;
    struct event_rows events;
    struct event_keys keys;
    struct delivery_rows deliveries;
    struct backlog_board backlog; /* shared with readers, see there */
    struct conflict_rows conflicts;
    struct alias_rows aliases;
    struct outbox outbox;
    struct poison poison;
    struct lost lost;
    struct replay_rows replays;
    struct totals totals;
    struct expiry expiry;
    struct disk_reserve reserve;
    struct checkpointer checkpointer;
    int64_t newest_us; /* when the last event was accepted, as the file says; 0 without one */
    struct notice_board notices; /* to be reported: notices.c */
    struct operator_event_sink operator_events;
    char journal_id[JOURNAL_ID_BYTES];
    struct journal_found found; /* at the start, when all was adopted that had to be */

    /* of the open transaction */
    int64_t now_us; /* wall time */
    int64_t now_mono_us;
    struct notice_board noted;         /* to be reported when it is committed */
    struct journal_handover *handover; /* of what is to be sent from now on */
    unsigned handover_room;
    /* Requests to be answered with RECEIVED_BROKER_OWNED. */
    struct journal_receive *received[JOURNAL_BATCH_REQUESTS_MAX];
    unsigned received_count;
};

struct store_options {
    const char *directory; /* holds journal-<shard>.db and reserve-<shard> */
    unsigned shard;
    struct expiry_policy expiry;
    int64_t reserve_bytes, reserve_all_bytes;   /* of this shard, and of all of them */
    struct operator_event_sink operator_events; /* what the start parks is reported as well */
};

/* Opens the file, parks or takes over what was interrupted, brings the totals up to date.
 * `ret_detail` as in journal_sqlite.h. store_close is due after a failure as well. */
enum err store_open(
    struct store *store, const struct store_options *options, char *ret_detail) MUST_CHECK;

/* The statements and the memory of all tables, for a file whose schema is there. */
enum err store_prepare(struct store *store, const struct expiry_policy *policy) MUST_CHECK;

/* Forgets the connection without writing when the file is in doubt; else leaves everything in the
 * main file. */
void store_close(struct store *store, bool in_doubt);

enum err store_begin(struct store *store) MUST_CHECK;
/* With the totals, when they are due. */
enum err store_commit(struct store *store) MUST_CHECK;
enum err store_roll_back(struct store *store) MUST_CHECK;

enum err store_append(struct store *store, struct request *request) MUST_CHECK;
enum err store_start(struct store *store, struct request *request) MUST_CHECK;
enum err store_record_outcome(struct store *store, struct request *request) MUST_CHECK;
enum err store_release(struct store *store, struct request *request) MUST_CHECK;
enum err store_redue(struct store *store, struct request *request) MUST_CHECK;
enum err store_record_retry_rules(struct store *store, struct request *request) MUST_CHECK;
enum err store_action(struct store *store, struct request *request) MUST_CHECK;
enum err store_list_parked(struct store *store, struct request *request) MUST_CHECK;
enum err store_route(struct store *store, struct request *request) MUST_CHECK;
enum err store_load(struct store *store, struct request *request) MUST_CHECK;
enum err store_scan_backlog(struct store *store, struct request *request) MUST_CHECK;
enum err store_receive(struct store *store, struct request *request) MUST_CHECK;
enum err store_adopt(struct store *store, struct request *request) MUST_CHECK;
enum err store_list_broker_owned(struct store *store, struct request *request) MUST_CHECK;
enum err store_keep_poison(struct store *store, struct request *request) MUST_CHECK;
enum err store_check_confirmed(struct store *store, struct request *request) MUST_CHECK;
enum err store_load_outbox(struct store *store, struct request *request) MUST_CHECK;
enum err store_clear_outbox(struct store *store, struct request *request) MUST_CHECK;
enum err store_replay_create(struct store *store, struct request *request) MUST_CHECK;
enum err store_replay_change(struct store *store, struct request *request) MUST_CHECK;
enum err store_replay_list(struct store *store, struct request *request) MUST_CHECK;
enum err store_replay_find(struct store *store, struct request *request) MUST_CHECK;
enum err store_replay_look(struct store *store, struct request *request) MUST_CHECK;
enum err store_replay_move(struct store *store, struct request *request) MUST_CHECK;

void store_undo_load(struct request *request);
void store_undo_scan(struct request *request);
void store_undo_release(struct request *request);
void store_undo_redue(struct request *request);
void store_undo_list_parked(struct request *request);
void store_undo_route(struct request *request);
void store_undo_receive(struct request *request);
void store_undo_list_broker_owned(struct request *request);
void store_undo_check_confirmed(struct request *request);
void store_undo_load_outbox(struct request *request);
void store_undo_replay_list(struct request *request);
void store_undo_replay_find(struct request *request);
void store_undo_replay_look(struct request *request);
void store_undo_replay_move(struct request *request);

/* Ends a request with its own result when the failure concerns it alone: nothing was written for
 * it, and the others of its transaction continue. Returns any other failure. */
enum err store_end_request(struct request *request, enum err result) MUST_CHECK;
/* Parks a delivery when its row or its event is damaged, so that an operator finds it, and logs
 * it. */
enum err store_park_damaged(struct store *store, int64_t delivery, uint64_t endpoint) MUST_CHECK;
/* What a row is in memory, with the event that it points to. */
struct delivery store_delivery_of(const struct delivery_row *row, struct event *event);
void store_log_damaged(const struct store *store, int64_t delivery);
/* Moves a delivery of the event in the totals from one endpoint to another (0: unrouted), in this
 * transaction. ERR_NOT_FOUND: the event is missing. ERR_DAMAGED: it is damaged. */
enum err store_transfer_totals(
    struct store *store, int64_t seq, uint64_t from, uint64_t to) MUST_CHECK;

/* Reads what JOURNAL_RECORD_RETRY_RULES has written. Rules that cannot be read are not known. */
enum err store_read_rules(struct sqlite3 *db, struct journal_retry_rules *ret_rules) MUST_CHECK;

/* Notices to operators (notices.c). They are noted in a transaction, and reported after it. */
void store_init_notices(struct store *store, const struct operator_event_sink *sink);
/* `event` has the key of `first` and other money. `is_stored`: as an event as well. */
void store_note_conflict(
    struct store *store, const struct event_id *first, const struct event *event, bool is_stored);
/* The journal has parked a delivery. `parts`: of its event. */
void store_note_parked_event(struct store *store, int64_t delivery, uint64_t endpoint,
    enum park_reason reason, const struct event_parts *parts);
/* The same, and reads the event. One that is damaged has no names. */
enum err store_note_parked(
    struct store *store, int64_t delivery, uint64_t endpoint, enum park_reason reason) MUST_CHECK;
/* Reports what is due of that which was committed. */
void store_report_notices(struct store *store, int64_t now_mono_us);

/* Whether events of this class are accepted. */
static inline bool store_admits(const struct store *store, enum event_class class)
{
    return !store->checkpointer.starved && disk_reserve_admits(&store->reserve, class);
}

#endif
