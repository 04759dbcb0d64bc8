#!/usr/bin/python3
"""Makes tests/ref/formats.tar.zst: small files of every layout that h5-read takes, each with a text
of what is in it, as NumPy, SciPy, pandas and anndata see it (never as our own code does).  One
archive, because HDF5 pads every file with kilobytes of zeros.

    slot NAME STATE csr|dense wide|plain
    label NAME TYPE [ordered] CATEGORY|CATEGORY...        (the categories of a cat)
    column NAME VECTOR=VALUE ...
    row NAME VALUE ... ; COLUMN:VALUE ...                 (stored entries; of a dense matrix all)

Numbers are %.17g, missing values are -.  Run with anndata 0.8 and h5py; the archive is committed.
"""
import os, subprocess, tempfile, warnings, zlib
import h5py, numpy as np, pandas as pd, scipy.sparse as sp, anndata as ad

warnings.filterwarnings('ignore')
here = os.path.dirname(os.path.abspath(__file__))
scratch = tempfile.TemporaryDirectory()
out = scratch.name
g = np.random.default_rng(7)
num = lambda v: '%.17g' % v


def value(v):
    if v is None or v is pd.NA or (isinstance(v, float) and np.isnan(v)):
        return '-'
    if isinstance(v, (bool, np.bool_)):
        return 'true' if v else 'false'
    if isinstance(v, (int, np.integer)):
        return str(int(v))
    return num(v) if isinstance(v, (float, np.floating)) else str(v)


def kind(s):
    if isinstance(s.dtype, pd.CategoricalDtype):
        return 'cat'
    if s.dtype.name in ('bool', 'boolean'):
        return 'bool'
    return 'i64' if s.dtype.name.lower().startswith(('int', 'uint')) else 'f64' if s.dtype.kind == 'f' else 'str'


def tell(name, slot, state, X, obs, var, wide=False):
    """obs and var: data frames; var as the stream must have it."""
    with open(f'{out}/{name}.txt', 'w') as f:
        dense = isinstance(X, np.ndarray)
        print('slot', slot, state, 'dense' if dense else 'csr', 'wide' if wide else 'plain', file=f)
        for c in obs:
            s, k = obs[c], kind(obs[c])
            more = ''
            if k == 'cat':
                more = (' ordered' if s.cat.ordered else '') + ' ' + '|'.join(map(str, s.cat.categories))
            print('label', c, k + more, file=f)
        for i, n in enumerate(var.index):
            print('column', n, *[f'{c}={value(var[c].iloc[i])}' for c in var], file=f)
        for i, n in enumerate(obs.index):
            if dense:
                e = [f'{j}:{num(v)}' for j, v in enumerate(X[i])]
            else:
                e = [f'{j}:{num(v)}' for j, v in zip(X.indices[X.indptr[i]:X.indptr[i + 1]], X.data[X.indptr[i]:X.indptr[i + 1]])]
            print('row', n, *[value(obs[c].iloc[i]) for c in obs], ';', *e, file=f)


def counts(n, m, density=.3, dtype='f4'):
    x = sp.random(n, m, density, 'csr', random_state=3)
    x.data = g.integers(1, 9, x.nnz).astype(dtype)
    return x


def labels(n):
    return pd.DataFrame({
        'batch': pd.Categorical.from_codes(g.integers(-1, 3, n), ['s1', 's 2', 'd3']),
        'stage': pd.Categorical.from_codes(g.integers(0, 2, n), ['late', 'early'], ordered=True),
        'number': pd.Categorical.from_codes(g.integers(-1, 2, n), [10, 2]),
        'good': g.integers(0, 2, n).astype(bool),
        'maybe': pd.array([None if v == 2 else bool(v) for v in g.integers(0, 3, n)], 'boolean'),
        'reads': g.integers(-5, 10**12, n),
        'some': pd.array([None if v == 2 else int(v) for v in g.integers(0, 9, n)], 'Int64'),
        'size_factors': np.where(g.random(n) < .1, np.nan, g.random(n)),
        'text': [f'cell {i} \u00b5' for i in range(n)],
    }, index=[f'cell{i}' for i in range(n)])


