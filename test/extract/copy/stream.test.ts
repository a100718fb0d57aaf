import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { giveUpDictionary, type RowGroup } from '../../../warehouse/core/parquet/index.ts';
import type { CarriedColumn } from '../../../warehouse/extract/copy/carried-as.ts';
import { COPY_LIMITS, type CopyLimits, createCopyDecoder } from '../../../warehouse/extract/copy/copy-decoder.ts';
import type { SourceSession } from '../../../warehouse/extract/source-session.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { carriedColumns, selectOf, sessionOn } from './round-trip.ts';

/** One recorded COPY in frames as a server sends them, cut and spoiled in every way: the same rows, or an error. */

let database: TestDatabase;
let session: SourceSession;
let columns: readonly CarriedColumn[];
/** The COPY itself, where its tuples end (the first behind the header, the trailer last), and the same in frames. */
let copied: Buffer;
let ends: readonly number[];
let recorded: Buffer;
const ROWS = 61;

before(async () => {
  database = await testDatabase();
  session = await sessionOn(database.url);
  await session.client.query('set default_transaction_read_only = off');
  await session.client.query(`create type public.mood as enum ('fine', 'so, so');
    create table public.mixed (id int primary key, t text, n numeric(30,5), small numeric(9,2), at timestamptz, l text[], i interval, b bytea, j jsonb, m public.mood, f bool);
    insert into public.mixed select k, case when k % 7 > 0 then repeat('é' || k % 5, k % 40) end, k * 1234567.12345, k / 100.0,
      timestamptz '2020-01-01' + k * interval '1 hour', case when k % 3 > 0 then array['a', null, repeat('x', k)] else '{}' end,
      k * interval '1 day 1 second', decode(repeat('00ff', k), 'hex'), jsonb_build_object('k', k % 4), 'so, so', k % 2 = 0
      from generate_series(1, 60) k;
    insert into public.mixed (id) values (61)`);
  columns = await carriedColumns(session, 'mixed');
  copied = await record(selectOf(columns, 'mixed', 'order by id'));
  ends = tupleEnds(copied);
  recorded = inFrames(copied);
});
after(async () => {
  await session.close();
  await database.drop();
});

async function record(query: string): Promise<Buffer> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return await buffer(client.query(copyTo(`copy (${query}) to stdout (format binary)`)));
  } finally {
    await client.end();
  }
}

function tupleEnds(bytes: Buffer): number[] {
  const found: number[] = [];
  let at = 19;
  while (bytes.readInt16BE(at) !== -1) {
    let next = at + 2;
    for (let field = 0; field < columns.length; field++) next += 4 + Math.max(0, bytes.readInt32BE(next));
    found.push(next);
    at = next;
  }
  assert.equal(at + 2, bytes.length);
  return [...found, bytes.length];
}

