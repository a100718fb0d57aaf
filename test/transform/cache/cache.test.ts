import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import {
  type BronzeTableFacts,
  type CompileCache,
  compileProject,
  loadProject,
  openCompileCache,
} from '../../../warehouse/transform/index.ts';
import { openSqlEngine } from '../../../warehouse/transform/sql-engine.ts';
import { BRONZE, bronzeTable, filesOf, modelText } from '../compile/project.ts';

/** What a compile gives with a cache must be what it gives without one: models, errors, everything. */

const VERSION = '1.0.0';

type Texts = Record<string, string>;

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-cache-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** The project as plain data, or its error's words. */
async function outcome(
  texts: Texts,
  bronzeTables: readonly BronzeTableFacts[],
  kept?: string | CompileCache,
): Promise<unknown> {
  try {
    const cache = typeof kept === 'string' ? openCompileCache(kept, VERSION) : kept;
    const project = await compileProject({ files: filesOf(texts), bronzeTables, ...(cache && { cache }) });
    return JSON.parse(JSON.stringify(project));
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    return { code: error.code, message: error.message, remedy: error.remedy };
  }
}

const start = (): Texts => ({
  'sql/macros/half.sql': 'create macro half(x) as x // 2',
  'sql/macros/fourth.sql': 'create macro fourth(x) as half(half(x))',
  'sql/silver/app/stg_payments.sql': modelText(
    'select id, account_id, user_id, paid_on, amount, note from bronze.app.payments',
    ['key: [id]'],
  ),
  'sql/silver/app/stg_accounts.sql': modelText(
    "select id, user_id, org_id, name, currency from bronze.app.accounts where currency <> 'x'",
    ['materialized: table', 'key: [id]'],
  ),
  'sql/silver/app/joined.sql': modelText(
    'select p.id, a.org_id, p.user_id, p.paid_on, fourth(p.user_id) as q, p.amount from silver.stg_payments p join silver.stg_accounts a on a.id = p.account_id',
    [
      'materialized: incremental',
      'key: [id]',
      'columns: { id: { tests: [not_null, { relationships: { to: silver.stg_payments, column: id } }] } }',
      'tests: [{ expression: "half(user_id) >= 0" }]',
    ],
  ),
  'sql/silver/app/per_day.sql': modelText(
    'select org_id, paid_on, cast(sum(amount) as decimal(14, 2)) as amount, count(*) as n from silver.joined group by org_id, paid_on',
    ['materialized: incremental', 'key: [org_id, paid_on]'],
  ),
  'sql/silver/app/asof.sql': modelText('select id, paid_on from silver.stg_payments where paid_on <= as_of()', [
    'as_of: recompute',
  ]),
  'sql/silver/app/below.sql': modelText('select id from silver.asof', ['as_of: recompute']),
  'sql/tests/positive.sql': modelText('select id from silver.joined where amount < 0'),
});

type Edit = (texts: Texts, bronze: BronzeTableFacts[]) => void;
const replaceIn =
  (file: string, from: string, to: string): Edit =>
  (texts) => {
    const text = texts[file];
    if (text !== undefined) texts[file] = text.includes(from) ? text.replace(from, to) : text.replace(to, from);
  };

