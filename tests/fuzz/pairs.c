/* pairs.c - fuzz target: a table of pairs, as score and assign --tune read it.
 *
 * Promise: what is accepted is a pairing: both directions agree, and n of them are there.
 */
#include "fuzz.h"

#include "match/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const name[] = {"a", "b", "c", "d", "7", "x y", ""};
    struct cm_strs rows = {0}, cols = {0};
    struct cm_pairs p;
    char path[FUZZ_PATH];
    cm_panic_hook(fuzz_panic);
    for (size_t k = 0; k < 7; k++) {
        cm_strs_add(&rows, name[k]);
        cm_strs_add(&cols, name[6 - k]);
    }
    if (size && data[0] == '!') /* names that are not unique */
        cm_strs_add(&cols, "a");
    int fd = fuzz_file(data, size, path);
    if (!cm_pairs_read(&p, path, &rows, &cols)) {
        size_t n = 0;
        for (size_t i = 0; i < p.rows; i++)
            if (p.col_of_row[i] != CM_UNPAIRED) {
                FUZZ_PROMISE(p.col_of_row[i] < p.cols && p.row_of_col[p.col_of_row[i]] == i);
                n++;
            }
        FUZZ_PROMISE(n == p.n && n > 0);
        cm_pairs_free(&p);
    }
    close(fd);
    cm_strs_free(&rows);
    cm_strs_free(&cols);
    return 0;
}