function frame(kind: string, bytes: Uint8Array): Buffer {
  const head = Buffer.from(`${kind}0000`);
  head.writeInt32BE(4 + bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** `between(row)`: what stands behind the row's frame. */
function inFrames(bytes: Buffer, between: (row: number) => Buffer = () => Buffer.alloc(0)): Buffer {
  return Buffer.concat([
    frame('H', Buffer.from([1, 0, 0])),
    ...ends.flatMap((end, i) => [frame('d', bytes.subarray(ends[i - 1] ?? 0, end)), between(i)]),
  ]);
}

/** What a group holds, whatever its buffers' sizes and modes. */
function contentOf(group: RowGroup): unknown {
  return group.leaves.map((leaf) => {
    giveUpDictionary(leaf);
    return {
      rows: group.rows,
      count: leaf.count,
      valid: Buffer.from(leaf.valid.subarray(0, (group.rows + 7) >> 3)).toString('hex'),
      levels: Buffer.from(leaf.levels.subarray(0, leaf.levelCount)).toString('hex'),
      bytes: Buffer.from(leaf.u8.subarray(0, leaf.used)).toString('hex'),
    };
  });
}

function decode(
  bytes: Uint8Array,
  cut: (at: number) => number,
  limits: Partial<CopyLimits> = {},
  fields: readonly CarriedColumn[] = columns,
  onFrame: (bytes: Buffer) => void = () => undefined,
): unknown[] {
  const decoder = createCopyDecoder({
    table: 'public.mixed',
    key: ['id'],
    columns: fields,
    limits: { ...COPY_LIMITS, ...limits },
    onFrame,
  });
  const groups: unknown[] = [];
  const keep = (group: RowGroup): void => {
    groups.push(contentOf(group));
    decoder.recycle(group);
  };
  for (let at = 0; at < bytes.length; ) {
    const size = cut(at);
    // A copy of exactly this size: reading beyond it would show.
    decoder.add(Uint8Array.from(bytes.subarray(at, at + size)));
    for (let group = decoder.next(); group !== undefined; group = decoder.next()) keep(group);
    at += size;
  }
  const last = decoder.end();
  if (last !== undefined) keep(last);
  // As readCopy() does with the server's count.
  if (decoder.rows() !== ROWS) throw new Error(`sent ${ROWS} rows, of which ${decoder.rows()} arrived`);
  return groups;
}

test('the window may be cut at any byte: chunks of 1 to 64 bytes give the same rows', () => {
  for (const rows of [7, 1_000]) {
    const whole = decode(recorded, () => recorded.length, { rows });
    assert.equal(whole.length, Math.ceil(61 / rows));
    for (let size = 1; size <= 64; size++) {
      assert.deepEqual(
        decode(recorded, () => size, { rows, windowBytes: 64 }),
        whole,
        `chunks of ${size}`,
      );
    }
  }
});

test('one cut, at every place of the first rows and many later ones, gives the same rows', () => {
  const whole = decode(recorded, () => recorded.length);
  for (let cut = 1; cut < recorded.length; cut += cut < 500 ? 1 : 61) {
    const groups = decode(recorded, (at) => (at === 0 ? cut : recorded.length), { windowBytes: 128 });
    assert.deepEqual(groups, whole, `cut at ${cut}`);
  }
});

test('a property: chunks, windows and row groups of random sizes give the same rows', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 4_000 }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 70 }),
      fc.integer({ min: 1, max: 5_000 }),
      (sizes, rows, windowBytes) => {
        let n = 0;
        const groups = decode(recorded, () => sizes[n++ % sizes.length] ?? 1, { rows, windowBytes });
        assert.deepEqual(
          groups,
          decode(recorded, () => recorded.length, { rows }),
        );
      },
    ),
    { numRuns: 100, seed: 20_261_121 },
  );
});

test('a row group ends when its bytes reach the limit', () => {
  const groups = decode(recorded, () => 500, { bytes: 2_000 });
  assert.ok(groups.length > 3, `${groups.length} groups`);
});

test('a stream that ends early is an error, wherever it ends', () => {
  for (let length = 0; length < recorded.length; length += length < 400 ? 1 : 97) {
    assert.throws(() => decode(recorded.subarray(0, length), () => 1_000), /public\.mixed is malformed: it ends after/);
  }
});

test('bytes after the end are an error', () => {
  const longer = Buffer.concat([recorded, frame('d', Buffer.from([0]))]);
  assert.throws(() => decode(longer, () => longer.length), /1 bytes after its end/);
  assert.throws(() => decode(longer, () => recorded.length), /1 bytes after its end/);
  const inTrailer = Buffer.concat([recorded, Buffer.from([0, 0, 0])]);
  inTrailer.writeInt32BE(9, recorded.length - 6);
  assert.throws(() => decode(inTrailer, () => inTrailer.length), /3 bytes after its end/);
});

