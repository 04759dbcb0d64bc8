/* h5edit - makes and changes HDF5 files for tests, which must not need Python.
 *
 * h5edit FILE COMMAND ARGUMENTS [-- COMMAND ARGUMENTS]...     (FILE is made if it is missing)
 *   type PATH              prints class, bits and extent: "i32 12", "f64 3 4", "text 5"
 *   group PATH             text PATH TEXT...      word PATH TEXT (a scalar)
 *   i64 PATH NUMBER...     f32, u32 the same      dense PATH COLUMNS NUMBER... (f32, rank 2)
 *   fixed PATH SIZE TEXT... (padded with NUL; \0 in TEXT is a NUL byte)
 *   attr PATH NAME TEXT    attrs PATH NAME TEXT...     shape PATH ROWS COLUMNS
 *   copy FROM TO           from FILE2 FROM TO     move FROM TO     del PATH
 *   scale PATH NUMBER      multiplies all values (floats)
 */
#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hid_t file;

static void need(long long got, const char *what)
{
    if (got < 0) {
        fprintf(stderr, "h5edit: %s failed\n", what);
        exit(2);
    }
}

static hid_t parents(void)
{
    hid_t p = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(p, 1);
    return p;
}

static hid_t text_type(void)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, H5T_VARIABLE);
    H5Tset_cset(t, H5T_CSET_UTF8);
    return t;
}

static void put(const char *path, hid_t type, hid_t mem, int rank, const hsize_t *dims,
                const void *v)
{
    hid_t links = parents(),
          space = rank ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t d = H5Dcreate2(file, path, type, space, links, H5P_DEFAULT, H5P_DEFAULT);
    need(d, path);
    need(H5Dwrite(d, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, v), path);
    need(H5Dclose(d), path);
}

static void put_numbers(char **a, int n, hid_t type)
{
    double *v = calloc((size_t)n + 1, sizeof *v);
    hsize_t dims = (hsize_t)n - 1;
    for (int k = 1; k < n; k++)
        v[k - 1] = strtod(a[k], NULL);
    put(a[0], type, H5T_NATIVE_DOUBLE, 1, &dims, v);
    free(v);
}

static void put_dense(char **a, int n)
{
    double *v = calloc((size_t)n + 1, sizeof *v);
    hsize_t cols = strtoull(a[1], NULL, 10), dims[2] = {(hsize_t)(n - 2) / cols, cols};
    for (int k = 2; k < n; k++)
        v[k - 2] = strtod(a[k], NULL);
    put(a[0], H5T_IEEE_F32LE, H5T_NATIVE_DOUBLE, 2, dims, v);
    free(v);
}

static void put_fixed(char **a, int n)
{
    size_t size = strtoul(a[1], NULL, 10);
    char *v = calloc((size_t)n, size);
    hsize_t dims = (hsize_t)n - 2;
    for (int k = 2; k < n; k++)
        for (size_t i = 0, j = 0; a[k][i] && j < size; i++, j++) {
            bool nul = a[k][i] == '\\' && a[k][i + 1] == '0';
            v[(size_t)(k - 2) * size + j] = nul ? 0 : a[k][i];
            i += nul;
        }
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, size);
    H5Tset_strpad(t, H5T_STR_NULLPAD);
    put(a[0], t, t, 1, &dims, v);
    free(v);
}