# ---- anndata 0.8: labels of every type, layers, raw; more rows than a block ----------------------
n, m = 530, 6
obs, x = labels(n), counts(n, m)
var = pd.DataFrame({'gene_ids': [f'ENSG{j}' for j in range(m)],
                    'feature_types': pd.Categorical(['GEX'] * m),
                    'chrom': pd.Categorical(['chr2', 'chr1', 'chr1', 'chrX', 'chr2', 'chrX']),
                    'chromStart': ['5', '1', '2', '3', 'NA', '9'],
                    'chromEnd': [7., 2., 3., np.nan, 11., 12.]}, index=[f'gene{j}' for j in range(m)])
a = ad.AnnData(x, obs.copy(), var.copy(), dtype='f4')
a.layers['log'] = sp.csc_matrix(np.log1p(x.astype('f8')))
a.layers['whole'] = (x.toarray() * 3).astype('i4')
a.raw = ad.AnnData(counts(n, 3), obs.copy(), pd.DataFrame(index=['r0', 'r1', 'r2']), dtype='f4')
a.uns['dataset_id'], a.uns['organism'] = 'made', 'human'
a.write_h5ad(f'{out}/new.h5ad', compression='gzip')
seen = var.assign(chrom=var.chrom.astype(str), feature_types='GEX', start=pd.array([5, 1, 2, 3, None, 9], 'Int64'),
                  end=pd.array([7, 2, 3, None, 11, 12], 'Int64'))[['gene_ids', 'feature_types', 'chrom', 'start', 'end']]
tell('new.h5ad', 'GEX', 'counts', x, obs, seen)
few = obs[[]]
tell('new.log', 'GEX', 'unknown', sp.csr_matrix(a.layers['log']), few, seen, True)
tell('new.whole', 'GEX', 'counts', a.layers['whole'], few, seen)
tell('new.raw', 'X', 'counts', sp.csr_matrix(a.raw.X), few, a.raw.var)
keep = ((obs.batch == 's 2') | (obs.batch == 'd3')).to_numpy() & obs.good.to_numpy()
tell('new.where', 'GEX', 'counts', x[keep], obs.loc[keep, ['reads', 'batch']], seen)

# ---- anndata 0.7: categories by object reference, lzf ------------------------------------------
n, m = 9, 4
obs = labels(n)[['batch', 'stage', 'good', 'reads', 'text']]
x, bool_ = counts(n, m), h5py.special_dtype(enum=('i1', {'FALSE': 0, 'TRUE': 1}))
with h5py.File(f'{out}/v07.h5ad', 'w', libver='earliest') as h:
    X = h.create_group('X')
    X.attrs['encoding-type'], X.attrs['encoding-version'], X.attrs['shape'] = 'csr_matrix', '0.1.0', [n, m]
    for k in 'data', 'indices', 'indptr':
        X.create_dataset(k, data=getattr(x, k), compression='lzf')
    for name, t in ('obs', obs), ('var', pd.DataFrame(index=[f'g{j}' for j in range(m)])):
        f = h.create_group(name)
        f.attrs['encoding-type'], f.attrs['encoding-version'], f.attrs['_index'] = 'dataframe', '0.1.0', 'ix'
        f.attrs['column-order'] = np.array(list(t), dtype=object) if len(t.columns) else np.zeros(0)
        f.create_dataset('ix', data=np.array(t.index, dtype=object), dtype=h5py.string_dtype())
        for c in t:
            if kind(t[c]) == 'cat':
                d = f.create_dataset(f'__categories/{c}', data=np.array(t[c].cat.categories, dtype=object), dtype=h5py.string_dtype(), compression='lzf')
                d.attrs.create('ordered', bool(t[c].cat.ordered), dtype=bool_)
                f.create_dataset(c, data=t[c].cat.codes.to_numpy(), compression='lzf').attrs['categories'] = d.ref
            elif kind(t[c]) == 'str':
                f.create_dataset(c, data=t[c].to_numpy(dtype=object), dtype=h5py.string_dtype())
            else:
                f.create_dataset(c, data=t[c].to_numpy())
tell('v07.h5ad', 'X', 'counts', x, obs, pd.DataFrame(index=[f'g{j}' for j in range(m)]))

