/* cli/trainer.c - what the four trainers have in common.  See trainer.h. */
#include "cli/trainer.h"

#include <math.h>
#include <string.h>

#define MIB 1048576.0

/* From so many validation cells on, a match probability of at most so many times chance is one. */
#define CHANCE_CELLS 30
#define CHANCE_TIMES 1.5

void cm_trainer_begin(struct cm_trainer *t, const char *path, bool checkpoint)
{
    struct cm_reader *r;
    cm_try(cm_reader_open(&r, path)); /* not cm_in_open, which would make it a parent */
    cm_require_kind(r, CM_MODEL);
    if (checkpoint)
        cm_try(cm_checkpoint_read(&t->start, &t->state, r));
    else
        cm_try(cm_model_read(&t->start, r));
    cm_reader_close(r);
    cm_try(cm_fail_in(cm_config_read(&t->start_config, &t->start.head, CM_CONFIG_TRAIN), path));
}

/* The tool that counts of a slot go through first. */
static const char *normaliser(const char *slot)
{
    return !strcmp(slot, "GEX")    ? "lognorm"
           : !strcmp(slot, "ATAC") ? "tfidf"
           : !strcmp(slot, "ADT")  ? "clr"
                                   : "lognorm, tfidf or clr";
}

struct cm_reader *cm_trainer_open(const char *path, const char *slot[2])
{
    struct cm_reader *r = cm_in_open(path);
    cm_require_kind(r, CM_PAIRS);
    const struct cm_head *head = cm_reader_head(r);
    if (head->nslots != 2)
        cm_die(3, "%s: expected two slots, found %zu", cm_reader_path(r), head->nslots);
    for (size_t k = 0; k < 2; k++)
        if (head->slot[k].state == CM_S_COUNTS && head->slot[k].lazy == CM_LAZY_NO)
            cm_warn("%s: slot %s holds counts that are not normalised: run %s before batch",
                    cm_reader_path(r), head->slot[k].name, normaliser(head->slot[k].name));
    slot[0] = head->slot[0].name;
    slot[1] = head->slot[1].name;
    return r;
}

/* ===== the training ======================================================================= */

static void progress(uint64_t done, uint64_t total) { cm_progress(done, total, "cells"); }
static void warn(void *unused, const char *text) { (void)unused, cm_warn("%s", text); }
static bool stop(void *unused) { return (void)unused, cm_signal_seen() != 0; }

void cm_trainer_step(void *arg, const char *name)
{
    struct cm_trainer *t = arg;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds =
        (double)(now.tv_sec - t->last.tv_sec) + 1e-9 * (double)(now.tv_nsec - t->last.tv_nsec);
    t->last = now;
    cm_progress_end();
    cm_info("%s: %.2f seconds", name, seconds);
    if (!t->file || t->columns)
        return;
    fprintf(t->file, "%s\t%.3f\n", name, seconds);
    cm_out_flush(t->file);
}

void cm_trainer_read(struct cm_trainer *t, struct cm_reader *r, bool counts)
{
    clock_gettime(CLOCK_MONOTONIC, &t->last);
    t->file = t->log ? cm_out_text_file(t->log) : NULL;
    if (t->file)
        fprintf(t->file, "%s\n", t->columns ? t->columns : "step\tseconds");
    if (t->file)
        cm_out_flush(t->file);
    cm_try((counts ? cm_train_data_load_counts : cm_train_data_load)(r, &t->data, t->memory / 4,
                                                                     progress));
    cm_trainer_step(t, "reading");
    t->cells = cm_train_data_bytes(&t->data);
}

/* Do the cells and these bytes take more than --max-memory?  Cells in memory are spooled first. */
static bool too_much(struct cm_trainer *t, uint64_t bytes)
{
    if (!t->memory || t->cells + bytes <= t->memory)
        return false;
    cm_try(cm_train_data_spool(&t->data));
    t->cells = cm_train_data_bytes(&t->data);
    return t->cells + bytes > t->memory;
}

static void report_spool(const struct cm_trainer *t)
{
    if (t->data.spooled)
        cm_info("memory: %.1f MiB of cells lie in temporary files in %s",
                (double)cm_train_data_entries(&t->data) / MIB, cm_spool_dir());
}

void cm_trainer_plan(struct cm_trainer *t, const struct cm_train_options *how, const char *what)
{
    uint64_t fit = cm_train_bytes(&t->data, how);
    bool more = too_much(t, fit);
    report_spool(t);
    cm_info("memory: %.1f MiB of cells, and at most %.1f MiB to fit%s%s", (double)t->cells / MIB,
            (double)fit / MIB, *what ? " " : "", what);
    if (more)
        cm_die(4, "training may take up to %.1f MiB, --max-memory allows %.1f",
               (double)(t->cells + fit) / MIB, (double)t->memory / MIB);
}

uint64_t cm_trainer_keep(const struct cm_trainer *t)
{
    return t->memory && t->memory / 4 < CM_FIT_KEEP ? t->memory / 4 : CM_FIT_KEEP;
}

int cm_trainer_check(void *arg, uint64_t bytes)
{
    struct cm_trainer *t = arg;
    bool spooled = t->data.spooled, more = too_much(t, bytes);
    double all = (double)(bytes + t->cells) / MIB;
    if (!spooled)
        report_spool(t);
    cm_info("memory: at most %.1f MiB with the cells while training", all);
    if (more)
        return cm_fail(CM_ESYSTEM,
                       "training may take up to %.1f MiB, --max-memory allows %.1f; smaller "
                       "mini-batches (batch --size) take less",
                       all, (double)t->memory / MIB);
    return 0;
}

