#!/usr/bin/env python3
"""knn-match(1) without a rule as a stage in Python: NumPy, zstd and cms.py.  An example to copy.

    knn-match.py [-k N] [--within LABEL] [--similarities] E.cms T.cms >match.cms

S = E T', the k largest of each row; among equals the lower column.  Labels of the rows stay labels,
those of the columns become typed columns of the column table.  T is held in memory, E passes by.
"""
import argparse, os, struct, sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cms


def die(status, message):
    print('knn-match.py: error: ' + message, file=sys.stderr)
    sys.exit(status)


class Side:
    """One side, as its records come: head, labels as text, dense blocks of rows."""

    def __init__(self, path):
        self.path, self.dicts, self.rows = path, {}, []
        self.records = cms.records(path)

    def __iter__(self):
        """(tag, payload); after a ROWS and its BLOCK self.rows and self.values are those of the cells."""
        for tag, data in self.records:
            if tag == 'HEAD':
                h = self.head = cms.head(data)
                if h['kind'] != 'embedding' or h['slots'] != '1' or h['slot.0.encoding'] != 'dense':
                    die(3, f"{self.path}: a stream of kind {h['kind']}, expected an embedding")
                self.labels = [h[f'label.{k}.name'] for k in range(int(h['labels']))]
                self.types = [h[f'label.{k}.type'] for k in range(int(h['labels']))]
            elif tag == 'DICT':
                k, first, n, _ = struct.unpack_from('<IIII', data)
                self.dicts.setdefault(k, {}).update(enumerate(cms.strs(data, 16, n)[0], first))
            elif tag == 'ROWS':
                _, self.names, columns = cms.rows(data, self.types)
                self.rows = [[self.text(k, v) for v in column] for k, column in enumerate(columns)]
            elif tag == 'BLOCK':
                b = cms.block(data)
                self.values = np.array(b['values'], np.float64).reshape(b['rows'], -1)
                if b['rowf'] is not None:
                    self.values *= np.array(b['rowf'])[:, None]
            yield tag, data

    def text(self, k, value):
        """A label as the column table writes it; None where it is missing."""
        kind = self.types[k]
        if kind == 'cat':
            return self.dicts.get(k, {}).get(value)
        if kind == 'bool':
            return {0: 'false', 1: 'true'}.get(value)
        if kind == 'i64':
            return None if value == -2**63 else str(value)
        if kind == 'f64':
            return None if value != value else repr(value)
        return value


def field(text):
    return (text or '').replace('%', '%25').replace('\t', '%09').replace('\n', '%0A').replace('\r', '%0D')


def main():
    p = argparse.ArgumentParser(allow_abbrev=False)
    p.add_argument('-k', '--top', type=int, default=1000)
    p.add_argument('--within')
    p.add_argument('--similarities', action='store_true')        # what it writes in any case
    p.add_argument('E')
    p.add_argument('T')
    a = p.parse_args()
    if a.top < 1:
        die(2, f'-k: expected at least 1, found {a.top}')

    right = Side(a.T)
    names, parts, table = [], [], []
    for tag, _ in right:
        if tag == 'ROWS':
            names += right.names
            table += zip(*right.rows) if right.rows else [()] * len(right.names)
        elif tag == 'BLOCK':
            parts.append(right.values)
    width = int(right.head['slot.0.cols'])
    T = np.concatenate(parts) if parts else np.zeros((0, width))
    if a.within and a.within not in right.labels:
        die(3, f'{a.T}: no label "{a.within}"; labels here: {", ".join(right.labels) or "none"}')
    groups = np.array([row[right.labels.index(a.within)] for row in table], object) if a.within else None
    missing = np.array([g is None for g in groups]) if a.within else None

    left, out = Side(a.E), cms.Writer()
    for tag, data in left:
        if tag == 'HEAD':
            h = left.head
            mine = {k: h.get(k) for k in {*h, *right.head} if k.startswith('part.') or k == 'slot.0.cols'}
            theirs = {k: right.head.get(k) for k in mine}
            by = h.get('embed.model'), right.head.get('embed.model')
            if mine != theirs or None not in by and by[0] != by[1]:
                die(3, f'{a.E} and {a.T} are not embeddings by one model, with the same columns')
            if a.within and a.within not in left.labels:
                die(3, f'{a.E}: no label "{a.within}"; labels here: {", ".join(left.labels) or "none"}')
            head = {'kind': 'match', 'slots': '1', 'slot.0.name': 'match', 'slot.0.encoding': 'csr', 'slot.0.value': 'auto',
                    'slot.0.cols': str(len(names)), 'slot.0.state': 'similarity'}
            head.update((k, v) for k, v in h.items() if k == 'slot.0.rows' or k.startswith('label') and not k.endswith('.slot'))
            head.update({'match.rows': h['slot.0.name'], 'match.cols': right.head['slot.0.name']})
            out.put('HEAD', cms.put_head(head))
            kinds = ['str' if t == 'cat' else t for t in right.types]
            lines = ['\t'.join(['name'] + [f'{field(l)}:{t}' for l, t in zip(right.labels, kinds)])]
            lines += ['\t'.join(map(field, (n, *row))) for n, row in zip(names, table)]
            out.put('COLS', struct.pack('<II', 0, 0) + ''.join(line + '\n' for line in lines).encode())
        elif tag in ('DICT', 'ROWS'):
            out.put(tag, data)
        elif tag == 'BLOCK':
            first = struct.unpack_from('<Q', data, 16)[0]
            counts, columns, values = [], [], []
            S = (left.values @ T.T).astype(np.float32)
            for i, row in enumerate(S):
                usable = np.arange(len(names))
                if a.within:
                    group = left.rows[left.labels.index(a.within)][i]
                    usable = np.flatnonzero(~missing & (groups == group)) if group is not None else usable[:0]
                best = np.sort(usable[np.argsort(-row[usable], kind='stable')[:a.top]])
                counts.append(len(best))
                columns += best.tolist()
                values += row[best].tolist()
            out.put('BLOCK', cms.put_block(dict(slot=0, type=4, rows=len(S), dense=0, first=first, counts=counts,
                                                columns=columns, values=values, rowf=None)))
        elif tag == 'END':
            out.end()
        elif tag not in ('COLS',) and tag[0].islower():
            out.put(tag, data)


if __name__ == '__main__':
    main()