const S = 'sql/silver/app/';
const EDITS: readonly Edit[] = [
  replaceIn(`${S}stg_payments.sql`, ', note from', ', note, tags from'),
  replaceIn(`${S}stg_payments.sql`, 'amount, note', 'cast(amount as decimal(12, 2)) as amount, note'),
  replaceIn(`${S}stg_payments.sql`, 'user_id,', 'user_id as uid,'),
  replaceIn(`${S}stg_payments.sql`, 'description: a test', 'description: another'),
  replaceIn(`${S}stg_payments.sql`, 'key: [id]', 'materialized: table\nkey: [id]'),
  replaceIn(`${S}stg_accounts.sql`, 'select id', 'select  id'),
  replaceIn(`${S}stg_accounts.sql`, "'x'", "'y'"),
  replaceIn(`${S}stg_accounts.sql`, 'key: [id]', 'tags: [a]'),
  replaceIn(`${S}stg_accounts.sql`, 'from bronze', 'form bronze'),
  replaceIn(`${S}stg_accounts.sql`, 'from bronze.app.accounts', 'from silver.per_day'),
  replaceIn(`${S}joined.sql`, 'half(user_id)', 'half(uid)'),
  replaceIn(`${S}joined.sql`, 'to: silver.stg_payments', 'to: silver.stg_accounts'),
  replaceIn(`${S}joined.sql`, 'fourth(', 'half('),
  replaceIn(`${S}asof.sql`, 'where paid_on <= as_of()', ''),
  replaceIn(`${S}asof.sql`, 'as_of: recompute', 'tags: [b]'),
  replaceIn(`${S}per_day.sql`, 'count(*) as n', 'count(*) as n, random() as r'),
  replaceIn('sql/macros/half.sql', 'x // 2', 'x // 2 + 0'),
  replaceIn('sql/macros/half.sql', 'x // 2', '(x // 2)::varchar'),
  replaceIn('sql/macros/half.sql', 'half(x)', 'halve(x)'),
  replaceIn('sql/macros/fourth.sql', 'half(half(x))', "half(x + date_diff('day', as_of(), as_of()))"),
  replaceIn('sql/tests/positive.sql', 'amount < 0', 'amounts < 0'),
  (texts) => {
    const text = texts[`${S}below.sql`];
    delete texts[`${S}below.sql`];
    if (text !== undefined) texts[`${S}beneath.sql`] = text;
  },
  (texts) => delete texts[`${S}stg_accounts.sql`],
  (texts) => Object.assign(texts, { [`${S}stg_accounts.sql`]: start()[`${S}stg_accounts.sql`] ?? '' }),
  (texts) =>
    Object.assign(texts, { [`${S}more.sql`]: modelText('select id, fourth(user_id) as x from silver.joined') }),
  (texts) => delete texts['sql/macros/fourth.sql'],
  (texts) => Object.assign(texts, { 'sql/macros/fourth.sql': 'create macro fourth(x) as half(half(x))' }),
  (texts) => Object.assign(texts, { 'sql/silver/other/joined.sql': modelText('select 1 as id') }),
  (texts) => delete texts['sql/silver/other/joined.sql'],
  (_, bronze) =>
    void bronze.splice(
      1,
      1,
      bronzeTable(
        'app.payments',
        {
          id: 'BIGINT',
          account_id: 'UUID',
          user_id: 'BIGINT',
          paid_on: 'DATE',
          amount: 'DECIMAL(16,2)',
          note: 'VARCHAR',
          tags: 'VARCHAR[]',
        },
        ['id'],
      ),
    ),
  (_, bronze) => void bronze.splice(0, 2, ...BRONZE),
  (texts) => Object.assign(texts, start()),
];

test('cached and uncached compiles agree after any edits', { timeout: 600_000 }, async (t) => {
  let problems = 0;
  let whole = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(EDITS.length - 1), { minLength: 3, maxLength: 8 }), async (numbers) => {
      const dir = await mkdtemp(join(await folder(t), 'run-'));
      const texts = start();
      const bronze = [...BRONZE];
      await outcome(texts, bronze, dir);
      for (const number of numbers) {
        EDITS[number]?.(texts, bronze);
        const plain = await outcome(texts, bronze);
        assert.deepEqual(await outcome(texts, bronze, dir), plain);
        if (typeof plain === 'object' && plain !== null && 'code' in plain) problems += 1;
        else whole += 1;
      }
    }),
    { numRuns: 8, seed: 7 },
  );
  assert.ok(problems > 5 && whole > 5, `${problems} with problems, ${whole} without`);
});

test('every single edit, one after another, gives the same with one cache', async (t) => {
  const dir = await folder(t);
  for (const [number, edit] of EDITS.entries()) {
    const texts = start();
    const bronze = [...BRONZE];
    await outcome(texts, bronze, dir);
    edit(texts, bronze);
    assert.deepEqual(await outcome(texts, bronze, dir), await outcome(texts, bronze), `edit ${number}`);
  }
});

