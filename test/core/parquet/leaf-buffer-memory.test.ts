import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createLeafBuffer,
  ensureBytes,
  ensureCount,
  ensureLevels,
  giveUpDictionary,
  type Leaf,
  type LeafBuffer,
  leavesOf,
  makeRowGroup,
  reset,
  type ScalarType,
  SLACK,
} from '../../../warehouse/core/parquet/index.ts';
import { bytesOf, fillRowGroup, type Row } from './fill.ts';
import { createRandom, randomRows, SCALARS } from './random-values.ts';

function leafOf(type: ScalarType): Leaf {
  return leavesOf([{ name: 'c', type }])[0] as Leaf;
}

function plainBytes(buffer: LeafBuffer): Buffer {
  const { words } = buffer.leaf;
  return Buffer.from(buffer.u8.subarray(0, words === 0 ? buffer.used : buffer.count * words * 4));
}

test('a dictionary given up leaves the values as if they had been plain', () => {
  for (const [seed, type] of SCALARS.entries()) {
    const columns = [{ name: 'c', type }];
    const rows = randomRows(createRandom(seed + 1), columns, 400, { nullsIn100: 10, distinct: 30 });
    const plain = fillRowGroup(columns, rows, () => false).leaves[0] as LeafBuffer;
    const numbered = fillRowGroup(columns, rows, () => true).leaves[0] as LeafBuffer;
    assert.ok(numbered.isDictionary && numbered.entries > 1 && numbered.entries <= 30);
    giveUpDictionary(numbered);
    assert.ok(!numbered.isDictionary);
    assert.equal(numbered.entries, 0);
    assert.equal(numbered.count, plain.count);
    assert.equal(numbered.used, plain.used);
    assert.deepEqual(plainBytes(numbered), plainBytes(plain), type.kind);
  }
});

test('the rest of the rows fits behind a dictionary given up', () => {
  const buffer = createLeafBuffer(leafOf({ kind: 'uuid' }), { rows: 1000, dictionary: true });
  buffer.entries = 1;
  buffer.count = 10;
  giveUpDictionary(buffer);
  assert.ok(buffer.u8.length >= 1000 * 16 + SLACK);
  assert.equal(buffer.i32.buffer, buffer.u8.buffer);
  assert.equal(buffer.view.buffer, buffer.u8.buffer);
});

test('room for bytes is there in either mode, and what was there stays', () => {
  for (const dictionary of [false, true]) {
    const buffer = createLeafBuffer(leafOf({ kind: 'string' }), { rows: 100, dictionary });
    const value = bytesOf({ kind: 'string' }, 'first');
    ensureBytes(buffer, value.length);
    (dictionary ? buffer.dictionaryU8 : buffer.u8).set(value);
    if (dictionary) buffer.dictionaryUsed = value.length;
    else buffer.used = value.length;
    ensureBytes(buffer, 5_000_000);
    const memory = dictionary ? buffer.dictionaryU8 : buffer.u8;
    assert.ok(memory.length >= value.length + 5_000_000 + SLACK);
    assert.deepEqual(Buffer.from(memory.subarray(0, value.length)), value);
    const held = memory;
    ensureBytes(buffer, 4_000_000);
    assert.equal(dictionary ? buffer.dictionaryU8 : buffer.u8, held);
  }
});

test('a repeated leaf grows by entries and by values', () => {
  const leaf = leavesOf([{ name: 'l', type: { kind: 'list', element: { kind: 'int64' } } }])[0] as Leaf;
  for (const dictionary of [false, true]) {
    const buffer = createLeafBuffer(leaf, { rows: 4, dictionary });
    for (let i = 0; i < 5000; i++) {
      ensureLevels(buffer, 1);
      ensureCount(buffer, 1);
      buffer.levels[buffer.levelCount++] = 7;
      if (dictionary) buffer.indexes[buffer.count++] = i;
      else buffer.i32[buffer.count++ * 2] = i;
    }
    assert.ok(buffer.levels.subarray(0, 5000).every((level) => level === 7));
    for (let i = 0; i < 5000; i++) assert.equal(dictionary ? buffer.indexes[i] : buffer.i32[i * 2], i);
  }
});

test('a buffer used again has nothing of the row group before', () => {
  const columns = [{ name: 'c', type: { kind: 'string' as const } }];
  const rows = Array.from({ length: 50 }, (_, i): Row => [`value ${i}`]);
  const buffer = fillRowGroup(columns, rows, () => true).leaves[0] as LeafBuffer;
  buffer.slots.fill(3);
  for (const dictionary of [false, true, true]) {
    reset(buffer, dictionary);
    assert.deepEqual(
      [buffer.count, buffer.used, buffer.entries, buffer.dictionaryUsed, buffer.levelCount, buffer.isDictionary],
      [0, 0, 0, 0, 0, dictionary],
    );
    assert.ok(buffer.valid.every((byte) => byte === 0));
    assert.ok(buffer.slots.every((slot) => slot === 0));
    if (dictionary) assert.ok(buffer.indexes.length >= 50);
    else ensureBytes(buffer, 1);
  }
});

test('a row group has a buffer per leaf, numbered where asked', () => {
  const leaves = leavesOf([
    { name: 'a', type: { kind: 'int32' } },
    {
      name: 's',
      type: {
        kind: 'struct',
        fields: [
          { name: 'x', type: { kind: 'date' } },
          { name: 'y', type: { kind: 'uuid' } },
        ],
      },
    },
  ]);
  const group = makeRowGroup(leaves, 10, [false, true]);
  assert.equal(group.rows, 0);
  assert.deepEqual(
    group.leaves.map((buffer) => buffer.isDictionary),
    [false, true, false],
  );
  assert.ok(group.leaves.every((buffer) => buffer.valid.length * 8 >= 10));
});
