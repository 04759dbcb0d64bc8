#!/usr/bin/env python3
"""Reads and writes CMS streams, the format of cms(5), with the standard library and the program zstd.

    import cms
    for tag, data in cms.records(): ...          # data: bytes; decode it with the functions below
    out = cms.Writer(); out.put(tag, data); out.end()

rows() and block() turn records into Python objects, put_rows() and put_block() turn them back.  As a
program it copies stdin to stdout through these objects: `cms.py <in.cms >out.cms` changes nothing.
"""
import array, itertools, struct, subprocess, sys

MAGIC = b'\x89CMS\r\n\x1a\n'
CODE = ' BHIfd'                                       # array type of value types 1..5 (0: all ones)
pad = lambda b: bytes(b) + bytes(-len(b) % 8)


def arr(code, data):
    a = array.array(code, data) if isinstance(data, list) else array.array(code)
    if not isinstance(data, list):
        a.frombytes(data)
    if sys.byteorder == 'big':
        a.byteswap()
    return a


def records(path=None):
    """(tag, payload) of every record up to END; ends the program on ABORT or a stream without END."""
    p = subprocess.Popen(['zstd', '-dcq'], stdin=open(path, 'rb') if path else None, stdout=subprocess.PIPE)
    if p.stdout.read(16)[:8] != MAGIC:
        sys.exit('cms.py: error: not a CMS stream')
    while len(h := p.stdout.read(16)) == 16:
        tag, n = h[:8].rstrip(b'\0').decode(), struct.unpack('<Q', h[8:])[0]
        data = p.stdout.read(n + -n % 8)[:n]
        if tag == 'ABORT':
            print('cms.py: error: the stage before gave up', file=sys.stderr)
            sys.exit(5)
        yield tag, data
        if tag == 'END' and len(data) == n and not p.stdout.read(1) and p.wait() == 0:
            return
    print('cms.py: error: the stream is cut or damaged', file=sys.stderr)
    sys.exit(3)


def head(data):
    """HEAD as a dictionary, in order."""
    esc = lambda s: s.replace('%09', '\t').replace('%0A', '\n').replace('%0D', '\r').replace('%25', '%')
    return dict(map(esc, line.split('\t', 1)) for line in data.decode().splitlines())


def put_head(h):
    esc = lambda s: s.replace('%', '%25').replace('\t', '%09').replace('\n', '%0A').replace('\r', '%0D')
    return ''.join(f'{esc(k)}\t{esc(v)}\n' for k, v in h.items()).encode()


def strs(data, at, n):
    total, lens = struct.unpack_from('<Q', data, at)[0], arr('I', data[at + 8:at + 8 + 4 * n])
    start, ends = at + 8 + 4 * n, list(itertools.accumulate(lens, initial=0))
    text = [data[start + a:start + b].decode() for a, b in zip(ends, ends[1:])]
    return text, at + (8 + 4 * n + total + 7) // 8 * 8


def put_strs(text):
    raw = [t.encode() for t in text]
    return pad(struct.pack('<Q', sum(map(len, raw))) + arr('I', list(map(len, raw))).tobytes() + b''.join(raw))


def rows(data, types):
    """ROWS -> first row, names, one list of values per label; types as in HEAD: cat bool i64 f64 str."""
    first, n, _ = struct.unpack_from('<QII', data)
    names, at = strs(data, 16, n)
    labels = []
    for t in types:
        if t == 'str':
            values, at = strs(data, at, n)
        else:
            code = {'cat': 'I', 'bool': 'B', 'i64': 'q', 'f64': 'd'}[t]
            size = struct.calcsize(code) * n
            values, at = arr(code, data[at:at + size]).tolist(), at + (size + 7) // 8 * 8
        labels.append(values)
    return first, names, labels