async function writeTexts(dir: string, texts: Texts): Promise<void> {
  // A minute ago, so that stamps are trusted.
  const at = new Date(Date.now() - 60_000);
  for (const [file, text] of Object.entries(texts)) {
    const path = join(dir, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    await utimes(path, at, at);
  }
}

test('a process that keeps its cache open gives the same after every edit and on the way back, also where compiles overlap', async (t) => {
  const before = await outcome(start(), BRONZE);
  for (const [number, edit] of EDITS.entries()) {
    const cache = openCompileCache(await folder(t), VERSION);
    const texts = start();
    const bronze = [...BRONZE];
    edit(texts, bronze);
    const after = await outcome(texts, bronze);
    const there = () => outcome(texts, bronze, cache);
    const back = () => outcome(start(), BRONZE, cache);
    const overlapping = await Promise.all([there(), back()]);
    const found = [...overlapping, await there(), await back(), await back(), await there(), await there()];
    assert.deepEqual(found, [after, before, after, before, before, after, after], `edit ${number}`);
  }
});

test('what is known of DuckDB’s functions is what it would list', async (t) => {
  const dir = await folder(t);
  await outcome(start(), BRONZE, dir);
  const known = openCompileCache(dir, VERSION).functions;
  const engines = [await openSqlEngine(known), await openSqlEngine()];
  const [kept, listed] = engines.map(({ names: { functions, aggregates, volatile } }) =>
    [functions, aggregates, volatile].map((names) => [...names].sort()),
  );
  for (const engine of engines) engine.close();
  assert.equal(engines[0]?.names, known);
  assert.deepEqual(kept, listed);
});

test('a damaged cache is ignored, whatever is cut off or written into it', async (t) => {
  const dir = await folder(t);
  const cacheDir = join(dir, 'cache');
  const plain = await outcome(start(), BRONZE);
  await outcome(start(), BRONZE, cacheDir);
  const names = await readdir(cacheDir);
  assert.ok(names.length > 3);
  for (const [i, name] of names.entries()) {
    const bytes = await readFile(join(cacheDir, name));
    for (const damage of i % 4 === 0 ? (['cut', 'flip', 'empty', 'foreign'] as const) : (['flip'] as const)) {
      if (damage === 'cut') await truncate(join(cacheDir, name), Math.floor(bytes.length / 2));
      else if (damage === 'empty') await writeFile(join(cacheDir, name), '');
      else if (damage === 'foreign') await writeFile(join(cacheDir, name), '{"not":"ours"}\n');
      else {
        const flipped = Buffer.from(bytes);
        flipped[Math.floor(bytes.length * 0.7)] = (flipped[Math.floor(bytes.length * 0.7)] ?? 0) ^ 1;
        await writeFile(join(cacheDir, name), flipped);
      }
      assert.deepEqual(await outcome(start(), BRONZE, cacheDir), plain, `${name} ${damage}`);
    }
  }
});

test('a cache in a place that cannot be written is no obstacle', async (t) => {
  const dir = await folder(t);
  await writeFile(join(dir, 'file'), '');
  const plain = await outcome(start(), BRONZE);
  assert.deepEqual(await outcome(start(), BRONZE, join(dir, 'file', 'cache')), plain);
});

test('files are read only when their stamp is another; the edit of one is seen', async (t) => {
  const dir = await folder(t);
  const cacheDir = join(dir, 'cache');
  const texts = start();
  await writeTexts(dir, texts);
  const compileFolder = async () => {
    const cache = openCompileCache(cacheDir, VERSION);
    const files = await loadProject(dir, cache.files);
    const unread = [...files.models].filter((file) => file.hash !== undefined).length;
    return {
      unread,
      project: JSON.parse(JSON.stringify(await compileProject({ files, bronzeTables: BRONZE, cache }))),
    };
  };
  // The clock that counts is the file system's own, which utimes does not move: the stamps settle two seconds after the writes.
  await new Promise((resolve) => setTimeout(resolve, 2200));
  const first = await compileFolder();
  const second = await compileFolder();
  assert.deepEqual([first.unread, second.unread], [0, 6]);
  assert.deepEqual(second.project, first.project);
  const file = `${S}stg_accounts.sql`;
  const edited = (texts[file] ?? '').replace("'x'", "'z'");
  await writeFile(join(dir, file), edited);
  const third = await compileFolder();
  assert.equal(third.unread, 5);
  const plain = await compileProject({ files: await loadProject(dir), bronzeTables: BRONZE });
  assert.deepEqual(third.project, JSON.parse(JSON.stringify(plain)));
});

test('a problem that lies in no model is told again and again', async (t) => {
  const dir = await folder(t);
  await outcome(start(), BRONZE, dir);
  for (const [file, text] of [
    ['sql/macros/half.sql', 'create macro half(x) as x // 2 + random()'],
    ['sql/tests/positive.sql', modelText('select id from silver.joined where amounts < 0')],
  ] as const) {
    const texts = { ...start(), [file]: text };
    const plain = await outcome(texts, BRONZE);
    assert.ok(typeof plain === 'object' && plain !== null && 'code' in plain);
    assert.deepEqual([await outcome(texts, BRONZE, dir), await outcome(texts, BRONZE, dir)], [plain, plain]);
  }
});

test('another release of Sluice trusts nothing that this one wrote', async (t) => {
  const dir = await folder(t);
  await outcome(start(), BRONZE, dir);
  const known = openCompileCache(dir, VERSION);
  assert.deepEqual([known.models.size, known.tests.size, known.macros?.macros.length], [6, 1, 4]);
  assert.ok(known.functions?.functions.has('regexp_matches') === true && known.functions.aggregates.has('sum'));
  assert.ok(known.functions.volatile.has('random') && !known.functions.volatile.has('sum'));
  const other = openCompileCache(dir, '1.0.1');
  assert.deepEqual([other.models.size, other.tests.size, other.macros, other.functions], [0, 0, undefined, undefined]);
  assert.deepEqual(
    [...known.models.keys()].map(other.files.get),
    Array.from({ length: 6 }, () => undefined),
  );
});
