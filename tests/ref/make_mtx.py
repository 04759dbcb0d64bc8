#!/usr/bin/python3
"""Makes tests/ref/mtx.tar.zst: MTX matrices in the layouts of many programs, and what is in them.

The matrices are written by scipy.io.mmwrite where it can write the case, else by hand; what they mean
is given by scipy.io.mmread of the same file (which adds up repeated entries), in want.tsv: cell, feature,
value, in order of cells and features.  `args` beside it holds the options of mtx-read.
"""
import gzip, io, os, shutil, subprocess
import numpy as np
import scipy.io, scipy.sparse as sp

here = os.path.dirname(os.path.abspath(__file__))
out = '/tmp/cellmatch-mtx'
shutil.rmtree(out, ignore_errors=True)
g = np.random.default_rng(11)


def counts(n, m, density=.3):
    x = sp.random(n, m, density, 'csc', random_state=g, data_rvs=lambda k: g.integers(1, 400, k)).astype(int)
    x.sort_indices()
    return x


def put(path, data, gz=False):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    data = data.encode() if isinstance(data, str) else data
    open(path, 'wb').write(gzip.compress(data, mtime=0) if gz else data)


def mm(x, **k):
    b = io.BytesIO()
    scipy.io.mmwrite(b, x, **k)
    return b.getvalue().decode()


def lines(names):
    return ''.join(n + '\n' for n in names)


def number(v):
    return repr(int(v)) if v == int(v) and abs(v) <= 2**53 else repr(float(v))


def tell(case, text, cells, features, rows=False, args=''):
    """What SciPy finds in the text of a matrix, cells x features; stored zeros stay."""
    x = scipy.io.mmread(io.BytesIO(text.encode() if isinstance(text, str) else text))
    x = x if rows else x.T
    sum = {}
    for i, j, v in zip(x.row, x.col, x.data):
        sum[i, j] = sum.get((i, j), 0) + v
    put(f'{out}/{case}.want.tsv', ''.join(f'{cells[i]}\t{features[j]}\t{number(v)}\n' for (i, j), v in sorted(sum.items())))
    put(f'{out}/{case}.args', args + '\n')


cells = [f'AAC{i:03}-1' for i in range(9)]
genes = [f'ENSG{j:05}' for j in range(14)]
names = [f'Gene{j}' for j in range(14)]
peaks = [('chr1', 9, 20), ('chr2', 100, 180), ('chrX', 5, 8), ('chrUn_K1', 0, 3)]

# Cell Ranger 2, as SciPy writes it
t = mm(counts(14, 9))
put(f'{out}/cr2/matrix.mtx', t); put(f'{out}/cr2/genes.tsv', lines(f'{a}\t{b}' for a, b in zip(genes, names)))
put(f'{out}/cr2/barcodes.tsv', lines(cells)); tell('cr2', t, cells, genes)

# Cell Ranger 3: comment with metadata, entries of a cell from the last feature to the first
x = counts(14, 9)
body = [f'{i + 1} {j + 1} {x[i, j]}' for j in range(9) for i in reversed(range(14)) if x[i, j]]
t = '%%MatrixMarket matrix coordinate integer general\n%metadata_json: {"software_version": "x", "format_version": 2}\n' + \
    f'14 9 {x.nnz}\n' + lines(body)
put(f'{out}/cr3/matrix.mtx.gz', t, 1); put(f'{out}/cr3/barcodes.tsv.gz', lines(cells), 1)
put(f'{out}/cr3/features.tsv.gz', lines(f'{a}\t{b}\tGene Expression' for a, b in zip(genes, names)), 1)
tell('cr3', t, cells, genes)

# ARC: genes and peaks with places, one gene without
ids = genes[:10] + [f'{c}:{a}-{b}' for c, a, b in peaks]
place = [('chr1', 5 * j, 5 * j + 3) for j in range(9)] + [('', '', '')] + peaks
t = mm(counts(14, 9))
put(f'{out}/arc/matrix.mtx.gz', t, 1); put(f'{out}/arc/barcodes.tsv.gz', lines(cells), 1)
put(f'{out}/arc/features.tsv.gz', lines(f'{i}\t{i}\t{"Gene Expression" if k < 10 else "Peaks"}\t{p[0]}\t{p[1]}\t{p[2]}'
                                       for k, (i, p) in enumerate(zip(ids, place))), 1)
x = scipy.io.mmread(io.BytesIO(t.encode())).tocsr()
tell('arc', mm(x[:10].tocoo()), cells, ids[:10], args='--type GEX')

# STARsolo: names of version 3, plain, beside other matrices
t = mm(counts(14, 9))
put(f'{out}/star/matrix.mtx', t); put(f'{out}/star/barcodes.tsv', lines(cells))
put(f'{out}/star/UniqueAndMult-EM.mtx', mm(counts(14, 9)))
put(f'{out}/star/features.tsv', lines(f'{a}\t{b}\tGene Expression' for a, b in zip(genes, names)))
tell('star', t, cells, genes)

# velocyto's: the matrix has another name, the names are the general ones
t = mm(counts(14, 9))
put(f'{out}/velo/spliced.mtx', t); put(f'{out}/velo/unspliced.mtx', mm(counts(14, 9)))
put(f'{out}/velo/barcodes.tsv', lines(cells)); put(f'{out}/velo/features.tsv', lines(genes))
tell('velo', t, cells, genes, args='/spliced.mtx')

# Cell Ranger ATAC
t = mm(counts(4, 9, .6))
put(f'{out}/atac/matrix.mtx', t); put(f'{out}/atac/barcodes.tsv', lines(cells))
put(f'{out}/atac/peaks.bed', lines(f'{c}\t{a}\t{b}' for c, a, b in peaks))
tell('atac', t, cells, ids[10:])

