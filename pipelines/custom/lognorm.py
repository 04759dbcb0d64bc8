#!/usr/bin/env python3
"""lognorm(1) as a stage in Python: standard library, zstd and cms.py.  An example to copy.

    lognorm.py [--method seurat|sqrt] [--fit LABEL=VALUE[,VALUE...]] [--like FILE] <counts.cms >out.cms

seurat: ln(1 + 1e4 x / R); sqrt: sqrt(median(R) x / R), the median over the fitted cells with
counts.  The counts stay as they are: each block gets a factor a row, and HEAD says which formula
makes values of them (cms(5), LAZY VALUES).  Given the same input it writes the same content as
lognorm, bit by bit.
"""
import argparse, os, statistics, struct, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cms

DONE = ('lognorm', 'sqrt', 'tfidf', 'clr', 'scaled')
FORMULA = {'seurat': ('log1p', 'lognorm'), 'sqrt': ('sqrt', 'sqrt')}      # method: (lazy, state)


def die(status, message):
    print('lognorm.py: error: ' + message, file=sys.stderr)
    sys.exit(status)


def number(v):
    """As the tools write it: the shortest decimal, of at least 6 digits asked, that reads back to v."""
    return next(t for t in (f'{v:.{d}g}' for d in range(6, 18)) if float(t) == v)


def totals(b):
    """The sum of each row of a block."""
    ends = [0]
    for n in b['counts'] if not b['dense'] else [len(b['values']) // max(b['rows'], 1)] * b['rows']:
        ends.append(ends[-1] + n)
    if any(v < 0 for v in b['values']):
        die(3, 'a negative count')
    return [sum(b['values'][x:y]) for x, y in zip(ends, ends[1:])]


def fitted_median(path, condition):
    """The median total over the cells that meet LABEL=VALUE,... and have counts, and how many were met."""
    label, _, values = (condition or '').partition('=')
    names, types, dicts, met, sizes = [], [], {}, [], []
    for tag, data in cms.records(path):
        if tag == 'HEAD':
            h = cms.head(data)
            names = [h[f'label.{k}.name'] for k in range(int(h['labels']))]
            types = [h[f'label.{k}.type'] for k in range(int(h['labels']))]
            if label and label not in names:
                die(3, f'no label "{label}"; labels here: {", ".join(names) or "none"}')
        elif tag == 'DICT':
            k, first, n, _ = struct.unpack_from('<IIII', data)
            dicts.setdefault(k, {}).update(enumerate(cms.strs(data, 16, n)[0], first))
        elif tag == 'ROWS':
            _, rows, labels = cms.rows(data, types)
            met = [True] * len(rows)
            if label:
                k = names.index(label)
                text = dicts.get(k, {}).get if types[k] == 'cat' else str
                met = [text(v) in values.split(',') for v in labels[k]]
        elif tag == 'BLOCK':
            sizes += [size for size, m in zip(totals(cms.block(data)), met) if m]
    if label and not sizes:
        die(3, f'no row meets {condition}')
    return statistics.median([s for s in sizes if s > 0] or [0]), len(sizes)


def like(path, name):
    """Method, scale and number of fitted cells of the slot `name` in a stream or model."""
    h = next(cms.head(data) for tag, data in cms.records(path) if tag == 'HEAD')
    for k in range(int(h['slots'])):
        if h[f'slot.{k}.name'] == name and h.get(f'slot.{k}.fit.tool') == 'lognorm':
            return h[f'slot.{k}.fit.method'], float(h[f'slot.{k}.fit.scale']), h.get(f'slot.{k}.fit.cells')
    die(3, f'{path}: no fit of lognorm for slot {name}')


def main():
    p = argparse.ArgumentParser(allow_abbrev=False)
    p.add_argument('--method', choices=FORMULA)
    p.add_argument('--fit')
    p.add_argument('--like')
    a = p.parse_args()
    if a.like and a.fit:
        die(2, '--like applies a fit, --fit makes one')
    spool = tempfile.NamedTemporaryFile()                  # two passes over a pipe
    while chunk := sys.stdin.buffer.read(1 << 20):
        spool.write(chunk)
    spool.flush()

    out, method, scale, empty, rows = cms.Writer(), a.method or 'seurat', 1e4, 0, 0
    for tag, data in cms.records(spool.name):
        if tag == 'HEAD':
            h = cms.head(data)
            state, fit = h['slot.0.state'], {}
            if h['kind'] != 'matrix' or h['slots'] != '1' or state != 'counts':
                die(3, f'already normalised (state {state})' if state in DONE else f'expected counts, found state {state}')
            if a.like:
                method, scale, cells = like(a.like, h['slot.0.name'])
                if a.method not in (None, method):
                    die(2, f'--method {a.method} contradicts {a.like}, which was fitted with {method}')
                if method not in FORMULA:
                    die(3, f'{a.like}: method {method} is not one of {", ".join(FORMULA)}')
            elif method == 'sqrt':
                scale, cells = fitted_median(spool.name, a.fit)
            else:
                cells = None
            lazy, state = FORMULA[method]
            fit = {'tool': 'lognorm', 'method': method, 'scale': number(scale)}
            if cells is not None:
                fit.update(median=number(scale), cells=str(cells))
            changed = {}
            for key, value in h.items():
                changed[key] = state if key == 'slot.0.state' else value
                if key == 'slot.0.state':
                    changed['slot.0.lazy'] = lazy
                    changed.update({f'slot.0.fit.{k}': v for k, v in fit.items()})
            data = cms.put_head(changed)
        elif tag == 'BLOCK':
            b = cms.block(data)
            sizes = totals(b)
            b['rowf'] = [scale / r if r > 0 else 0 for r in sizes]
            empty, rows = empty + sum(r == 0 for r in sizes), rows + len(sizes)
            data = cms.put_block(b)
        if tag == 'END':
            out.end()
        else:
            out.put(tag, data)
    if empty:
        print(f'lognorm.py: warning: {empty} of {rows} cells have no counts; their rows stay zero', file=sys.stderr)


if __name__ == '__main__':
    main()
