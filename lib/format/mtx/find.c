/* format/mtx/find.c - finding the three files of an MTX matrix.  See find.h.
 *
 * STEM is the matrix's name without .mtx and .gz, PREFIX what stands before "matrix" in it.  The
 * first file that exists is taken, plain before gzipped; the list goes from the specific to the
 * general, so that in a directory with many samples each finds its own.
 */
#include "format/mtx/find.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/strs.h"

/* '*' stands for PREFIX, '%' for STEM. */
static const char *const feature_names[] = {
    "*features.tsv",  "*genes.tsv",    "*peaks.bed",     "%.genes.txt", "%.features.txt",
    "%.genes.tsv",    "%.peaks.bed",   "%.features.tsv", "%_cols.txt",  "%_features.tsv",
    "%_genes.tsv",    "*genes.txt",    "*features.txt",  "%.mtx_rows",  "%.features.csv",
    "*all_genes.csv", "features.tsv",  "genes.tsv",      "peaks.bed",   "genes.txt",
    "features.txt",   "all_genes.csv", "genes.csv",      NULL};
static const char *const barcode_names[] = {"*barcodes.tsv",
                                            "%.barcodes.txt",
                                            "%.barcodes.tsv",
                                            "%_rows.txt",
                                            "%_barcodes.tsv",
                                            "*barcodes.txt",
                                            "%.mtx_cols",
                                            "%.barcodes.csv",
                                            "*cell_metadata.csv",
                                            "barcodes.tsv",
                                            "barcodes.txt",
                                            "cell_metadata.csv",
                                            NULL};

void cm_mtx_files_free(struct cm_mtx_files *f)
{
    cm_free(f->matrix);
    cm_free(f->features);
    cm_free(f->barcodes);
    cm_free(f->labels);
    cm_free(f->symbols);
    *f = (struct cm_mtx_files){0};
}

static bool ends_in(const char *s, size_t n, const char *tail)
{
    size_t m = strlen(tail);
    return n >= m && !memcmp(s + n - m, tail, m);
}

/* Length of the name without .mtx or .mtx.gz; 0 = neither. */
static size_t stem_of(const char *name)
{
    size_t n = strlen(name);
    n -= ends_in(name, n, ".gz") ? 3 : 0;
    return ends_in(name, n, ".mtx") ? n - 4 : 0;
}

/* Adds files in a directory that the user may have meant: .mtx, .h5, .h5ad, at most two levels
 * down. */
static void list_candidates(const char *dir, const char *below, int levels, struct cm_strs *found)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) && found->n < 6;) {
        struct cm_buf path = {0}, name = {0};
        struct stat st;
        cm_buf_printf(&path, "%s/%s", dir, e->d_name);
        cm_buf_printf(&name, "%s%s", below, e->d_name);
        bool folder = *e->d_name != '.' && !stat((char *)path.p, &st) && S_ISDIR(st.st_mode);
        if (folder && levels) {
            cm_buf_puts(&name, "/");
            cm_buf_u8(&name, 0);
            list_candidates((char *)path.p, (char *)name.p, levels - 1, found);
        } else if (!folder && (stem_of(e->d_name) || ends_in(e->d_name, strlen(e->d_name), ".h5") ||
                               ends_in(e->d_name, strlen(e->d_name), ".h5ad"))) {
            cm_strs_add(found, (char *)name.p);
        }
        cm_buf_free(&path);
        cm_buf_free(&name);
    }
    if (d)
        closedir(d);
}

static int list_names(const char *text, const char *dir, const struct cm_strs *names)
{
    struct cm_buf b = {0};
    for (size_t k = 0; k < names->n; k++)
        cm_buf_printf(&b, "%s%s", k ? ", " : "", cm_strs_get(names, k));
    int code = cm_fail(CM_EINPUT, "%s: %s%.700s", dir, text, b.n ? (const char *)b.p : "nothing");
    cm_buf_free(&b);
    return code;
}

/* The matrix in a directory: PREFIXmatrix.mtx[.gz] if it is there, else the only .mtx. */
static int matrix_in(const char *dir, const char *prefix, char **path)
{
    DIR *d = opendir(dir);
    if (!d)
        return cm_fail_errno(CM_ESYSTEM, "%s", dir);
    struct cm_strs all = {0}, plain = {0};
    const char *front = prefix ? prefix : "";
    size_t m = strlen(front);
    for (struct dirent *e; (e = readdir(d));) {
        size_t stem = stem_of(e->d_name);
        if (!stem || strncmp(e->d_name, front, m))
            continue;
        cm_strs_add(&all, e->d_name);
        if (stem == m + 6 && !memcmp(e->d_name + m, "matrix", 6))
            cm_strs_add(&plain, e->d_name);
    }
    closedir(d);
    const struct cm_strs *found = plain.n ? &plain : &all;
    int code = 0;
    if (found->n == 1) {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s%s%s", dir, ends_in(dir, strlen(dir), "/") ? "" : "/",
                      cm_strs_get(found, 0));
        *path = (char *)b.p;
    } else if (!found->n) {
        struct cm_strs other = {0};
        char what[512];
        list_candidates(dir, "", 2, &other);
        snprintf(what, sizeof what, "holds no %.150s*.mtx or %.150s*.mtx.gz%s", front, front,
                 other.n ? "; there is " : "");
        code = other.n ? list_names(what, dir, &other) : cm_fail(CM_EINPUT, "%s: %s", dir, what);
        cm_strs_free(&other);
    } else {
        code = list_names("holds several matrices; name one, or use --prefix: ", dir, found);
    }
    cm_strs_free(&all);
    cm_strs_free(&plain);
    return code;
}