# kallisto | bustools: cells in rows, row by row
x = counts(9, 14).tocsr()
t = mm(x)
put(f'{out}/kb/cells_x_genes.mtx', t); put(f'{out}/kb/cells_x_genes.barcodes.txt', lines(cells))
put(f'{out}/kb/cells_x_genes.genes.txt', lines(genes)); tell('kb', t, cells, genes, True)

# alevin: cells in rows, decimals
x = counts(9, 14).astype(float); x.data /= 8
t = mm(x)
put(f'{out}/alevin/quants_mat.mtx.gz', t, 1); put(f'{out}/alevin/quants_mat_rows.txt', lines(cells))
put(f'{out}/alevin/quants_mat_cols.txt', lines(genes)); tell('alevin', t, cells, genes, True)

# GEO: two samples in one directory
for k in '12':
    t = mm(counts(14, 9))
    put(f'{out}/geo/GSM{k}_a_matrix.mtx.gz', t, 1); put(f'{out}/geo/GSM{k}_a_barcodes.tsv.gz', lines(c + k for c in cells), 1)
    put(f'{out}/geo/GSM{k}_a_genes.tsv.gz', lines(f'{a}\t{b}' for a, b in zip(genes, names)), 1)
tell('geo', t, [c + '2' for c in cells], genes, args='--prefix GSM2_')

# R's writeMM of a Seurat object: sorted by features' column, real, one column of names that repeat
x = counts(14, 9).astype(float)
t = mm(x, field='real')
put(f'{out}/seurat/matrix.mtx', t); put(f'{out}/seurat/barcodes.tsv', lines(cells)); put(f'{out}/seurat/genes.tsv', lines(['A'] + names[1:13] + ['A']))
tell('seurat', t, cells, ['A'] + names[1:13] + ['A'])

# everything that readers stumble over: Windows lines, blank lines, comments between entries, any order,
# repeated entries, stored zeros, signs, exponents, no last line end, several gzip members and an empty one
x = counts(14, 9)
e = [(i, j, f'{v}') for i, j, v in zip(x.tocoo().row, x.tocoo().col, x.tocoo().data)]
e += [(3, 2, '0'), (3, 2, '2.5'), (3, 2, '-1e-3'), (0, 0, '+7E+2'), (13, 8, '0.1'), (13, 8, '0.2'), (5, 5, '0'),
      (6, 1, '123456789.123456789'), (6, 2, '1.7976931348623157e308'), (6, 3, '2.2250738585072014e-308'), (6, 4, '.5'), (6, 5, '5.'),
      (7, 6, '0.30000000000000004'), (7, 7, '100000000000000000000'), (8, 8, '9007199254740993.0')]
e = [e[k] for k in g.permutation(len(e))]
body = [f' {i + 1}\t{j + 1}  {v} ' for i, j, v in e]
clean = '%%MatrixMarket matrix coordinate real general\n' + f'14 9 {len(e)}\n' + lines(body)
body.insert(5, '% a comment'); body.insert(9, ''); body.insert(12, '   ')
t = '%%matrixmarket MATRIX Coordinate Real General\r\n%\r\n%second\r\n\r\n' + f' 14  9\t{len(e)}\r\n' + '\r\n'.join(body)
t = t.encode()
cut = [0, 40, 41, 200, len(t)]
put(f'{out}/odd/matrix.mtx.gz', b''.join(gzip.compress(t[a:b], mtime=0) for a, b in zip(cut, cut[1:])) + gzip.compress(b'', mtime=0) + b'\0' * 9)
put(f'{out}/odd/barcodes.tsv.gz', '\r\n'.join(cells) + '\r\n\r\n', 1)
put(f'{out}/odd/features.tsv', '\ufeff' + '\r\n'.join(f'{a}\t{b}' for a, b in zip(genes, names)))
tell('odd', clean, cells, genes)

# pattern; symmetric (cells by cells)
x = counts(14, 9); x.data[:] = 1
t = mm(x, field='pattern')
put(f'{out}/pattern/matrix.mtx', t); put(f'{out}/pattern/barcodes.tsv', lines(cells)); put(f'{out}/pattern/genes.tsv', lines(genes))
tell('pattern', t, cells, genes)
x = counts(9, 9); x = sp.tril(x).tocoo()
t = f'%%MatrixMarket matrix coordinate integer symmetric\n9 9 {x.nnz}\n' + lines(f'{i + 1} {j + 1} {v}' for i, j, v in zip(x.row, x.col, x.data))
put(f'{out}/symmetric/matrix.mtx', t); put(f'{out}/symmetric/barcodes.tsv', lines(cells)); put(f'{out}/symmetric/features.tsv', lines(genes[:9]))
tell('symmetric', t, cells, genes, args='--cells-are rows')

# empty matrices
for name, n, m in ('no-entries', 14, 9), ('no-cells', 14, 0), ('no-features', 0, 9):
    t = f'%%MatrixMarket matrix coordinate integer general\n{n} {m} 0\n'
    put(f'{out}/{name}/matrix.mtx', t); put(f'{out}/{name}/barcodes.tsv', lines(cells[:m])); put(f'{out}/{name}/genes.tsv', lines(genes[:n]))
    put(f'{out}/{name}.want.tsv', ''); put(f'{out}/{name}.args', '\n')

subprocess.run(f"tar -C {out} --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | zstd -19 -qf -o {here}/mtx.tar.zst",
               shell=True, check=True)
