load ../helper

setup() {
    scratch
    zstd -dqc "$REF/formats.tar.zst" | tar -xf -
}

# anndata FILE: skips where the oracle is not installed.
need_anndata() { /usr/bin/python3 -c 'import anndata' 2>/dev/null || skip "no anndata"; }

@test "h5-write: read, written, read again: the same stream, whatever the compression" {
    local f c
    for f in new.h5ad v07.h5ad odd.h5ad zstd.h5ad; do
        h5-read -q --no-provenance -o a.cms $f
        for c in gzip lzf zstd none; do
            h5-write -q --compression $c -o b.h5ad a.cms
            h5-read -q --no-provenance -o b.cms b.h5ad
            cmp a.cms b.cms
        done
    done
    h5-read --no-provenance --layer whole -o a.cms new.h5ad # dense
    h5-write -o b.h5ad a.cms
    h5-read --no-provenance -o b.cms b.h5ad
    cmp a.cms b.cms
}

@test "h5-write: the same bytes for the same stream" {
    h5-read -o a.cms new.h5ad
    h5-write -o a.h5ad a.cms
    sleep 1
    h5-write -o b.h5ad <a.cms
    cmp a.h5ad b.h5ad
}

@test "h5-write: no cells, and no features" {
    h5-read -q --no-provenance --where batch=none -o a.cms new.h5ad
    h5-write -o a.h5ad a.cms
    h5-read -q --no-provenance -o b.cms a.h5ad
    h5-write -o b.h5ad b.cms
    cmp a.h5ad b.h5ad
}

@test "h5-write: anndata reads it in memory and backed, and finds what was there" {
    need_anndata
    h5-read -o a.cms new.h5ad
    h5-write -o a.h5ad a.cms
    /usr/bin/python3 - <<'P'
import anndata, numpy as np, pandas as pd, scipy.sparse as sp
a, b = anndata.read_h5ad('new.h5ad'), anndata.read_h5ad('a.h5ad')
assert sp.isspmatrix_csr(b.X) and b.X.dtype == 'f4' and (a.X != b.X).nnz == 0 and a.X.nnz == b.X.nnz
a.obs['number'] = a.obs.number.cat.rename_categories(str) # categories travel as text
pd.testing.assert_frame_equal(a.obs, b.obs)
assert list(a.var_names) == list(b.var_names)
assert b.var.start.isna().sum() == 1 and b.var.start.dropna().tolist() == [5, 1, 2, 3, 9]
assert b.uns['dataset_id'] == 'made' and b.uns['organism'] == 'human'
c = anndata.read_h5ad('a.h5ad', backed='r')
assert (c[10:20].to_memory().X != a.X[10:20]).nnz == 0
b.write_h5ad('again.h5ad')
P
    h5-read -o again.cms again.h5ad
}

@test "h5-write: whole numbers that no float holds become f64, at any block" {
    need_anndata
    /usr/bin/python3 - <<'P'
import anndata, numpy as np, scipy.sparse as sp
x = np.ones((1500, 3), 'i8')
x[1400, 1] = 2**24 + 1
anndata.AnnData(sp.csr_matrix(x), dtype='i8').write_h5ad('w.h5ad')
import h5py
with h5py.File('w10.h5', 'w') as h:
    m = sp.csr_matrix(x)
    for k in 'data', 'indices', 'indptr':
        h['matrix/' + k] = getattr(m, k)
    h['matrix/barcodes'] = np.array([str(i).encode() for i in range(1500)])
    h['matrix/features/id'] = np.array([b'a', b'b', b'c'])
P
    h5-read w.h5ad | h5-write -o x.h5ad
    h5-read w10.h5 | h5-write -o y.h5ad # not known to be wide before that block comes
    /usr/bin/python3 - <<'P'
import anndata
for f in 'x.h5ad', 'y.h5ad':
    X = anndata.read_h5ad(f).X
    assert X.dtype == 'f8' and X[1400, 1] == 2**24 + 1 and X.sum() == 1500 * 3 + 2**24, f
P
}

@test "h5-write: a match is a prediction in the competition's layout" {
    h5-read --match -o m.cms prediction.h5ad
    h5-write --dataset-id d --method-id m -o p.h5ad m.cms
    h5-read --list p.h5ad | grep -P '^text\th5.dataset_id\td'
    h5-read --list p.h5ad | grep -P '^text\th5.method_id\tm'
    h5-write -o q.h5ad m.cms
    h5-read --list q.h5ad | grep -P '^text\th5.method_id\tflat'
    need_anndata
    /usr/bin/python3 - <<'P'
import anndata, scipy.sparse as sp
a, b = anndata.read_h5ad('prediction.h5ad'), anndata.read_h5ad('p.h5ad')
assert sp.issparse(b.X) and (a.X != b.X).nnz == 0 and b.X.shape == (6, 6)
assert b.uns['dataset_id'] == 'd' and b.uns['method_id'] == 'm'
P
}