test('frames that are no rows go to the driver whole and in order, wherever they stand and are cut', () => {
  const whole = decode(recorded, () => recorded.length);
  const beside = (row: number): Buffer =>
    Buffer.concat(
      ['N', 'S', 'A'].slice(0, row % 4).map((kind, i) => frame(kind, Buffer.alloc((row * 37 + i * 100) % 300, 0x64))),
    );
  const mixed = inFrames(copied, beside);
  const expected = Buffer.concat([recorded.subarray(0, 8), ...ends.map((_, row) => beside(row))]);
  for (const size of [1, 2, 3, 5, 7, 64, 1_000, mixed.length]) {
    const seen: Buffer[] = [];
    const groups = decode(
      mixed,
      () => size,
      { windowBytes: 64 },
      columns,
      (bytes) => seen.push(bytes),
    );
    assert.deepEqual(groups, whole, `chunks of ${size}`);
    assert.ok(Buffer.concat(seen).equals(expected), `chunks of ${size}`);
  }
});

test('any other frame ends the COPY: it and what follows are left for the driver', () => {
  for (const kind of ['c', 'E', 'Z']) {
    const tail = Buffer.concat([
      frame(kind, Buffer.from('text\0')),
      frame('C', Buffer.from('COPY 61\0')),
      Buffer.from('Z'),
    ]);
    for (const [size, left] of [
      [recorded.length + tail.length, tail.length],
      [1, 5],
    ] as const) {
      const decoder = createCopyDecoder({
        table: 'public.mixed',
        key: ['id'],
        columns,
        limits: COPY_LIMITS,
        onFrame: () => undefined,
      });
      const stream = Buffer.concat([recorded, tail]);
      for (let at = 0; at < stream.length && !decoder.isOver(); at += size) {
        decoder.add(stream.subarray(at, at + size));
        assert.equal(decoder.next(), undefined);
      }
      assert.ok(decoder.isOver());
      assert.deepEqual(decoder.rest(), tail.subarray(0, left));
      assert.deepEqual([decoder.end()?.rows, decoder.rows(), decoder.bytes()], [ROWS, ROWS, copied.length]);
    }
  }
});

test('a header in a frame of its own gives the same rows', () => {
  const apart = Buffer.concat([
    frame('d', copied.subarray(0, 19)),
    ...ends.map((end, i) => frame('d', copied.subarray(ends[i - 1] ?? 19, end))),
  ]);
  for (const size of [1, 20, apart.length]) {
    assert.deepEqual(
      decode(apart, () => size),
      decode(recorded, () => recorded.length),
    );
  }
});

test('a row cut over two frames, two rows in one, or a frame without room for its own head are errors', () => {
  const [first = 0, second = 0] = ends;
  const rest = recorded.subarray(8 + 5 + first + 5 + second - first);
  const frames = (...parts: readonly Uint8Array[]): Buffer =>
    Buffer.concat([...parts.map((part) => frame('d', part)), rest]);
  for (let cut = first + 1; cut < second; cut++) {
    const stream = frames(copied.subarray(0, first), copied.subarray(first, cut), copied.subarray(cut, second));
    assert.throws(() => decode(stream, () => stream.length), /malformed/, `cut at ${cut}`);
  }
  const joined = frames(copied.subarray(0, second));
  assert.throws(() => decode(joined, () => joined.length), /malformed: \d+ bytes behind the last field of a row/);
  for (const length of [3, 0, -1, -2_147_483_648]) {
    const stream = Buffer.from(recorded);
    stream.writeInt32BE(length, 9);
    assert.throws(() => decode(stream, () => stream.length), /malformed: a frame of/);
  }
  const endless = Buffer.concat([recorded.subarray(0, 8), Buffer.from('N')]);
  const head = Buffer.concat([endless, Buffer.from([0x7f, 0xff, 0xff, 0xff])]);
  assert.throws(() => decode(head, () => head.length), /malformed: a message of 2147483648 bytes/);
});

