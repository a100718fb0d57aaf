import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { to as copyTo } from 'pg-copy-streams';
import { giveUpDictionary, type RowGroup } from '../../../warehouse/core/parquet/index.ts';
import type { CarriedColumn } from '../../../warehouse/extract/copy/carried-as.ts';
import { COPY_LIMITS, type CopyLimits, createCopyDecoder } from '../../../warehouse/extract/copy/copy-decoder.ts';
import type { SourceSession } from '../../../warehouse/extract/source-session.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';
import { carriedColumns, selectOf, sessionOn } from './round-trip.ts';

/** One recorded COPY, cut and spoiled in every way: the same rows, or an error. */

let database: TestDatabase;
let session: SourceSession;
let columns: readonly CarriedColumn[];
let recorded: Buffer;

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
  recorded = await record(selectOf(columns, 'mixed', 'order by id'));
});
after(async () => {
  await session.close();
  await database.drop();
});

async function record(query: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of session.client.query(copyTo(`copy (${query}) to stdout (format binary)`))) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
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
): unknown[] {
  const decoder = createCopyDecoder({
    table: 'public.mixed',
    key: ['id'],
    columns: fields,
    limits: { ...COPY_LIMITS, ...limits },
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
  const longer = Buffer.concat([recorded, Buffer.from([0])]);
  assert.throws(() => decode(longer, () => longer.length), /1 bytes after its end/);
  assert.throws(() => decode(longer, () => recorded.length), /1 bytes after its end/);
});

test('another header, number of fields or length of a field is an error', () => {
  const spoil = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(recorded);
    change(bytes);
    return bytes;
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
        assert.match(String(error), /malformed|cannot be carried|at most \d+ are carried/);
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
  });
  const start = Buffer.from(recorded.subarray(0, 33));
  start.writeInt32BE(600_000_000, 29);
  decoder.add(start);
  assert.throws(
    () => decoder.next(),
    /A row of the table public\.mixed has 600000014 bytes up to its column t; at most 1000000 are carried/,
  );
});