# ---- before 0.7: compound tables, h5sparse_*, fixed strings, categories in uns, raw.X ------------
with h5py.File(f'{out}/v05.h5ad', 'w', libver='earliest') as h:
    X = h.create_group('X')
    X.attrs['h5sparse_format'], X.attrs['h5sparse_shape'] = np.bytes_('csc'), [n, m]
    for k in 'data', 'indices', 'indptr':
        X.create_dataset(k, data=getattr(x.tocsc(), k))
    t = np.zeros(n, dtype=[('index', 'S5'), ('kind', 'i1'), ('n', '<i8'), ('f', '<f4'), ('plain', 'i1')])
    t['index'], t['kind'], t['n'], t['plain'] = [f'c{i}'.encode() for i in range(n)], g.integers(-1, 2, n), np.arange(n) * 7, 5
    t['f'] = g.random(n)
    h['obs'], h['var'] = t, np.array([(f'g{j}'.encode(),) for j in range(m)], dtype=[('index', 'S2')])
    h['uns/kind_categories'], h['uns/plain_categories'] = np.array([b'A', b'BB']), np.array([b'only'])
o = pd.DataFrame({'kind': pd.Categorical.from_codes(t['kind'], ['A', 'BB']), 'n': t['n'], 'f': t['f'].astype('f8'),
                  'plain': t['plain'].astype('i8')}, index=[f'c{i}' for i in range(n)])
tell('v05.h5ad', 'X', 'counts', x, o, pd.DataFrame(index=[f'g{j}' for j in range(m)]))

# ---- odd: index as nullable strings, no shape, unsigned short indices not sorted, duplicates, explicit zeros, attributes of
# fixed length, numbers beyond a float, a column with a slash, one that nobody can read -------------
with h5py.File(f'{out}/odd.h5ad', 'w', libver='earliest') as h:
    h.attrs['encoding-type'] = np.bytes_('anndata')
    X = h.create_group('X')
    X.attrs['encoding-type'] = np.bytes_('csr_matrix')
    X['indptr'], X['indices'] = np.array([0, 4, 4, 7], 'u4'), np.array([3, 0, 3, 1, 2, 0, 1], 'u2')
    X['data'] = np.array([1, 2, 5, 0, 16777217, 4, 2.**40])
    f = h.create_group('obs')
    f.attrs['_index'], f.attrs['column-order'] = np.bytes_('_index'), np.array([b'a/b', b'odd', b'u'])
    f.create_dataset('_index/values', data=np.array(['x', 'y', 'z'], dtype=object), dtype=h5py.string_dtype())
    f['_index/mask'] = np.zeros(3, bool)
    f['_index'].attrs['encoding-type'] = 'nullable-string-array'
    f['a/b'], f['odd'], f['u'] = np.array([1, 2, 3], 'u1'), np.array([1j, 2, 3]), np.array([1.5, np.nan, 2], 'f2')
    f = h.create_group('var')
    f.attrs['_index'] = 'id'
    f['id'], f['interval'] = np.arange(4), np.array([b'chr1:5-9', b'NA', b'HLA-A*01:01:3-4', b'chrY:-1-0'])
tell('odd.h5ad', 'X', 'counts', sp.csr_matrix(([2., 0, 6, 4, 2.**40, 16777217], [0, 1, 3, 0, 1, 2], [0, 3, 3, 6]), (3, 4)),
     pd.DataFrame({'a/b': [1, 2, 3], 'u': [1.5, np.nan, 2]}, index=list('xyz')),
     pd.DataFrame({'chrom': ['chr1', '', 'HLA-A*01:01', 'chrY'], 'start': pd.array([5, None, 3, -1], 'Int64'),
                   'end': pd.array([9, None, 4, 0], 'Int64')}, index=list('0123')), True)

# ---- 10x: three types in one matrix, and two genomes of the old layout ----------------------------
n = 7
ids = ['ENSG1', 'ENSG2', 'MT', 'chr1:10-20', 'chr2:1-5', 'CD3']
types = ['Gene Expression'] * 3 + ['Peaks'] * 2 + ['Antibody Capture']
interval = ['chr1:1-2', 'chr3:5-6', 'NA', 'chr1:10-20', 'chr2:1-5', 'NA']
x = counts(n, 6, .5)
with h5py.File(f'{out}/tenx3.h5', 'w', libver='earliest') as h:
    h.attrs['filetype'], h.attrs['version'] = np.bytes_('matrix'), 2
    M = h.create_group('matrix')
    M['barcodes'] = np.array([f'AAC{i}-1'.encode() for i in range(n)], 'S18')
    M.create_dataset('data', data=x.data.astype('u4'), chunks=(4,), compression='gzip', shuffle=True)
    M['indices'], M['indptr'], M['shape'] = x.indices.astype('i8'), x.indptr.astype('u8'), np.array([6, n], 'i4')
    for k, v in dict(id=ids, name=[i.lower() for i in ids], feature_type=types, genome=['hg'] * 6, interval=interval).items():
        M[f'features/{k}'] = np.array([s.encode() for s in v], 'S256')
    M['features/_all_tag_keys'] = np.array([b'genome', b'interval'])
