import assert from 'node:assert/strict';
import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openDuckDb } from '../../warehouse/core/duckdb.ts';
import { assertNoStack, parseJson } from '../support/cli.ts';
import { type TestProject, testProject } from '../support/project.ts';

interface Report {
  readonly dry_run: boolean;
  readonly count: number;
  readonly bytes: number;
  readonly kinds: Readonly<Record<string, { readonly count: number; readonly bytes: number }>>;
  readonly items: readonly { readonly kind: string; readonly place: string; readonly bytes: number }[];
}

let project: TestProject;
before(async () => {
  project = await testProject();
  const { code, stderr } = await project.sluice(['run', '--as-of', '2026-03-01']);
  assert.equal(code, 0, stderr);
});
after(() => project[Symbol.asyncDispose]());

async function gc(...args: string[]): Promise<Report> {
  const result = await project.sluice(['gc', ...args, '--json']);
  assert.equal(result.code, 0, result.stdout);
  return parseJson(result) as unknown as Report;
}

const NOW = ['--older-than', '0m', '--idle'] as const;
const under = (...path: string[]): string => join(project.dir, '.sluice', ...path);

async function plant(path: string, content = '12345'): Promise<string> {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, content);
  return path;
}

test('names and removes leftovers of every kind with their bytes, and the project works on', async () => {
  const local = [
    await plant(under('cache', 'releases', 'a'.repeat(64), '.gold-1-abcdef.tmp')),
    await plant(under('cache', 'releases', 'b'.repeat(64), 'gold.duckdb')),
  ];
  // A build whose process is gone: no process has this number.
  const clone = under('cache', 'work', `${hostname()}-4194304-0123abcd`);
  await plant(join(clone, 'build', 'gold.duckdb'), '1234567890');
  await plant(under('lake', 'bronze', 'shop', 'orders', 'killed', '00000.parquet'));
  await plant(under('lake', 'warehouse', 'files', `${'c'.repeat(64)}.duckdb`));
  assert.deepEqual(
    (await gc()).items.map((item) => item.place),
    [clone],
    'the rest is too young',
  );
  await plant(join(clone, 'build', 'gold.duckdb'), '1234567890');
  const expected = {
    bronze: { count: 1, bytes: 5 },
    checkpoint: { count: 0, bytes: 0 },
    upload: { count: 0, bytes: 0 },
    release: { count: 1, bytes: 5 },
    local: { count: 3, bytes: 20 },
  };
  const dry = await gc('--dry-run', ...NOW);
  assert.deepEqual([dry.dry_run, dry.count, dry.bytes, dry.kinds], [true, 5, 30, expected]);
  for (const path of [...local, clone]) assert.ok((await stat(path)).size > 0);
  const told = await project.sluice(['gc', '--dry-run', ...NOW]);
  assertNoStack(told);
  assert.match(told.stdout, /would remove +count +bytes[\s\S]*bronze files +1 +5 B[\s\S]*no commit names it/);
  const done = await gc(...NOW);
  assert.deepEqual([done.dry_run, done.kinds], [false, expected]);
  for (const path of [...local, clone]) await assert.rejects(stat(path));
  const again = await project.sluice(['gc', ...NOW]);
  assert.match(again.stdout, /^Nothing to remove/);
  for (const command of [
    ['verify'],
    ['query', 'select count(*) from gold.fct_orders'],
    ['run', '--as-of', '2026-03-02'],
  ]) {
    const result = await project.sluice(command);
    assert.equal(result.code, 0, `${command[0]}: ${result.stdout}${result.stderr}`);
  }
});

test('a reader that pinned an old release keeps its file; a copy that nobody reads goes', async () => {
  const copies = async (): Promise<string[]> =>
    (await readdir(under('cache', 'releases'), { recursive: true })).filter((name) => name.endsWith('.duckdb')).sort();
  await project.sluice(['query', 'select 1']);
  await project.client.query('update shop.orders set amount = amount + 1');
  const old = await copies();
  assert.ok(old.length > 0);
  const gold = old.find((name) => name.endsWith('gold.duckdb')) ?? '';
  const reader = await openDuckDb({ path: under('cache', 'releases', gold), readOnly: true });
  try {
    assert.equal((await project.sluice(['run', '--as-of', '2026-03-03'])).code, 0);
    assert.equal((await project.sluice(['query', 'select 1'])).code, 0);
    await gc(...NOW);
    const left = await copies();
    assert.ok(left.includes(gold), 'held open by a process');
    assert.equal((await reader.rows('from fct_orders')).length, 200);
  } finally {
    reader.close();
  }
  const [release] = (await gc(...NOW)).items.filter((item) => item.place.endsWith(gold));
  assert.equal(release?.kind, 'local');
  assert.equal((await project.sluice(['rollback'])).code, 0, 'the release itself stays in the lake');
  assert.equal((await project.sluice(['query', 'select count(*) from gold.fct_orders'])).code, 0);
});

test('an age that no run may be given is refused with what to do', async () => {
  for (const [args, said] of [
    [['--older-than', '0h'], /--idle/],
    [['--older-than', '59m'], /1h or more/],
    [['--older-than', 'soon'], /is no age/],
    [['--older-than', '-1h'], /is no age/],
    [['--older-than', '24'], /is no age/],
  ] as const) {
    const result = await project.sluice(['gc', ...args]);
    assert.equal(result.code, 2, result.stdout);
    assert.match(result.stderr, said);
    assertNoStack(result);
  }
});

test('what the local cache used a moment ago is kept, however old its file is', async () => {
  const path = await plant(under('cache', 'releases', 'd'.repeat(64), 'gold.duckdb'));
  await utimes(path, new Date(), new Date(0));
  assert.deepEqual((await gc('--older-than', '1h')).items, []);
  assert.ok((await gc(...NOW)).items.some((item) => item.place === path));
});

test('parts of a first load that nobody went on with go, those of one that writes stay', async () => {
  const old = under('cache', 'loads', `0123456789abcdef.${hostname()}-4194304-01234567`);
  const young = under('cache', 'loads', `fedcba9876543210.${hostname()}-4194304-01234567`);
  const longAgo = new Date(Date.now() - 3 * 24 * 3_600_000);
  for (const dir of [old, young]) {
    for (const name of ['load.json', 'part-00000-00000.parquet'])
      await utimes(await plant(join(dir, name)), longAgo, longAgo);
    await utimes(dir, longAgo, longAgo);
  }
  await utimes(join(young, 'part-00000-00000.parquet'), longAgo, new Date());
  const dry = await gc('--dry-run');
  assert.deepEqual(
    dry.items.filter((item) => item.place.includes('loads')).map(({ place, bytes }) => [place, bytes]),
    [[old, 10]],
  );
  assert.ok((await stat(old)).isDirectory());
  await gc();
  await assert.rejects(stat(old));
  assert.ok((await stat(join(young, 'load.json'))).isFile());
  await gc('--older-than', '4d');
  assert.ok((await stat(young)).isDirectory());
  await gc(...NOW);
  await assert.rejects(stat(young));
});
