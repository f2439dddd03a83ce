/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/delivery_lists.h"

#include "base/memory.h"
#include "model/placement.h"

#include <stdlib.h>

/* Lists of ids. They are gathered first, since moving a row changes the index that is read. */

static enum err take_ids(
    struct sql_use *use, unsigned count_max, int64_t *ret_ids, unsigned *ret_count)
{
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(use, count_max);
    while (!(result = sql_step(use, &row)) && row && count < count_max)
        ret_ids[count++] = sql_column_int(use, 0);
    sql_finish(use);
    *ret_count = count;
    return result;
}

enum err delivery_rows_list_parked(struct delivery_rows *rows, uint64_t endpoint,
    enum park_reason reason, int64_t after_id, unsigned count_max, int64_t *ret_ids,
    struct parking *ret_parkings, unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_PARKED]);
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(&use, (int64_t)endpoint);
    sql_bind_int(&use, reason);
    sql_bind_int(&use, after_id);
    sql_bind_int(&use, count_max);
    while (!(result = sql_step(&use, &row)) && row && count < count_max) {
        ret_ids[count] = sql_column_int(&use, 0);
        if (ret_parkings)
            ret_parkings[count] = (struct parking){
                .generation = (uint32_t)sql_column_int(&use, 1), .at_us = sql_column_int(&use, 2)};
        count++;
    }
    sql_finish(&use);
    *ret_count = count;
    return result;
}

enum err delivery_rows_list_broker_owned(struct delivery_rows *rows, int64_t after_event,
    unsigned count_max, struct journal_broker_owned *ret_events, unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_BROKER_OWNED]);
    unsigned count = 0;
    bool row = false;
    enum err result;
    sql_bind_int(&use, placement_first_delivery(after_event + 1));
    while (!(result = sql_step(&use, &row)) && row) {
        int64_t event = placement_event(sql_column_int(&use, 0));
        if (count > 0 && ret_events[count - 1].event == event)
            continue;
        if (count == count_max)
            break;
        ret_events[count++] = (struct journal_broker_owned){.event = event};
    }
    sql_finish(&use);
    *ret_count = count;
    return result;
}

/* Moves each of these rows, whatever its generation. A damaged row is parked as damaged. */
static enum err move_each(struct delivery_rows *rows, const int64_t *ids, unsigned count,
    enum delivery_state from,
    void (*choose)(
        const struct delivery_row *row, struct delivery_move *move, struct attempt *attempt),
    int64_t now_us)
{
    enum err result = OK;
    for (unsigned i = 0; i < count && !result; i++) {
        struct delivery_row row;
        struct delivery_move move = {0};
        struct attempt attempt = {0};
        result = delivery_rows_read_any(rows, ids[i], &row);
        if (result == ERR_DAMAGED) {
            result = delivery_rows_park_damaged(rows, ids[i], now_us);
        } else if (!result && row.state == from) { /* else the index is damaged */
            choose(&row, &move, &attempt);
            result = delivery_rows_move_row(rows, &row, &move, now_us);
        }
    }
    return result;
}

static void choose_interrupted(
    const struct delivery_row *row, struct delivery_move *move, struct attempt *attempt)
{
    /* `sending` was committed before the first byte: that far it got for certain. */
    *attempt = (struct attempt){
        .number = row->attempts + 1,
        .started_us = row->changed_us,
        .end = {.error = ERR_INTERRUPTED, .request_begun = true},
        .evidence.cause = CAUSE_INTERRUPTED,
    };
    *move = (struct delivery_move){.to = DELIVERY_PARKED,
        .reason = PARK_AMBIGUOUS,
        .lane = row->lane,
        .failures = row->failures,
        .attempt = attempt};
}

enum err delivery_rows_park_interrupted(struct delivery_rows *rows, unsigned count_max,
    int64_t now_us, int64_t *ret_ids, unsigned *ret_count)
{
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_SENDING]);
    sql_bind_int(&use, 0);
    enum err result = take_ids(&use, count_max, ret_ids, ret_count);
    return result
               ? result
               : move_each(rows, ret_ids, *ret_count, DELIVERY_SENDING, choose_interrupted, now_us);
}

static void choose_released(
    const struct delivery_row *row, struct delivery_move *move, struct attempt *attempt)
{
    *move = (struct delivery_move){
        .to = DELIVERY_PENDING, .lane = LANE_RETRY, .failures = row->failures};
}

enum err delivery_rows_release(struct delivery_rows *rows, uint64_t endpoint,
    enum park_reason reason, unsigned count_max, int64_t now_us, unsigned *ret_count)
{
    int64_t *ids = memory_new_array(count_max, sizeof *ids);
    enum err result =
        delivery_rows_list_parked(rows, endpoint, reason, 0, count_max, ids, NULL, ret_count);
    if (!result)
        result = move_each(rows, ids, *ret_count, DELIVERY_PARKED, choose_released, now_us);
    free(ids);
    return result;
}