where = [s.rsplit(':', 1) for s in interval]
v = pd.DataFrame({'feature_name': [i.lower() for i in ids], 'feature_types': types, 'genome': 'hg',
                  'chrom': [w[0] if len(w) == 2 else '' for w in where],
                  'start': pd.array([int(w[1].split('-')[0]) if len(w) == 2 else None for w in where], 'Int64'),
                  'end': pd.array([int(w[1].split('-')[1]) if len(w) == 2 else None for w in where], 'Int64')}, index=ids)
o = pd.DataFrame(index=[f'AAC{i}-1' for i in range(n)])
for part, slot, at in ('gex', 'GEX', [0, 1, 2]), ('peaks', 'ATAC', [3, 4]), ('adt', 'ADT', [5]):
    tell(f'tenx3.{part}', slot, 'counts', x[:, at], o, v.iloc[at])
with h5py.File(f'{out}/tenx2.h5', 'w', libver='earliest') as h:
    for k, genome in enumerate(['hg19', 'mm10']):
        y = counts(4 + k, 3, .6)
        G = h.create_group(genome)
        G['barcodes'] = np.array([f'B{i}'.encode() for i in range(4 + k)])
        G['genes'], G['gene_names'] = np.array([b'E0', b'E1', b'E2']), np.array([b'a', b'b', b'c'])
        G['data'], G['indices'], G['indptr'], G['shape'] = y.data.astype('i4'), y.indices.astype('i8'), y.indptr.astype('i8'), np.array([3, 4 + k], 'i4')
        G['stray'] = 5
        G['barcodes'].attrs['TITLE'] = h5py.Empty('S1')
        tell(f'tenx2.{genome}', 'GEX', 'counts', y, pd.DataFrame(index=[f'B{i}' for i in range(4 + k)]),
             pd.DataFrame({'feature_name': list('abc')}, index=['E0', 'E1', 'E2']))

# ---- MuData, with its user block; one modality dense -----------------------------------------------
with h5py.File(f'{out}/two.h5mu', 'w', libver='earliest', userblock_size=512) as h:
    h.attrs['encoding-type'], h.attrs['encoding-version'], h.attrs['axis'] = 'MuData', '0.1.0', 0
    h.create_group('mod').attrs['mod-order'] = np.array(['rna', 'prot'], dtype=object)
    xs = counts(5, 3), g.random((4, 2)).astype('f4')
    for name, X in zip(('rna', 'prot'), xs):
        ad._io.h5ad.write_elem(h, f'mod/{name}', ad.AnnData(X, dtype='f4'))
        tell(f'two.{name}', 'GEX' if name == 'rna' else 'ADT', 'counts' if name == 'rna' else 'unknown', X,
             pd.DataFrame(index=[str(i) for i in range(X.shape[0])]), pd.DataFrame(index=[str(j) for j in range(X.shape[1])]))
with open(f'{out}/two.h5mu', 'r+b') as f:
    f.write(b'MuData (format-version=0.1.0;creator=made;creator-version=0)')

# ---- a Zstandard chunk made by the program zstd, not by us ----------------------------------------
x = counts(4, 3, .9)
with h5py.File(f'{out}/zstd.h5ad', 'w', libver='earliest') as h:
    ad._io.h5ad.write_elem(h, '/', ad.AnnData(sp.csr_matrix((4, 3), dtype='f4'), dtype='f4'))
    del h['X/data'], h['X/indices'], h['X/indptr']
    h['X/indices'], h['X/indptr'] = x.indices, x.indptr
    p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    p.set_chunk((x.nnz,))
    p.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
    d = h5py.h5d.create(h['X'].id, b'data', h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((x.nnz,)), p)
    # -c with a file, so that the frame carries its content size
    open(f'{out}/raw', 'wb').write(x.data.astype('<f4').tobytes())
    d.write_direct_chunk((0,), subprocess.run(['zstd', '-qc', f'{out}/raw'], capture_output=True, check=True).stdout)
    os.unlink(f'{out}/raw')
tell('zstd.h5ad', 'X', 'counts', x, pd.DataFrame(index=list('0123')), pd.DataFrame(index=list('012')))