def put_rows(first, names, labels, types):
    out = struct.pack('<QII', first, len(names), len(types)) + put_strs(names)
    for values, t in zip(labels, types):
        out += put_strs(values) if t == 'str' else pad(arr({'cat': 'I', 'bool': 'B', 'i64': 'q', 'f64': 'd'}[t], values).tobytes())
    return out


def block(data):
    """BLOCK -> dictionary: slot, type, rows, dense, first; counts (entries a row), columns, values, rowf."""
    slot, typ, n, flags, first, nnz = struct.unpack_from('<IIIIQQ', data)
    b, at = dict(slot=slot, type=typ, rows=n, dense=flags & 1, first=first, counts=None, columns=None, rowf=None), 32
    if not flags & 1:
        b['counts'], at = arr('I', data[at:at + 4 * n]).tolist(), at + (4 * n + 7) // 8 * 8
    if flags & 2:
        b['rowf'], at = arr('f', data[at:at + 4 * n]).tolist(), at + (4 * n + 7) // 8 * 8
    if not flags & 1:
        planes = bytearray(4 * nnz)
        for k in range(4):
            planes[k::4] = data[at + k * nnz:at + (k + 1) * nnz]
        diff, at = arr('I', bytes(planes)), at + (4 * nnz + 7) // 8 * 8
        ends = list(itertools.accumulate(b['counts'], initial=0))
        b['columns'] = [c for x, y in zip(ends, ends[1:]) for c in itertools.accumulate(diff[x:y])]
    size = (0, 1, 2, 4, 4, 8)[typ]
    b['values'] = arr(CODE[typ], data[at:at + size * nnz]).tolist() if typ else [1] * nnz
    return b


def put_block(b):
    flags = b['dense'] | (2 if b['rowf'] is not None else 0)
    out = struct.pack('<IIIIQQ', b['slot'], b['type'], b['rows'], flags, b['first'], len(b['values']))
    if not b['dense']:
        out += pad(arr('I', b['counts']).tobytes())
    if b['rowf'] is not None:
        out += pad(arr('f', b['rowf']).tobytes())
    if not b['dense']:
        ends = list(itertools.accumulate(b['counts'], initial=0))
        cols = b['columns']
        diff = arr('I', [cols[k] - (cols[k - 1] if k > x else 0) for x, y in zip(ends, ends[1:]) for k in range(x, y)]).tobytes()
        out += pad(b''.join(diff[k::4] for k in range(4)))
    return out + pad(arr(CODE[b['type']], b['values']).tobytes() if b['type'] else b'')


class Writer:
    """A stream on stdout.  A number of records or a digest of 0 in END means "not computed"."""

    def __init__(self):
        self.zstd = subprocess.Popen(['zstd', '-cq', '-1', '--check'], stdin=subprocess.PIPE)
        self.slots, self.rows = 0, {}
        self.zstd.stdin.write(MAGIC + struct.pack('<HHI', 1, 0, 0))

    def put(self, tag, data):
        if tag == 'HEAD':
            self.slots = int(head(data)['slots'])
        if tag == 'BLOCK':
            slot, n = struct.unpack_from('<I4xI', data)
            self.rows[slot] = self.rows.get(slot, 0) + n
        self.zstd.stdin.write(tag.encode().ljust(8, b'\0') + struct.pack('<Q', len(data)) + pad(data))

    def end(self):
        self.put('END', b''.join(struct.pack('<Q', self.rows.get(k, 0)) for k in range(self.slots)) + bytes(16))
        self.zstd.stdin.close()
        if self.zstd.wait():
            sys.exit(4)


def main():
    out, types = Writer(), []
    for tag, data in records():
        if tag == 'HEAD':
            h = head(data)
            types = [h[f'label.{k}.type'] for k in range(int(h['labels']))]
            data = put_head(h)
        elif tag == 'ROWS':
            data = put_rows(*rows(data, types), types)
        elif tag == 'BLOCK':
            data = put_block(block(data))
        if tag == 'END':
            out.end()
        else:
            out.put(tag, data)


if __name__ == '__main__':
    main()