enum err delivery_rows_bring_forward(struct delivery_rows *rows, int64_t clock_us,
    unsigned count_max, int64_t now_us, unsigned *ret_count)
{
    int64_t *ids = memory_new_array(count_max, sizeof *ids);
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_FAR_AHEAD]);
    sql_bind_int(&use, clock_us);
    enum err result = take_ids(&use, count_max, ids, ret_count);
    for (unsigned i = 0; i < *ret_count && !result; i++) {
        struct delivery_row row;
        result = delivery_rows_read_any(rows, ids[i], &row);
        if (result == ERR_DAMAGED) {
            result = delivery_rows_park_damaged(rows, ids[i], now_us);
        } else if (!result) {
            row.due_us = clock_us + row.duration_us;
            result = delivery_rows_write(rows, DELIVERIES_WRITE, &row);
        }
    }
    free(ids);
    return result;
}

/* Loads. */

void delivery_list_init(struct delivery_list *list, unsigned count_max)
{
    *list = (struct delivery_list){.count_max = count_max};
    /* One more, because malloc(0) may return NULL. */
    list->rows = memory_new_raw((count_max + 1) * sizeof *list->rows);
}

void delivery_list_done(struct delivery_list *list)
{
    free(TAKE(list->rows));
}

/* What one part of a load looks for. */
struct sought {
    uint64_t endpoint;
    enum load_part part;
    unsigned states;     /* bits, 1 << enum delivery_state */
    unsigned without;    /* bits, 1 << enum event_class: these are passed over */
    int64_t began_by_us; /* of waiting ones: those that began to wait later are passed over */
    unsigned looked_max; /* rows; 0: as many as there are */
};

/* A damaged row is listed as well, since it is to be parked. One that is somewhere else by its own
 * account is in the index by damage, and is passed over. */
static bool is_sought(const struct delivery_listed *listed, const struct sought *sought)
{
    const struct delivery_row *row = &listed->row;
    if (listed->damaged)
        return true;
    if (!(sought->states & 1u << row->state) || row->broker_owned ||
        row->endpoint != sought->endpoint || (sought->without & 1u << row->class))
        return false;
    return row->state != DELIVERY_WAITING ||
           delivery_wait_began_us(row->due_us, row->duration_us) <= sought->began_by_us;
}

/* Appends the rows of one part. */
static enum err list_part(
    struct sql_use *use, const struct sought *sought, struct delivery_list *list)
{
    bool row = false;
    unsigned looked = 0;
    enum err result;
    while (!(result = sql_step(use, &row)) && row) {
        struct delivery_listed listed = {.part = sought->part};
        bool is_at_end = sought->looked_max != 0 && looked++ == sought->looked_max;
        listed.damaged = !delivery_row_take(use, 0, &listed.row);
        if (is_at_end || (is_sought(&listed, sought) && list->count == list->count_max)) {
            list->more_of[sought->part] = true;
            break;
        }
        if (is_sought(&listed, sought))
            list->rows[list->count++] = listed;
        list->looked[sought->part] =
            (struct delivery_looked){.due_us = listed.row.due_us, .id = listed.row.id};
    }
    sql_finish(use);
    return result;
}

/* How many rows one part of a load looks at. */
static unsigned looked_max(const struct journal_load *load)
{
    return load->probe ? LOAD_PROBE_PASSED : LOAD_LOOKED_PER_COUNT * (load->count_max + 1);
}

static enum err list_pending(
    struct delivery_rows *rows, const struct journal_load *load, struct delivery_list *list)
{
    static const enum delivery_statement statements[] = {
        [PENDING_ALL] = DELIVERIES_LIST_ALL_PENDING,
        [PENDING_FRESH_AND_RETRY] = DELIVERIES_LIST_PENDING,
        [PENDING_REPLAY] = DELIVERIES_LIST_REPLAYS,
    };
    const struct sought sought = {.endpoint = load->endpoint,
        .part = LOAD_PENDING,
        .states = 1u << DELIVERY_PENDING,
        .without = load->without,
        .looked_max = load->without ? looked_max(load) : 0};
    struct sql_use use = sql_use(rows->statements[statements[load->pending_lanes]]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->after_pending_id);
    return list_part(&use, &sought, list);
}

static enum err list_recovered(
    struct delivery_rows *rows, const struct journal_load *load, struct delivery_list *list)
{
    const struct sought sought = {.endpoint = load->endpoint,
        .part = LOAD_RECOVERED,
        .states = 1u << DELIVERY_WAITING,
        .without = load->without,
        .began_by_us = load->recovered_us,
        .looked_max = looked_max(load)};
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_FAILED]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->after_recovered_id);
    return list_part(&use, &sought, list);
}

static enum err list_due(
    struct delivery_rows *rows, const struct journal_load *load, struct delivery_list *list)
{
    const struct sought sought = {.endpoint = load->endpoint,
        .part = LOAD_DUE,
        .states = 1u << DELIVERY_WAITING,
        .without = load->without,
        .began_by_us = INT64_MAX,
        .looked_max = load->without ? looked_max(load) : 0};
    struct sql_use use = sql_use(rows->statements[DELIVERIES_LIST_WAITING]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->due_by_us);
    sql_bind_int(&use, load->after_waiting_due_us);
    sql_bind_int(&use, load->after_waiting_id);
    return list_part(&use, &sought, list);
}