# ---- a prediction and a solution of the competition -----------------------------------------------
n = 6
order = g.permutation(n)                                 # mod2 row r belongs to mod1 row order[r]
p = sp.csc_matrix(np.full((n, n), 1 / n, 'f4'))
ad.AnnData(p, uns={'dataset_id': 'made', 'method_id': 'flat'}, dtype='f4').write_h5ad(f'{out}/prediction.h5ad')
s = sp.csc_matrix((np.ones(n, 'f4'), (order, np.arange(n))), (n, n))
ad.AnnData(s, uns={'dataset_id': 'made', 'pairing_ix': order.astype('f8')}, dtype='f4').write_h5ad(f'{out}/solution.h5ad')
with open(f'{out}/solution.txt', 'w') as f:
    print('row1\trow2', file=f)
    for i, r in enumerate(np.argsort(order)):
        print(i, r, sep='\t', file=f)

# ---- the same matrix in every storage that a writer may choose ------------------------------------
# 700 cells, so that blocks begin inside chunks; values up to 100 with some explicit zeros, which
# every type holds.
n, m = 700, 5
x = counts(n, m, .2)
x.data = g.choice([0, 1, 1, 1, 2, 100], x.nnz).astype('f4')
names = pd.DataFrame(index=[f'c{i}' for i in range(n)]), pd.DataFrame(index=[f'g{j}' for j in range(m)])
tell('same', 'X', 'counts', x, *names)
tell('full', 'X', 'counts', x.toarray(), *names)


def store(group, name, data, **how):
    if how.pop('szip', False) and len(data) > 64:
        how['compression'] = 'szip'
        how['compression_opts'] = ('nn', 8)
    group.create_dataset(name, data=data, **how)


def plain(h, axis, index, **how):
    f = h.create_group(axis)
    f.attrs['_index'], f.attrs['column-order'] = 'id', np.zeros(0)
    f.create_dataset('id', data=index, **how)


def same(name, data='f4', indices='i4', indptr='i8', layout='csr', obs=None, **how):
    with h5py.File(f'{out}/same-{name}.h5ad', 'w', libver='earliest') as h:
        y = x if layout == 'csr' else x.tocsc()
        X = h.create_group('X')
        X.attrs['encoding-type'], X.attrs['shape'] = f'{layout}_matrix', [n, m]
        store(X, 'data', y.data.astype(data), **how)
        store(X, 'indices', y.indices.astype(indices), **how)
        store(X, 'indptr', y.indptr.astype(indptr), **{k: v for k, v in how.items() if k != 'chunks'})
        plain(h, 'obs', names[0].index.to_numpy('S') if obs is None else obs)
        plain(h, 'var', names[1].index.to_numpy('S'))


def full(name, data='f4', **how):
    with h5py.File(f'{out}/full-{name}.h5ad', 'w', libver='earliest') as h:
        store(h, 'X', x.toarray().astype(data), **how)
        plain(h, 'obs', names[0].index.to_numpy('S'))
        plain(h, 'var', names[1].index.to_numpy('S'))


for t in 'u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8 >u2 >i4 >i8 >f4 >f8'.split():
    c = t.replace('>', 'big-')
    same(f'data-{c}', data=t, chunks=(101,), compression='gzip')
    full(f'data-{c}', data=t, chunks=(100, 2), compression='gzip', shuffle=True)
    if 'f' not in t and t != 'i1':
        same(f'indices-{c}', indices=t, chunks=(101,), compression='gzip', shuffle=True)
    if t[-1] in '48' and 'f' not in t:
        same(f'indptr-{c}', indptr=t)
gz = dict(compression='gzip')
for name, how in dict(plain={}, chunked=dict(chunks=(64,)), gzip=gz, one=dict(chunks=(1,)), shuffle=dict(shuffle=True, **gz),
                      only_shuffle=dict(shuffle=True, chunks=(200,)), lzf=dict(compression='lzf'), lzf_shuffle=dict(compression='lzf', shuffle=True),
                      szip=dict(szip=True, chunks=(128,)), sum=dict(fletcher32=True, **gz), growing=dict(maxshape=(None,), **gz)).items():
    same(name, **how)
    same(f'{name}-csc', layout='csc', **how)
for name, how in dict(plain={}, gzip=gz, rows=dict(chunks=(7, 5), **gz), cols=dict(chunks=(700, 1), **gz), lzf=dict(compression='lzf'),
                      tile=dict(chunks=(3, 2)), sum=dict(fletcher32=True, **gz)).items():
    full(name, **how)
