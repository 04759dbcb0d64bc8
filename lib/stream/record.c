/* stream/record.c - a stream as records, one at a time.
 *
 * A length that a record claims is never allocated: its bytes must arrive first.
 */
#include "stream/record.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "stream/wire.h"

void cm_records_start(struct cm_records *r, int fd, const char *name)
{
    r->error.name = cm_strdup(name);
    cm_inflate_start(&r->bytes, fd, &r->error);
    r->hash = cm_hash_new();
}

void cm_records_free(struct cm_records *r)
{
    cm_inflate_free(&r->bytes);
    cm_hash_free(r->hash);
    cm_buf_free(&r->text);
    cm_sticky_free(&r->error);
}

int cm_records_rewind(struct cm_records *r)
{
    int rc = cm_inflate_rewind(&r->bytes);
    r->held = false;
    r->n = 0;
    cm_hash_free(r->hash);
    r->hash = cm_hash_new();
    return rc;
}

int cm_records_prefix(struct cm_records *r)
{
    struct cm_inflate *z = &r->bytes;
    int rc = cm_inflate_need(z, CM_WIRE_PREFIX);
    if (rc < 0)
        return rc;
    if (rc == 0 || memcmp(z->out.p + z->out_at, CM_WIRE_MAGIC, 8))
        return cm_sticky_fail(&r->error, CM_EINPUT,
                              "not a CMS stream: zstd frames that hold something else");
    struct cm_cursor c = cm_cursor_make(z->out.p + z->out_at + 8, 8);
    const unsigned char *v = cm_cursor_take(&c, 4);
    unsigned major = v[0] | (unsigned)v[1] << 8, minor = v[2] | (unsigned)v[3] << 8;
    if (major != CM_CMS_MAJOR)
        return cm_sticky_fail(&r->error, CM_EINPUT, "CMS version %u.%u, this program reads %d.%d",
                              major, minor, CM_CMS_MAJOR, CM_CMS_MINOR);
    z->out_at += CM_WIRE_PREFIX;
    return 0;
}

static bool is_tag(const char *tag)
{
    for (size_t k = 0; k < 8; k++) {
        unsigned char t = (unsigned char)tag[k];
        bool letter = (t >= 'A' && t <= 'Z') || (t >= 'a' && t <= 'z');
        if (k == 0 ? !letter : !letter && t && !(t >= '0' && t <= '9') && t != '_' && t != '-')
            return false;
    }
    return true;
}

static enum cm_record type_of(const char *tag)
{
    static const char *const name[] = {"HEAD",  "COLS", "DICT",   "BATCH", "ROWS",
                                       "BLOCK", "PICK", "TENSOR", "END",   "ABORT"};
    for (size_t k = 0; k < sizeof name / sizeof *name; k++)
        if (!strcmp(tag, name[k]))
            return (enum cm_record)k;
    return tag[0] >= 'a' && tag[0] <= 'z' ? CM_RECORD_OTHER : CM_RECORD_UNKNOWN;
}

static bool holds_numbers(enum cm_record t)
{
    return t >= CM_RECORD_BATCH && t <= CM_RECORD_TENSOR;
}

/* Tag and length of the next record; may it be so long? */
static int read_front(struct cm_records *r, uint64_t *n)
{
    struct cm_cursor c = cm_cursor_make(r->bytes.out.p + r->bytes.out_at, CM_WIRE_RECORD);
    memcpy(r->tag, cm_cursor_take(&c, 8), 8);
    r->tag[8] = 0;
    *n = cm_cursor_u64(&c);
    if (!is_tag(r->tag))
        return cm_sticky_fail(&r->error, CM_EINPUT, "record %" PRIu64 ": damaged tag", r->n + 1);
    r->type = type_of(r->tag);
    if (*n > CM_MAX_PAYLOAD)
        return cm_sticky_fail(&r->error, CM_EINPUT,
                              "record %" PRIu64 " (%s): payload of %" PRIu64
                              " bytes, the format allows 1 GiB",
                              r->n + 1, r->tag, *n);
    if (r->type == CM_RECORD_OTHER && *n > CM_MAX_HISTORY)
        return cm_sticky_fail(&r->error, CM_EINPUT,
                              "record %" PRIu64
                              " (%s): more than 64 MiB of records that may be ignored",
                              r->n + 1, r->tag);
    r->bytes.out_at += CM_WIRE_RECORD;
    return 0;
}

/* A NUL behind the text at hand: in the padding, or where nothing has been decompressed yet. */
static void end_text(struct cm_records *r)
{
    struct cm_inflate *z = &r->bytes;
    size_t end = z->out_at + r->payload.n;
    if (r->payload.n % 8) {
        z->out.p[end] = 0;
    } else if (end == z->out.n) {
        cm_buf_u8(&z->out, 0);
        z->out.n--;
        r->payload.p = z->out.p + z->out_at;
    } else {
        r->text.n = 0;
        cm_buf_put(&r->text, r->payload.p, r->payload.n);
        cm_buf_u8(&r->text, 0);
        r->payload.p = r->text.p;
    }
}

int cm_records_next(struct cm_records *r)
{
    struct cm_inflate *z = &r->bytes;
    uint64_t n;
    if (r->held) {
        r->held = false;
        return 1;
    }
    int rc = cm_inflate_need(z, CM_WIRE_RECORD);
    if (rc <= 0)
        return rc;
    if ((rc = read_front(r, &n)))
        return rc;
    size_t padded = (size_t)((n + 7) / 8 * 8);
    rc = cm_inflate_need(z, padded);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return cm_sticky_fail(&r->error, CM_EINPUT, "cut inside record %" PRIu64 " (%s)", r->n + 1,
                              r->tag);
    r->payload = (struct cm_buf){.p = z->out.p + z->out_at, .n = (size_t)n};
    r->from = cm_inflate_position(z);
    if (!holds_numbers(r->type))
        end_text(r);
    z->out_at += padded;
    if (r->type != CM_RECORD_END && r->type != CM_RECORD_ABORT) {
        r->n++;
        if (r->type != CM_RECORD_OTHER)
            cm_hash_update(r->hash, r->payload.p, r->payload.n);
    }
    return 1;
}

void cm_records_hold(struct cm_records *r)
{
    r->held = true;
    if (holds_numbers(r->type)) /* column tables are the longest texts, and rarely come again */
        cm_buf_free(&r->text);
}

int cm_records_bad(struct cm_records *r, const char *why)
{
    return cm_sticky_fail(&r->error, CM_EINPUT, "record %" PRIu64 " (%s): %s", r->n, r->tag, why);
}