@test "h5-write --into: a match beside its cells" {
    h5-read --match -o m.cms solution.h5ad
    h5-write --into solution.h5ad --key best -o a.h5ad m.cms
    h5-read --list a.h5ad | grep -P '^label\tbest_partner\tstr'
    h5-write --into a.h5ad --key best -o b.h5ad m.cms # replaced, not doubled
    [ "$(h5-read --list b.h5ad | grep -c '^label')" = 3 ]
    need_anndata
    /usr/bin/python3 - <<'P'
import anndata, numpy as np
a = anndata.read_h5ad('b.h5ad')
row2 = np.argsort(a.uns['pairing_ix'])
assert a.obs.best_partner.tolist() == [str(r) for r in row2]
assert (a.obs.best_probability == 1).all()
assert a.obs.best_rank.isna().tolist() == [i != r for i, r in enumerate(row2)]
P
}

@test "h5-write --into: only probabilities are called so" {
    prepared gex.h5ad e.cms t.cms
    put() { h5-write --into gex.h5ad --key m -o $1.h5ad $1.cms; }
    knn-match e.cms t.cms -o s.cms
    knn-match --method dual e.cms t.cms -o p.cms
    knn-match --hard e.cms t.cms -o d.cms
    knn-match --method snn e.cms t.cms -o w.cms
    for f in s p d w; do put $f; done
    h5-write --into s.h5ad --key m -o again.h5ad p.cms
    columns() { h5-read --list $1.h5ad | awk -F '\t' '$1 == "label" && $2 ~ /^m_/ { print $2 }' | sort | tr '\n' ' '; }
    [ "$(columns s)" = 'm_partner m_probability m_rank m_similarity ' ]
    [ "$(columns w)" = 'm_partner m_probability m_rank m_weight ' ]
    for f in p d again; do [ "$(columns $f)" = 'm_partner m_probability m_rank ' ]; done
    need_anndata
    /usr/bin/python3 - <<'P'
import anndata
s, p, d, w = (anndata.read_h5ad(f + '.h5ad').obs for f in 'spdw')
for x in s, d, w:
    assert x.m_probability.isna().all() and (x.m_partner != '').any()
assert p.m_probability.dropna().between(0, 1).all() and p.m_probability.notna().any()
assert s.m_similarity.notna().any() and w.m_weight.notna().any()
P
}

@test "h5-write --into: an embedding beside its cells, joined by name" {
    prepared gex.h5ad e.cms
    h5-write --into gex.h5ad --key X_match -o a.h5ad e.cms
    h5-write --into gex.h5ad --key X_match --parts all -o b.h5ad e.cms
    h5-read -o back.cms a.h5ad
    fails 3 h5-write --into new.h5ad --key X -o c.h5ad e.cms
    says "has no cell"
    [ ! -e c.h5ad ]
    fails 2 h5-write --into gex.h5ad -o c.h5ad e.cms
    fails 2 h5-write --into a.h5ad --key X -o a.h5ad e.cms
    need_anndata
    /usr/bin/python3 - <<'P'
import anndata, numpy as np
a, b = anndata.read_h5ad('a.h5ad'), anndata.read_h5ad('b.h5ad')
e = a.obsm['X_match']
assert np.allclose((e ** 2).sum(1), 1, atol=1e-5) and (b.obsm['X_match'][:, :e.shape[1]] == e).all()
P
}

@test "h5-write --into: one modality of a MuData file, its user block and the others untouched" {
    {
        printf '#cms\t1\n#head\tkind\tembedding\n#head\tslots\t1\n#head\tslot.0.name\te\n'
        printf '#head\tslot.0.encoding\tdense\n#head\tslot.0.value\tauto\n#head\tslot.0.cols\t2\n'
        printf '#head\tslot.0.state\tembedding\n#head\tlabels\t0\n#cols\t0\tname\n#cols\t0\te0\n#cols\t0\te1\n'
        printf '#name\te0\te1\n'
        printf '%d\t0.5\t%d\n' 4 4 3 3 2 2 1 1 0 0 # in another order than the file
        printf '#end\n'
    } | cms-text --from -o e.cms
    h5-read -o prot.cms two.h5mu/prot
    fails 3 h5-write --into two.h5mu --key X_e -o a.h5mu e.cms
    says "name a modality of it as two.h5mu/NAME"
    fails 3 h5-write --into two.h5mu/atac --key X_e -o a.h5mu e.cms
    says "has no modality atac"
    h5-write --into two.h5mu/rna --key X_e -o a.h5mu e.cms
    cmp <(head -c 512 two.h5mu) <(head -c 512 a.h5mu)
    h5-read --no-provenance -o x.cms two.h5mu/prot
    h5-read --no-provenance -o y.cms a.h5mu/prot
    cmp x.cms y.cms
    need_anndata
    /usr/bin/python3 -W ignore - <<'P'
import anndata, h5py, numpy as np
with h5py.File('a.h5mu') as f:
    a = anndata._io.h5ad.read_elem(f['mod/rna'])
assert (a.obsm['X_e'] == np.array([[.5, k] for k in range(5)])).all()
assert a.obs_names.tolist() == list('01234')
P
}

@test "h5-write: a failed run leaves nothing" {
    h5-read -o a.cms new.h5ad
    head -c 2000 a.cms >cut.cms
    fails 3 h5-write -o x.h5ad cut.cms
    [ -z "$(ls -A | grep -E 'x.h5ad|tmp')" ]
    fails 2 h5-write a.cms
}