text = names[0].index.to_numpy(dtype=object)
same('names-text', obs=text)
same('names-ascii', obs=text.astype(h5py.string_dtype('ascii')))
same('names-wide', obs=names[0].index.to_numpy('S256'))
with h5py.File(f'{out}/same-mixed.h5ad', 'w', libver='earliest') as h:   # a chunk that escaped its filter, and one that is not there
    X = h.create_group('X')
    X.attrs['encoding-type'], X.attrs['shape'] = 'csr_matrix', [n, m]
    d = X.create_dataset('data', shape=(x.nnz,), dtype='f4', chunks=(100,), fillvalue=7, **gz)
    d[:] = x.data
    d.id.write_direct_chunk((200,), x.data[200:300].tobytes(), filter_mask=1)
    X['indices'], X['indptr'] = x.indices, x.indptr
    plain(h, 'obs', names[0].index.to_numpy('S'))
    plain(h, 'var', names[1].index.to_numpy('S'))
same('missing', chunks=(100,), **gz)
with h5py.File(f'{out}/same-missing.h5ad', 'r+') as h:
    del h['X/data']
    d = h['X'].create_dataset('data', shape=(x.nnz,), dtype='f4', chunks=(100,), **gz)
    keep = np.ones(x.nnz, bool)
    keep[300:400] = False
    for i in range(0, x.nnz, 100):
        if keep[i]:
            d[i:i + 100] = x.data[i:i + 100]
y = x.copy()
y.data[300:400] = 0
os.rename(f'{out}/same-missing.h5ad', f'{out}/missing.h5ad')
tell('missing.h5ad', 'X', 'counts', y, *names)

# ---- loom: genes x cells, dense in tiles; a layer, attributes of one and of two dimensions ----------
n, m = 530, 7
x = counts(n, m, .2)
x.data = g.choice([1, 1, 2, 70000], x.nnz).astype('f4')
o = pd.DataFrame({'Clusters': g.integers(0, 5, n), 'Kind': [f'k{i % 3} \u00b5' for i in range(n)]}, index=[f'lib:{i}' for i in range(n)])
v = pd.DataFrame({'Accession': [f'ENS{j}' for j in range(m)], 'chrom': ['1'] * m, 'start': np.arange(m) * 10}, index=[f'gene{j}' for j in range(m)])
text = dict(dtype=h5py.string_dtype())
with h5py.File(f'{out}/loom.loom', 'w', libver='earliest') as h:
    h.create_dataset('attrs/LOOM_SPEC_VERSION', data='3.0.0', **text)
    h.create_dataset('matrix', data=x.toarray().T.astype('i4'), chunks=(64, 64), maxshape=(None, None), compression='gzip', compression_opts=2)
    h.create_dataset('layers/half', data=x.toarray().T / 2, chunks=(64, 64), maxshape=(None, None), compression='gzip', compression_opts=2)
    h.create_dataset('row_attrs/Gene', data=v.index.to_numpy(dtype=object), **text)
    h.create_dataset('row_attrs/Accession', data=v.Accession.to_numpy(dtype=object), **text)
    h.create_dataset('row_attrs/Chromosome', data=v.chrom.to_numpy(dtype=object), **text)
    h['row_attrs/Start'] = v.start.to_numpy()
    h.create_dataset('col_attrs/CellID', data=o.index.to_numpy(dtype=object), **text)
    h['col_attrs/Clusters'], h['col_attrs/XY'] = o.Clusters.to_numpy(), np.zeros((n, 2))
    h.create_dataset('col_attrs/Kind', data=o.Kind.to_numpy(dtype=object), **text)
    for k in 'row_graphs', 'col_graphs':
        h.create_group(k)
x.sort_indices()
tell('loom', 'X', 'counts', x, o, v)
y = x.copy().astype('f8')
y.data /= 2
tell('loom.half', 'X', 'unknown', y, o, v)