static int save(void *arg, const struct cm_model *m, const struct cm_fit_state *s)
{
    const struct cm_trainer *t = arg;
    struct cm_head head = {0};
    if (!t->checkpoint)
        return 0;
    cm_checkpoint_head(m, s, &head);
    struct cm_writer *w = cm_out_open_file(t->checkpoint, &head);
    int code = cm_checkpoint_write(m, s, w);
    if (!code)
        cm_out_now(w);
    cm_head_free(&head);
    cm_info("step %llu: state saved in %s", (unsigned long long)s->step, t->checkpoint);
    return code;
}

struct cm_train_callbacks
cm_trainer_callbacks(struct cm_trainer *t, void (*report)(void *t, const struct cm_fit_report *r))
{
    return (struct cm_train_callbacks){
        .step = cm_trainer_step,
        .warn = warn,
        .memory = cm_trainer_check,
        .fit = {report, warn, stop, save, t->checkpoint ? (uint64_t)t->every : 0, t},
        .arg = t};
}

void cm_trainer_report(const struct cm_trainer *t, const struct cm_fit_report *r,
                       const double *value, size_t n)
{
    char unit[64];
    if (isnan(r->best) || !t->show_best)
        snprintf(unit, sizeof unit, "cells, loss %.3f", r->loss);
    else
        snprintf(unit, sizeof unit, "cells, loss %.3f, best score %.3f", r->loss, r->best);
    cm_progress(r->cells, r->cells_total, unit);
    if (!isnan(r->score))
        cm_info("epoch %u of %u: loss %.4f, validation score %.4f (best %.4f)", r->epoch, r->epochs,
                r->loss, r->score, r->best);
    if (!t->file)
        return;
    fprintf(t->file, "%llu\t%u", (unsigned long long)r->step, r->epoch);
    for (size_t i = 0; i < n; i++)
        fprintf(t->file, isnan(value[i]) ? "\t" : "\t%.9g", value[i]);
    fputc('\n', t->file);
    cm_out_flush(t->file); /* a full disk is an error now, not after days of training */
}

/* ===== the result ========================================================================= */

const char *cm_trainer_result(const struct cm_trainer *t, const char *key)
{
    const char *v = cm_kv_get(&t->model.head.kv, key);
    return v ? v : "-";
}

/* Did the validation cells find their partners no better than by guessing? */
static void warn_of_chance(const struct cm_kv *kv)
{
    double cells, soft, chance;
    if (!cm_kv_get(kv, "valid.cells") || cm_kv_f64(kv, "valid.cells", &cells) ||
        cm_kv_f64(kv, "valid.soft", &soft) || cm_kv_f64(kv, "valid.chance", &chance))
        return;
    if (cells >= CHANCE_CELLS && soft <= CHANCE_TIMES * chance)
        cm_warn(
            "validation is at chance (match probability %.3g, chance %.3g): are the rows of the "
            "two files the same cells?",
            soft, chance);
}

/* What came of the weights of peak-gene links. */
static void report_links(const struct cm_trainer *t)
{
    if (cm_kv_get(&t->model.head.kv, "links.note"))
        cm_info("the weights of peak-gene links stay as they were: %s",
                cm_trainer_result(t, "links.note"));
    else if (cm_kv_get(&t->model.head.kv, "links.step"))
        cm_info("weights of peak-gene links: step %s is kept; loss of the validation cells %s, at "
                "first %s",
                cm_trainer_result(t, "links.step"), cm_trainer_result(t, "links.loss.best"),
                cm_trainer_result(t, "links.loss.first"));
}

void cm_trainer_sum(const struct cm_trainer *t, unsigned also)
{
    char links[100] = "", epoch[60] = "";
    if (also & CM_SUM_LINKS)
        snprintf(links, sizeof links, "%s of %s peak-gene pairs kept; ",
                 cm_trainer_result(t, "cis.pairs"), cm_trainer_result(t, "cis.candidates"));
    if (also & CM_SUM_EPOCH)
        snprintf(epoch, sizeof epoch, "best epoch %s; ", cm_trainer_result(t, "train.best.epoch"));
    cm_info("%s training cells; %svalidation (%s cells): soft %s, dual %s, top5 %s, chance %s; "
            "%srule %s, temperature %s",
            cm_trainer_result(t, "train.cells"), links, cm_trainer_result(t, "valid.cells"),
            cm_trainer_result(t, "valid.soft"), cm_trainer_result(t, "valid.dual"),
            cm_trainer_result(t, "valid.top5"), cm_trainer_result(t, "valid.chance"), epoch,
            cm_trainer_result(t, "rule.method"), cm_trainer_result(t, "rule.temperature"));
    warn_of_chance(&t->model.head.kv);
    if (also & CM_SUM_LINKS)
        report_links(t);
    if (cm_kv_get(&t->model.head.kv, "train.network"))
        cm_info("the network does not improve on the linear start (validation score %s): the model "
                "is the start, without a network",
                cm_trainer_result(t, "train.score.start"));
}

void cm_trainer_stopped(const struct cm_trainer *t)
{
    if (cm_kv_get(&t->model.head.kv, "train.stopped"))
        cm_warn("stopped by a signal after step %s; the model is what was best so far%s%s",
                cm_trainer_result(t, "train.steps"), t->checkpoint ? "; go on with --resume " : "",
                t->checkpoint ? t->checkpoint : "");
}

int cm_trainer_end(struct cm_trainer *t)
{
    struct cm_writer *w = cm_out_open(&t->model.head);
    cm_try(cm_model_write(&t->model, w));
    cm_fit_state_free(&t->state);
    cm_model_free(&t->start);
    cm_model_free(&t->model);
    cm_train_data_free(&t->data);
    return cm_finish();
}
