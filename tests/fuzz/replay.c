/* replay.c - runs a fuzz target over files, without a fuzzer.
 *
 * `make check` must not need clang, but what a fuzzer has found must never come back.  So every
 * target of tests/fuzz is also linked with this main: it hands the target each file of the
 * directories (or files) given, in order of their names, and prints TAP.  A crash ends the program
 * before its plan is complete, which the runner counts as a failure; the line "# NAME" that stands
 * last then says which file it was.  Memory is limited, because asking for too much is a finding
 * too; sanitizers map more than they use, so they go without.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t done;

static int one(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return -1;
    uint8_t *data = NULL;
    size_t n = 0, got = 1;
    while (got) {
        data = realloc(data, n + 65536);
        if (!data)
            abort();
        got = fread(data + n, 1, 65536, f);
        n += got;
    }
    fclose(f);
    data = realloc(data, n ? n : 1); /* the exact size: a read beyond it is found by asan */
    printf("# %s\n", path);
    fflush(stdout);
    int code = LLVMFuzzerTestOneInput(data, n);
    printf("%s %zu - %s\n", code ? "not ok" : "ok", ++done, path);
    free(data);
    return code;
}

static void limit_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const struct rlimit max = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    if (setrlimit(RLIMIT_AS, &max))
        abort();
#endif
}

int main(int argc, char **argv)
{
    int bad = 0;
    limit_memory();
    for (int k = 1; k < argc; k++) {
        struct dirent **entry;
        int n = scandir(argv[k], &entry, NULL, alphasort);
        if (n < 0) {
            bad |= one(argv[k]);
            continue;
        }
        for (int i = 0; i < n; i++) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[k], entry[i]->d_name);
            if (entry[i]->d_name[0] != '.')
                bad |= one(path);
            free(entry[i]);
        }
        free(entry);
    }
    printf("1..%zu\n", done);
    return bad || !done;
}