static void put_attr(char **a, int n, bool list)
{
    hsize_t dims = (hsize_t)n - 2;
    hid_t t = text_type(), space = list ? H5Screate_simple(1, &dims, NULL) : H5Screate(H5S_SCALAR);
    if (H5Aexists_by_name(file, a[0], a[1], H5P_DEFAULT) > 0)
        need(H5Adelete_by_name(file, a[0], a[1], H5P_DEFAULT), a[1]);
    hid_t at = H5Acreate_by_name(file, a[0], a[1], t, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    need(at, a[1]);
    if (n > 2)
        need(H5Awrite(at, t, a + 2), a[1]);
    H5Aclose(at);
}

static void put_shape(char **a)
{
    int64_t v[2] = {strtoll(a[1], NULL, 10), strtoll(a[2], NULL, 10)};
    hsize_t two = 2;
    hid_t space = H5Screate_simple(1, &two, NULL);
    hid_t at = H5Acreate_by_name(file, a[0], "shape", H5T_STD_I64LE, space, H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT);
    need(at, "shape");
    need(H5Awrite(at, H5T_NATIVE_INT64, v), "shape");
    H5Aclose(at);
}

static void scale(char **a)
{
    hid_t d = H5Dopen2(file, a[0], H5P_DEFAULT);
    need(d, a[0]);
    hssize_t n = H5Sget_simple_extent_npoints(H5Dget_space(d));
    double *v = calloc((size_t)n + 1, sizeof *v), by = strtod(a[1], NULL);
    need(H5Dread(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v), a[0]);
    for (hssize_t k = 0; k < n; k++)
        v[k] *= by;
    need(H5Dwrite(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, v), a[0]);
    H5Dclose(d);
    free(v);
}

static void print_type(const char *path)
{
    hid_t d = H5Dopen2(file, path, H5P_DEFAULT);
    need(d, path);
    hid_t t = H5Dget_type(d);
    hsize_t dims[8];
    int rank = H5Sget_simple_extent_dims(H5Dget_space(d), dims, NULL);
    const char *name = H5Tget_class(t) == H5T_FLOAT     ? "f"
                       : H5Tget_class(t) == H5T_STRING  ? "text"
                       : H5Tget_class(t) != H5T_INTEGER ? "other"
                       : H5Tget_sign(t) == H5T_SGN_NONE ? "u"
                                                        : "i";
    printf("%s", name);
    if (!name[1])
        printf("%zu", 8 * H5Tget_size(t));
    for (int k = 0; k < rank; k++)
        printf(" %llu", (unsigned long long)dims[k]);
    printf("\n");
    H5Dclose(d);
}

static void copy_from(char **a)
{
    hid_t other = H5Fopen(a[0], H5F_ACC_RDONLY, H5P_DEFAULT);
    need(other, a[0]);
    need(H5Ocopy(other, a[1], file, a[2], H5P_DEFAULT, parents()), a[2]);
    H5Fclose(other);
}

static void run(char **a, int n)
{
    const char *c = a[0];
    hsize_t dims = n > 2 ? (hsize_t)n - 2 : 0;
    if (!strcmp(c, "type") && n == 2)
        print_type(a[1]);
    else if (!strcmp(c, "group") && n == 2)
        need(H5Gclose(H5Gcreate2(file, a[1], parents(), H5P_DEFAULT, H5P_DEFAULT)), a[1]);
    else if (!strcmp(c, "text") && n > 1)
        put(a[1], text_type(), text_type(), 1, &dims, a + 2);
    else if (!strcmp(c, "word") && n == 3)
        put(a[1], text_type(), text_type(), 0, NULL, a + 2);
    else if (!strcmp(c, "i64") && n > 1)
        put_numbers(a + 1, n - 1, H5T_STD_I64LE);
    else if (!strcmp(c, "u32") && n > 1)
        put_numbers(a + 1, n - 1, H5T_STD_U32LE);
    else if (!strcmp(c, "f32") && n > 1)
        put_numbers(a + 1, n - 1, H5T_IEEE_F32LE);
    else if (!strcmp(c, "dense") && n > 3)
        put_dense(a + 1, n - 1);
    else if (!strcmp(c, "fixed") && n > 3)
        put_fixed(a + 1, n - 1);
    else if (!strcmp(c, "attr") && n == 4)
        put_attr(a + 1, n - 1, false);
    else if (!strcmp(c, "attrs") && n > 2)
        put_attr(a + 1, n - 1, true);
    else if (!strcmp(c, "shape") && n == 4)
        put_shape(a + 1);
    else if (!strcmp(c, "copy") && n == 3)
        need(H5Ocopy(file, a[1], file, a[2], H5P_DEFAULT, parents()), a[2]);
    else if (!strcmp(c, "from") && n == 4)
        copy_from(a + 1);
    else if (!strcmp(c, "move") && n == 3)
        need(H5Lmove(file, a[1], file, a[2], parents(), H5P_DEFAULT), a[2]);
    else if (!strcmp(c, "del") && n == 2)
        need(H5Ldelete(file, a[1], H5P_DEFAULT), a[1]);
    else if (!strcmp(c, "scale") && n == 3)
        scale(a + 1);
    else
        need(-1, c);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        need(-1, "usage: h5edit FILE COMMAND ARGUMENTS [-- COMMAND ARGUMENTS]...");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    FILE *f = fopen(argv[1], "rb");
    if (f)
        fclose(f);
    file = f ? H5Fopen(argv[1], H5F_ACC_RDWR, H5P_DEFAULT)
             : H5Fcreate(argv[1], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    need(file, argv[1]);
    for (int k = 2, from = 2; k <= argc; k++)
        if (k == argc || !strcmp(argv[k], "--")) {
            run(argv + from, k - from);
            from = k + 1;
        }
    need(H5Fclose(file), "close");
    return 0;
}