enum err delivery_rows_list_load(
    struct delivery_rows *rows, const struct journal_load *load, struct delivery_list *list)
{
    enum err result = OK;
    list->looked[LOAD_PENDING].id = load->after_pending_id;
    list->looked[LOAD_RECOVERED].id = load->after_recovered_id;
    list->looked[LOAD_DUE] =
        (struct delivery_looked){load->after_waiting_due_us, load->after_waiting_id};
    if (load->after_pending_id != INT64_MAX)
        result = list_pending(rows, load, list);
    if (!result && load->recovered_us > 0)
        result = list_recovered(rows, load, list);
    if (!result && load->due_by_us != INT64_MIN)
        result = list_due(rows, load, list);
    return result;
}

enum err delivery_rows_list_oldest(
    struct delivery_rows *rows, const struct journal_load *load, struct delivery_list *list)
{
    const struct journal_load rest = {.endpoint = load->endpoint,
        .probe = true,
        .without = load->without,
        .pending_lanes = PENDING_REPLAY,
        .after_pending_id = -1,
        .after_waiting_due_us = INT64_MIN,
        .due_by_us = INT64_MAX};
    const struct sought oldest = {.endpoint = load->endpoint,
        .part = LOAD_RECOVERED,
        .states = 1u << DELIVERY_PENDING | 1u << DELIVERY_WAITING,
        .without = load->without,
        .began_by_us = INT64_MAX,
        .looked_max = load->without ? looked_max(load) : 0};
    struct sql_use use = sql_use(
        rows->statements[load->unsent ? DELIVERIES_LIST_ALL_PENDING : DELIVERIES_LIST_OLDEST]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, load->after_probe_id);
    enum err result = list_part(&use, &oldest, list);
    for (unsigned i = 0; i < list->count; i++)
        if (list->rows[i].row.state == DELIVERY_PENDING)
            list->rows[i].part = LOAD_PENDING;
    if (result || load->after_probe_id > 0 || load->unsent)
        return result;
    if (list->count == 0)
        result = list_due(rows, &rest, list);
    if (!result && list->count == 0)
        result = list_pending(rows, &rest, list);
    return result;
}

enum err delivery_rows_next_due(
    struct delivery_rows *rows, const struct journal_load *load, int64_t *ret_due_us)
{
    /* Behind both bounds, which are put together here: of two conditions SQLite would seek to one
     * and walk to the other. */
    bool behind_due = load->due_by_us >= load->after_waiting_due_us;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_NEXT_DUE]);
    sql_bind_int(&use, (int64_t)load->endpoint);
    sql_bind_int(&use, behind_due ? load->due_by_us : load->after_waiting_due_us);
    sql_bind_int(&use, behind_due ? INT64_MAX : load->after_waiting_id);
    int64_t due_us = INT64_MAX;
    enum err result = sql_execute_int(&use, &due_us);
    if (result && result != ERR_NOT_FOUND)
        return result;
    *ret_due_us = due_us;
    return OK;
}

/* Makes room for one more. Doubles, since the number of endpoints is not known before. */
static struct journal_backlog *next_backlog(struct journal_backlog **backlogs, size_t count)
{
    if ((count & (count - 1)) == 0) {
        struct journal_backlog *larger =
            realloc(*backlogs, (count ? count * 2 : 1) * sizeof *larger);
        if (!larger)
            return NULL;
        *backlogs = larger;
    }
    return &(*backlogs)[count];
}

enum err delivery_rows_count_open(
    struct delivery_rows *rows, struct journal_backlog **ret_backlogs, size_t *ret_count)
{
    struct journal_backlog *backlogs = NULL;
    size_t count = 0;
    bool row = false;
    struct sql_use use = sql_use(rows->statements[DELIVERIES_COUNT_OPEN]);
    enum err result;
    while (!(result = sql_step(&use, &row)) && row) {
        struct journal_backlog *backlog = next_backlog(&backlogs, count);
        if (!backlog) {
            result = ERR_NO_MEMORY;
            break;
        }
        count++;
        *backlog = (struct journal_backlog){
            .endpoint = (uint64_t)sql_column_int(&use, 0),
            .pending = sql_column_int(&use, 1),
            .waiting = sql_column_int(&use, 2),
            .parked_releasable = sql_column_int(&use, 3),
            .unrouted = sql_column_int(&use, 4),
            .waiting_due_us = sql_column_is_null(&use, 5) ? INT64_MAX : sql_column_int(&use, 5),
            .replays = sql_column_int(&use, 6),
            .failed = sql_column_int(&use, 7),
        };
    }
    sql_finish(&use);
    if (result) {
        free(backlogs);
        return result;
    }
    *ret_backlogs = backlogs;
    *ret_count = count;
    return OK;
}