test('another header, number of fields or length of a field is an error', () => {
  const spoil = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(copied);
    change(bytes);
    return inFrames(bytes);
  };
  const cases: readonly (readonly [RegExp, (bytes: Buffer) => void])[] = [
    [/not in binary format/, (bytes) => bytes.write('PGCOPX')],
    [/flags 65536/, (bytes) => bytes.writeInt32BE(1 << 16, 11)],
    [/extension of 4 bytes/, (bytes) => bytes.writeInt32BE(4, 15)],
    [/a row of 12 fields, where 11 are selected/, (bytes) => bytes.writeInt16BE(12, 19)],
    [/a length of -2 in id/, (bytes) => bytes.writeInt32BE(-2, 21)],
    [/malformed/, (bytes) => bytes.writeInt32BE(5, 21)],
    [/malformed/, (bytes) => bytes.writeInt32BE(3, 21)],
  ];
  for (const [message, change] of cases) {
    const bytes = spoil(change);
    assert.throws(() => decode(bytes, () => bytes.length), message);
  }
});

test('a length below -1 is no NULL, in a column of any type', () => {
  // The last row holds nothing but its key: every field is four bytes.
  const last = ends.at(-3) ?? 0;
  for (let field = 1; field < columns.length; field++) {
    const bytes = Buffer.from(copied);
    const at = last + 2 + 8 + 4 * (field - 1);
    assert.equal(bytes.readInt32BE(at), -1);
    bytes.writeInt32BE(-2, at);
    const stream = inFrames(bytes);
    const name = columns[field]?.name ?? '';
    assert.throws(() => decode(stream, () => stream.length), new RegExp(`malformed: a length of -2 in ${name}`));
  }
});

test('a value of another length than its type has names column and type', () => {
  const wrong = columns.map((column) =>
    column.name === 'at' ? { ...column, wire: { kind: 'int4' } as const } : column,
  );
  assert.throws(
    () => decode(recorded, () => 5_000, {}, wrong),
    /a value of 8 bytes in at is no int4 \(timestamp with time zone\)/,
  );
});

test('columns decoded as other types than they have are an error, never other values', () => {
  const names = columns.map((column) => column.name);
  for (const [a, b] of [
    ['id', 'at'],
    ['n', 'i'],
    ['small', 'f'],
    ['at', 'l'],
    ['j', 'id'],
    ['i', 'n'],
  ]) {
    const [x, y] = [names.indexOf(a ?? ''), names.indexOf(b ?? '')];
    const wrong = columns.map((column, i) =>
      i === x
        ? { ...column, wire: columns[y]?.wire ?? column.wire, parquet: columns[y]?.parquet ?? column.parquet }
        : column,
    );
    assert.throws(() => decode(recorded, () => 5_000, {}, wrong), /malformed|cannot be carried/, `${a} as ${b}`);
  }
});

test('a property: random bytes changed anywhere never hang and never change the number of rows in silence', () => {
  fc.assert(
    fc.property(fc.nat(recorded.length - 1), fc.integer({ min: 1, max: 255 }), (place, flip) => {
      const bytes = Buffer.from(recorded);
      bytes[place] = (bytes[place] as number) ^ flip;
      try {
        const groups = decode(bytes, () => 777) as { readonly rows: number }[][];
        assert.equal(groups[0]?.[0]?.rows, 61);
      } catch (error) {
        assert.match(String(error), /malformed|cannot be carried|at most \d+ are carried|sent 61 rows, of which/);
      }
    }),
    { numRuns: 500, seed: 20_261_121 },
  );
});

test('a row above the limit is refused by its lengths, before it has arrived', () => {
  const decoder = createCopyDecoder({
    table: 'public.mixed',
    key: ['id'],
    columns,
    limits: { ...COPY_LIMITS, tupleBytes: 1_000_000 },
    onFrame: () => undefined,
  });
  const start = Buffer.from(recorded.subarray(0, 8 + 5 + 33));
  start.writeInt32BE(600_000_100, 9);
  start.writeInt32BE(600_000_000, 8 + 5 + 29);
  decoder.add(start);
  assert.throws(
    () => decoder.next(),
    /A row of the table public\.mixed has 600000014 bytes up to its column t; at most 1000000 are carried/,
  );
});
