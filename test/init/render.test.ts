import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import {
  loadSources,
  renderSource,
  type SourceDefinition,
  type SourceProposal,
} from '../../warehouse/extract/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const exec = promisify(execFile);

/** What Postgres takes as an identifier: any text of at most 63 bytes without NUL. */
const identifier = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 15 }),
    fc.string({
      unit: fc.constantFrom(
        `'`,
        `"`,
        '\\',
        '`',
        '$',
        '{',
        '*',
        '/',
        '\n',
        '\u2028',
        '\u200d',
        'a',
        '1',
        ' ',
        'é',
        '表',
        '-',
      ),
      minLength: 1,
      maxLength: 20,
    }),
    fc.stringMatching(/^[a-z_][a-z0-9_]{0,62}$/),
  )
  .filter(
    (name) =>
      Buffer.byteLength(name) <= 63 &&
      !name.includes('\0') &&
      !/\p{Cs}/u.test(name) &&
      !['__proto__', '_op', '_seq', '_extracted_at'].includes(name),
  );

const text = fc.string({ unit: 'binary', maxLength: 200 });

const proposal: fc.Arbitrary<SourceProposal> = fc.record({
  name: fc.oneof(
    fc.stringMatching(/^[a-z_][a-z0-9_]{0,30}$/),
    fc.constantFrom('class', 'delete', 'await', 'let', 'undefined', 'nan'),
  ),
  schema: identifier,
  tables: fc.uniqueArray(
    fc
      .record({
        table: identifier,
        columns: fc.uniqueArray(identifier, { minLength: 1, maxLength: 8 }),
        why: text,
        hint: text,
        comment: fc.option(text),
        masked: fc.nat(3),
        keyed: fc.nat(8),
        out: identifier,
      })
      .map(({ table, columns, why, hint, comment, masked, keyed, out }) => ({
        table,
        mode: keyed > 4 ? ('cursor' as const) : ('full' as const),
        why,
        key: columns
          .slice(0, Math.max(keyed > 4 ? 1 : 0, keyed))
          .filter((name, i) => i !== columns.length - 1 || name === columns[0]),
        cursor: keyed > 4 ? (columns.at(-1) ?? null) : null,
        columns: [
          ...columns.map((name, i) => ({
            name,
            type: 'text',
            treatment: i < masked && i < columns.length - 1 ? ('hash' as const) : ('carry' as const),
            why,
          })),
          { name: out, type: 'text', treatment: 'leave out' as const, why },
        ],
        rows: null,
        hints: [hint],
        comment,
      })),
    { minLength: 1, maxLength: 4, selector: (table) => table.table },
  ),
  leftOut: fc.array(fc.record({ table: identifier, why: text }), { maxLength: 2 }),
});

test('whatever the names, the file is what biome would write, compiles, loads and says the same', {
  timeout: 300_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-render-'));
  try {
    const proposals = fc.sample(proposal, { numRuns: 80, seed: 4 });
    const edge = join(root, 'warehouse/extract/index.ts');
    for (const [i, source] of proposals.entries()) {
      const folder = join(dir, String(i), 'models', 'sources');
      await mkdir(folder, { recursive: true });
      await writeFile(
        join(folder, 'source.ts'),
        renderSource(source, { engine: relative(folder, edge), origin: `the database ${source.schema}` }),
      );
    }
    await writeFile(join(dir, 'package.json'), '{ "type": "module" }');
    const biome = JSON.parse(await readFile(join(root, 'biome.json'), 'utf8')) as Record<string, unknown>;
    await writeFile(join(dir, 'biome.json'), JSON.stringify({ ...biome, $schema: undefined, vcs: { enabled: false } }));
    await writeFile(
      join(dir, 'tsconfig.json'),
      JSON.stringify({
        extends: join(root, 'tsconfig.json'),
        compilerOptions: { typeRoots: [join(root, 'node_modules/@types')] },
        include: ['*/models/**/*.ts'],
        exclude: [],
      }),
    );
    for (const [name, args] of [
      ['biome', ['ci', '--colors=off', '--max-diagnostics=5', ...proposals.map((_, i) => `${i}/models`)]],
      ['tsc', ['-p', 'tsconfig.json']],
    ] as const) {
      await exec(join(root, 'node_modules/.bin', name), [...args], { cwd: dir }).catch(
        (error: { stdout?: string; stderr?: string }) => {
          assert.fail(`${name}: ${error.stdout ?? ''}${error.stderr ?? ''}`);
        },
      );
    }
    for (const [i, source] of proposals.entries()) {
      const [loaded] = await loadSources(join(dir, String(i)));
      assert.equal(loaded?.schema, source.schema);
      for (const table of source.tables) {
        const carried = table.columns.filter((column) => column.treatment !== 'leave out').map((column) => column.name);
        const masked = table.columns.filter((column) => column.treatment === 'hash').map((column) => column.name);
        const definition: SourceDefinition['tables'][string] | undefined = loaded.tables[table.table];
        assert.deepEqual(definition?.columns, carried);
        assert.deepEqual(definition.key, table.key);
        assert.deepEqual(Object.keys(definition.mask ?? {}).sort(), masked.sort());
      }
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