/* The first of the names that exists beside the matrix; *path NULL if none does. */
static void beside(const char *matrix, const char *const *names, struct cm_strs *tried, char **path)
{
    const char *slash = strrchr(matrix, '/'), *base = slash ? slash + 1 : matrix;
    int dir = (int)(base - matrix);
    size_t stem = stem_of(base);
    stem = stem ? stem : strlen(base);
    size_t prefix = ends_in(base, stem, "matrix") ? stem - 6 : stem;
    bool general = prefix == 0;
    struct stat st;
    for (; *names; names++) {
        const char *n = *names;
        if (*n == '*' && prefix == stem)
            continue; /* no "matrix" in its name: no prefix */
        if (general && *n != '*' && *n != '%')
            continue; /* the same as with the empty prefix */
        int front = (int)(*n == '*' ? prefix : *n == '%' ? stem : 0);
        n += *n == '*' || *n == '%';
        for (int gz = 0; gz < 2; gz++) {
            struct cm_buf b = {0};
            cm_buf_printf(&b, "%.*s%.*s%s%s", dir, matrix, front, base, n, gz ? ".gz" : "");
            if (!stat((char *)b.p, &st) && !S_ISDIR(st.st_mode)) {
                *path = (char *)b.p;
                return;
            }
            if (!gz)
                cm_strs_add(tried, (char *)b.p + dir);
            cm_buf_free(&b);
        }
    }
}

/* Other files beside the matrix, at most eight. */
static void neighbours(const char *matrix, struct cm_strs *out)
{
    const char *slash = strrchr(matrix, '/'), *base = slash ? slash + 1 : matrix;
    char *dir = cm_strdup(slash ? matrix : ".");
    if (slash)
        dir[slash - matrix + (slash == matrix)] = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) && out->n < 8;)
        if (*e->d_name != '.' && strcmp(e->d_name, base))
            cm_strs_add(out, e->d_name);
    if (d)
        closedir(d);
    cm_free(dir);
}

static int need(const char *matrix, const char *what, const char *given, const char *const *names,
                char **path)
{
    struct cm_strs tried = {0};
    int code = 0;
    if (given)
        *path = cm_strdup(given);
    else
        beside(matrix, names, &tried, path);
    if (!*path) {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "no file of %s beside it; --%s names one; looked for (also .gz): ", what,
                      what);
        code = list_names((char *)b.p, matrix, &tried);
        struct cm_strs there = {0};
        neighbours(matrix, &there);
        b.n = 0;
        for (size_t k = 0; k < there.n; k++)
            cm_buf_printf(&b, "%s%.60s", k ? ", " : "; there is ", cm_strs_get(&there, k));
        if (there.n)
            code = cm_fail(code, "%.700s%.300s", cm_error_message(), (char *)b.p);
        cm_strs_free(&there);
        cm_buf_free(&b);
    }
    cm_strs_free(&tried);
    return code;
}

char *cm_mtx_find_symbols(const char *matrix)
{
    static const char *const names[] = {"%.genes.names.txt", NULL};
    struct cm_strs tried = {0};
    char *path = NULL;
    beside(matrix, names, &tried, &path);
    cm_strs_free(&tried);
    return path;
}

char *cm_mtx_find_labels(const char *matrix)
{
    static const char *const names[] = {"*labels.tsv", "%.labels.tsv", NULL};
    struct cm_strs tried = {0};
    char *path = NULL;
    beside(matrix, names, &tried, &path);
    cm_strs_free(&tried);
    return path;
}

int cm_mtx_find(struct cm_mtx_files *f, const char *operand, const char *prefix,
                const char *features, const char *barcodes, const char *labels)
{
    struct stat st;
    int code = 0;
    *f = (struct cm_mtx_files){0};
    if (!strcmp(operand, "-")) {
        if (!features || !barcodes)
            return cm_fail(CM_EUSAGE, "a matrix from standard input needs --features, --barcodes");
        f->matrix = cm_strdup(operand);
    } else if (stat(operand, &st)) {
        return cm_fail_errno(CM_ESYSTEM, "%s", operand);
    } else if (S_ISDIR(st.st_mode)) {
        code = matrix_in(operand, prefix, &f->matrix);
    } else if (prefix) {
        return cm_fail(CM_EUSAGE, "--prefix chooses in a directory; %s is a file", operand);
    } else {
        f->matrix = cm_strdup(operand);
    }
    if (!code)
        code = need(f->matrix, "features", features, feature_names, &f->features);
    if (!code)
        code = need(f->matrix, "barcodes", barcodes, barcode_names, &f->barcodes);
    if (labels && !code)
        f->labels = cm_strdup(labels);
    if (code)
        cm_mtx_files_free(f);
    return code;
}