# ---- labels as anndata 0.13 writes them, scalars as others do --------------------------------------
with h5py.File(f'{out}/v13.h5ad', 'w', libver='earliest') as h:
    h.attrs['encoding-type'], h.attrs['encoding-version'] = 'anndata', '0.1.0'
    h.create_dataset('X', data=h5py.Empty('f4')).attrs['encoding-type'] = 'null'
    def nullable(at, values, mask):
        at.attrs['encoding-type'] = 'nullable-string-array'
        at.attrs['na-value'] = 'NA'
        at.create_dataset('values', data=np.array(values, dtype=object), dtype=h5py.string_dtype())
        at.create_dataset('mask', data=np.array(mask, bool))
    f = h.create_group('obs')
    f.attrs['encoding-type'], f.attrs['_index'], f.attrs['column-order'] = 'dataframe', '_index', ['kind', 'note', 'deep/er']
    nullable(f.create_group('_index'), ['a\u00e9', 'b', 'c'], [0, 0, 0])
    k = f.create_group('kind')
    k.attrs['encoding-type'], k.attrs['ordered'] = 'categorical', False
    k['codes'] = np.array([1, -1, 0], 'i1')
    nullable(k.create_group('categories'), ['T', 'B \u03b2'], [0, 0])
    nullable(f.create_group('note'), ['x', 'y', 'z'], [0, 1, 0])
    nullable(f.create_group('deep/er'), ['p', 'q', 'r'], [0, 0, 1])
    f = h.create_group('var')
    f.attrs['encoding-type'], f.attrs['_index'], f.attrs['column-order'] = 'dataframe', '_index', np.zeros(0)
    nullable(f.create_group('_index'), ['g'], [0])
tell('v13.h5ad', 'X', 'unknown', sp.csr_matrix((3, 1)),
     pd.DataFrame({'kind': pd.Categorical.from_codes([1, -1, 0], ['T', 'B \u03b2']), 'note': ['x', '', 'z'], 'deep/er': ['p', 'q', '']},
                  index=['a\u00e9', 'b', 'c']), pd.DataFrame(index=['g']))

# ---- damaged files: each is the small one with one thing wrong ------------------------------------
def spoil(name, change):
    path = f'{out}/bad-{name}.h5ad'
    ad.AnnData(sp.csr_matrix(np.array([[1, 0, 2], [0, 0, 3], [4, 5, 0]], 'f4')), dtype='f4').write_h5ad(path)
    with h5py.File(path, 'r+') as h:
        change(h)


def put(path, v):
    def change(h):
        attrs = dict(h[path].attrs)
        del h[path]
        h[path] = np.array(v)
        h[path].attrs.update(attrs)
    return change


