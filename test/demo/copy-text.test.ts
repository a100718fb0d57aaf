import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { type CopyChunk, createCopyText } from '../../demo/copy-text.ts';
import { schemaSql } from '../../demo/index.ts';
import type { Row } from '../../demo/rows.ts';
import { openSession } from './support.ts';

const OWNER = { org_id: 1, user_id: '1', created_at: '2025-01-01', updated_at: '2025-01-01' };

test('any text survives COPY as it was, NULL stays apart from every text', async (t) => {
  const session = await openSession(t);
  const tables = (await schemaSql()).split('-- after loading')[0] ?? '';
  await session.rows(tables);
  const client = new pg.Client({ connectionString: session.url });
  await client.connect();
  // the database is dropped under it at the end
  client.on('error', () => undefined);
  // what Postgres cannot hold is left out: NUL and lone surrogates
  const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed() && !value.includes('\0'));
  const odd = fc.constantFrom('\\N', '\\.', '', '\\', 'a\tb', '\r\n', 'null', '"', "'", '\u2028', '🧾');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(text, odd), { maxLength: 40 }), async (names) => {
      await client.query('truncate app.tags');
      const rows = names.map(
        (name, index): Row => ({
          ...OWNER,
          id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
          name,
          color: null,
        }),
      );
      for (const chunk of chunksOf(rows)) {
        const stream = client.query(copyFrom('copy app.tags from stdin'));
        stream.end(chunk.bytes);
        await once(stream, 'finish');
      }
      const found = await client.query<{ name: string; color: string | null }>(
        'select name, color from app.tags order by id',
      );
      assert.deepEqual(
        found.rows,
        names.map((name) => ({ name, color: null })),
      );
    }),
    { numRuns: 60 },
  );
});

test('chunks hold every row once and stay near a megabyte', () => {
  const rows = Array.from(
    { length: 30_000 },
    (_, index): Row => ({ ...OWNER, id: String(index), name: 'ü'.repeat(index % 90), color: null }),
  );
  const chunks = chunksOf(rows);
  assert.ok(chunks.length > 2);
  assert.ok(chunks.every((chunk) => chunk.bytes.byteLength <= 1 << 20));
  const lines = chunks.flatMap((chunk) => new TextDecoder().decode(chunk.bytes).trimEnd().split('\n'));
  assert.deepEqual(
    lines.map((line) => line.split('\t')[0]),
    rows.map((row) => row['id']),
  );
  assert.equal(
    chunks.reduce((sum, chunk) => sum + chunk.rows, 0),
    rows.length,
  );
});

function chunksOf(rows: readonly Row[]): CopyChunk[] {
  const chunks: CopyChunk[] = [];
  const writer = createCopyText((chunk) => chunks.push(chunk));
  for (const row of rows) writer.add('tags', row);
  writer.finish();
  return chunks;
}