def missing_filter(h):
    del h['X/indices']
    p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    p.set_chunk((5,))
    p.set_filter(32026, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(h['X'].id, b'indices', h5py.h5t.STD_I32LE, h5py.h5s.create_simple((5,)), p)


spoil('indptr', put('X/indptr', [0, 3, 2, 5]))
spoil('indptr-end', put('X/indptr', [0, 2, 3, 6]))
spoil('indptr-short', put('X/indptr', [0, 2, 5]))
spoil('column', put('X/indices', [0, 2, 3, 0, 1]))
spoil('length', put('X/indices', [0, 2, 2, 0]))
spoil('nan', put('X/data', np.array([1, 2, np.nan, 4, 5], 'f4')))
spoil('inf', put('X/data', np.array([1.5, 2, 3, 4, np.inf], 'f4')))
spoil('huge', put('X/data', np.array([1, 2, 3, 4, 2**60], 'i8')))
spoil('negative', put('X/data', np.array([1, 2, -3, 4, 5], 'f4')))
spoil('text', put('X/data', [b'a'] * 5))
spoil('filter', missing_filter)
spoil('shape', lambda h: h['X'].attrs.__setitem__('shape', np.array([3, 4])))
spoil('no-obs', lambda h: h.__delitem__('obs'))
spoil('names', lambda h: (h['obs'].__delitem__('_index'), h['obs'].create_dataset('_index', data=np.array(['a', 'b'], dtype=object), dtype=h5py.string_dtype())))



def at(path, make):
    def change(h):
        del h[path]
        make(h)
    return change


def chunk(raw):
    def change(h):
        del h['X/data']
        d = h['X'].create_dataset('data', shape=(5,), dtype='f4', chunks=(5,), compression='gzip')
        d.id.write_direct_chunk((0,), raw)
    return change


def virtual(h):
    v = h5py.VirtualLayout((3, 3), 'f4')
    v[:] = h5py.VirtualSource('full-plain.h5ad', 'X', (3, 3))
    h.create_virtual_dataset('X', v)


def sizes(h):
    big = 2**40 - 2
    for k in 'data', 'indices':
        del h[f'X/{k}']
        h['X'].create_dataset(k, shape=(big,), dtype='i4', chunks=(1024,))
    h['X/indptr'][:] = [0, 1, 2, big]


good = np.array([1, 2, 3, 4, 5], '<f4').tobytes()
spoil('link-outside', at('X', lambda h: h.__setitem__('X', h5py.ExternalLink('full-plain.h5ad', '/X'))))
spoil('link-outside-names', at('obs/_index', lambda h: h['obs'].__setitem__('_index', h5py.ExternalLink('full-plain.h5ad', '/obs/id'))))
spoil('link-cycle', at('X', lambda h: (h.__setitem__('X', h5py.SoftLink('/Y')), h.__setitem__('Y', h5py.SoftLink('/X')))))
spoil('link-dangling', at('X', lambda h: h.__setitem__('X', h5py.SoftLink('/nothing'))))
spoil('virtual', at('X', virtual))
spoil('storage-outside', at('X', lambda h: h.create_dataset('X', shape=(3, 3), dtype='i1', external=[('/etc/hostname', 0, 9)])))
spoil('sizes', sizes)
spoil('names-sizes', at('obs/_index', lambda h: h['obs'].create_dataset('_index', shape=(2**44,), dtype='S8', chunks=(1024,))))
spoil('names-long', at('obs/_index', lambda h: h['obs'].create_dataset('_index', data=np.array(['a', 'b' * 70000, 'c'], dtype=object), dtype=h5py.string_dtype())))
spoil('names-square', put('obs/_index', [[b'a', b'b', b'c']]))
spoil('chunk-cut', chunk(zlib.compress(good)[:-6]))
spoil('chunk-short', chunk(zlib.compress(good[:-4])))
spoil('chunk-long', chunk(zlib.compress(bytes(10**6))))
spoil('chunk-noise', chunk(b'noise' * 9))
def short_lzf(h):
    del h['X/data']
    d = h['X'].create_dataset('data', shape=(5,), dtype='f4', chunks=(64,), maxshape=(None,), compression='lzf')
    d[:] = [1, 2, 3, 4, 5]
    d.id.write_direct_chunk((0,), short, 0)


full_lzf = h5py.File('lzf', 'w', driver='core', backing_store=False).create_dataset('d', data=np.zeros(40, 'f4'), chunks=(40,), compression='lzf')
short = full_lzf.id.read_direct_chunk((0,))[1]           # 160 bytes where 256 belong
def short_names(h):
    d = h['obs'].create_dataset('packed', shape=(3,), dtype=h5py.string_dtype(), chunks=(3,), compression='gzip')
    d[:] = ['a', 'b', 'c']
    raw = zlib.decompress(d.id.read_direct_chunk((0,))[1])
    d.id.write_direct_chunk((0,), zlib.compress(raw[:20]))
    h['obs'].attrs['_index'] = 'packed'


spoil('chunk-short-names', short_names)
spoil('chunk-short-lzf', short_lzf)
spoil('quad', put('X/data', np.array([1, 2, 3, 4, 5], 'longdouble')))
spoil('indices-float', put('X/indices', np.array([0, 2, 2, 0, 1], 'f4')))
spoil('indptr-text', put('X/indptr', [b'0', b'2', b'3', b'5']))
spoil('obs-number', at('obs', lambda h: h.__setitem__('obs', 5)))
spoil('index-attribute', lambda h: h['obs'].attrs.__setitem__('_index', 5))
spoil('encoding-number', lambda h: h['X'].attrs.__setitem__('encoding-type', np.arange(4)))

# A name that says it has 2^31 - 16 bytes: the length stands in front of where the text is kept.
spoil('giant', lambda h: None)
with h5py.File(f'{out}/bad-giant.h5ad') as h:
    where = h['obs/_index'].id.get_offset()
with open(f'{out}/bad-giant.h5ad', 'r+b') as f:
    f.seek(where)
    f.write((2**31 - 16).to_bytes(4, 'little'))
os.rename(f'{out}/bad-giant.h5ad', f'{out}/giant.h5ad')

# A table that contains itself: its columns are left out.
ad.AnnData(sp.csr_matrix(np.eye(3, dtype='f4')), dtype='f4').write_h5ad(f'{out}/loop.h5ad')
with h5py.File(f'{out}/loop.h5ad', 'r+') as h:
    h['obs/loop'] = h['obs']
    h['obs'].attrs['column-order'] = ['loop', 'loop/loop/loop']

subprocess.run(f"tar -C {out} --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | zstd -q --ultra -22 --long=27 -f -o {here}/formats.tar.zst",
               shell=True, check=True)
