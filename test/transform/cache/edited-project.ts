import assert from 'node:assert/strict';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import type { Release } from '../../../warehouse/core/release.ts';
import {
  type BronzeTableFacts,
  type CompileCache,
  type CompiledProject,
  compileProject,
  openCompileCache,
  type Plan,
  type ProjectFiles,
  planBuild,
} from '../../../warehouse/transform/index.ts';
import { bronzeOf, releaseOf } from '../compile/built-release.ts';
import { BRONZE, filesOf, modelText } from '../compile/project.ts';

/** A project in which every kind of thing reads every other, ways to edit it, and what a cached compile and an uncached one say of it. */

type Texts = Record<string, string>;

function projectFiles(texts: Texts): ProjectFiles {
  const stems = new Set(
    Object.keys(texts).flatMap((file) => (file.startsWith('sql/seeds/') ? [file.replace(/\.(csv|yaml)$/, '')] : [])),
  );
  const seeds = [...stems]
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((stem) => ({
      stem,
      table: stem.slice(stem.lastIndexOf('/') + 1),
      csv: texts[`${stem}.csv`],
      yaml: texts[`${stem}.yaml`],
    }));
  return { ...filesOf(texts), seeds };
}

const S = 'sql/silver/app/';
export const start = (): Texts => ({
  'sql/macros/share.sql': 'create macro share(part, whole) as part // whole',
  'sql/macros/twice.sql': 'create macro twice(x) as share(x * 2, 1)',
  'sql/macros/lone.sql': 'create macro lone(x) as x + 1',
  'sql/seeds/currencies.csv': 'code,name,rate\neur,Euro,1.00\nusd,Dollar,0.90\n',
  'sql/seeds/currencies.yaml': `description: Currencies.
key: [code]
columns:
  code: { type: VARCHAR, tests: [not_null] }
  name: { type: VARCHAR }
  rate: { type: "DECIMAL(5,2)", tests: [{ range: { min: 0 } }] }
tests: [{ expression: "rate > 0" }]
`,
  'sql/seeds/labels.csv': 'id,label\n1,one\n2,two\n',
  'sql/seeds/labels.yaml': 'description: Labels.\ncolumns: { id: { type: BIGINT }, label: { type: VARCHAR } }\n',
  [`${S}pay.sql`]: modelText('select id, account_id, user_id, paid_on, amount, note from bronze.app.payments', [
    'key: [id]',
  ]),
  [`${S}pay_more.sql`]: modelText(
    'select id, account_id, user_id, paid_on, amount, share(user_id, 2) as half, note from silver.pay',
  ),
  [`${S}accounts.sql`]: modelText('select id, user_id, org_id, name, currency from bronze.app.accounts', [
    'materialized: table',
    'key: [id]',
    'winner: user_id desc, name',
  ]),
  [`${S}history.sql`]: modelText('select id, user_id, name from silver.people', [
    'materialized: snapshot',
    'key: [id]',
    'snapshot: { strategy: check, columns: all }',
  ]),
  [`${S}people.sql`]: modelText('select id, user_id, name from silver.accounts', ['materialized: table']),
  [`${S}past.sql`]: modelText('select id, name, valid_from, valid_to from silver.history where is_current'),
  [`${S}joined.sql`]: modelText(
    'select p.id, p.user_id, p.half, a.org_id, c.rate, p.paid_on from silver.pay_more p join silver.accounts a on a.id = p.account_id left join silver.currencies c on c.code = a.currency',
    [
      'materialized: incremental',
      'key: [id]',
      'incremental: { by: [user_id] }',
      'columns: { id: { tests: [{ not_null: , where: "twice(user_id) > 0" }, { relationships: { to: silver.past, column: name } }] }, half: { type: BIGINT } }',
      'tests: [{ expression: "user_id not in (select u.rate::bigint from silver.per_user u)" }, { row_count: { min: 1 } }, { expression: "lone(half) > 0" }]',
    ],
  ),
  [`${S}per_user.sql`]: modelText(
    'select user_id, count(*) as n, cast(sum(rate) as decimal(18, 2)) as rate from silver.joined group by user_id',
    ['materialized: incremental', 'key: [user_id]'],
  ),
  [`${S}lines.sql`]: modelText('select id, half from silver.pay_more where half > 0', [
    'materialized: incremental',
    'incremental: append',
  ]),
  'sql/gold/app/totals.sql': modelText('select user_id, twice(n) as n from silver.per_user', [
    'owner: { public: a test }',
    'key: [user_id]',
    'columns: { user_id: , n: }',
    'dataset: { friendly_name: Totals, group: facts }',
  ]),
  'sql/tests/rates.sql': modelText('select code from silver.currencies where rate < 0', ['warn_if: ">1"']),
});

type Edit = readonly [says: string, edit: (texts: Texts, bronze: BronzeTableFacts[]) => void];
/** Puts one text for the other, or the other way round. */
const swap = (file: string, from: string, to: string): Edit => [
  `${file}: ${from} → ${to}`,
  (texts) => {
    const text = texts[file];
    if (text !== undefined) texts[file] = text.includes(from) ? text.replace(from, to) : text.replace(to, from);
  },
];
const toggle = (file: string, text: string): Edit => [
  `${file} comes or goes`,
  (texts) => {
    if (texts[file] === undefined) texts[file] = text;
    else delete texts[file];
  },
];

export const EDITS: readonly Edit[] = [
  swap('sql/seeds/currencies.csv', 'usd,Dollar,0.90', 'usd,Dollar,0.91'),
  swap('sql/seeds/currencies.csv', 'usd,Dollar,0.90', 'usd,Dollar,much'),
  swap('sql/seeds/currencies.csv', 'code,name,rate', 'code,rate,name'),
  swap('sql/seeds/currencies.yaml', 'DECIMAL(5,2)', 'DECIMAL(9,3)'),
  swap('sql/seeds/currencies.yaml', '"DECIMAL(5,2)"', 'VARCHAR'),
  swap('sql/seeds/currencies.yaml', 'rate > 0', 'twice(rate) > 0'),
  swap('sql/seeds/currencies.yaml', 'description: Currencies.', 'description: Money.'),
  swap('sql/seeds/labels.csv', '2,two', '2,"two, too"'),
  toggle(
    'sql/seeds/labels.yaml',
    'description: Labels.\ncolumns: { id: { type: BIGINT }, label: { type: VARCHAR } }\n',
  ),
  toggle(`${S}labels.sql`, modelText('select 1 as id')),
  toggle('sql/seeds/more/labels.csv', 'id\n1\n'),
  toggle(`${S}by_label.sql`, modelText('select l.label from silver.labels l', ['materialized: table'])),
  swap('sql/macros/share.sql', 'share(part, whole)', 'share(whole, part)'),
  swap('sql/macros/share.sql', 'part // whole', 'part // whole + random()::bigint'),
  swap('sql/macros/share.sql', 'part // whole', '(part // whole)::varchar'),
  swap('sql/macros/twice.sql', 'share(x * 2, 1)', 'share(1, x * 2)'),
  swap('sql/macros/twice.sql', 'share(x * 2, 1)', "share(x * 2, 1) + date_diff('day', as_of(), as_of())"),
  swap('sql/macros/lone.sql', 'x + 1', 'x + random()'),
  // Only the condition of a test calls it.
  swap('sql/macros/lone.sql', 'lone(x)', 'lone(y, x)'),
  swap('sql/macros/lone.sql', 'x + 1', 'array_length([x])'),
  toggle('sql/macros/extra.sql', 'create macro extra(x) as x'),
  swap(`${S}pay.sql`, 'key: [id]', 'key: [id]\nmaterialized: table'),
  swap(`${S}pay.sql`, 'amount, note', 'amount, lower(note) as note'),
  swap(`${S}pay.sql`, 'amount, note', 'note, amount'),
  swap(`${S}pay.sql`, 'from bronze.app.payments', 'from bronze.app.payments where amount > 0'),
  swap(`${S}pay_more.sql`, 'share(user_id, 2)', 'share(2, user_id)'),
  swap(`${S}pay_more.sql`, 'description: a test', 'description: a test\nmaterialized: table'),
  swap(`${S}pay_more.sql`, 'from silver.pay', 'from silver.pay where paid_on <= as_of()'),
  swap(`${S}accounts.sql`, 'user_id desc, name', 'names desc'),
  swap(`${S}accounts.sql`, 'user_id desc', 'user_id asc'),
  swap(`${S}accounts.sql`, 'winner: user_id desc, name', 'tags: [x]'),
  swap(`${S}accounts.sql`, 'materialized: table', 'materialized: incremental'),
  [
    'accounts moves with the logical date, far above a snapshot',
    (texts) => {
      const file = `${S}accounts.sql`;
      const text = texts[file] ?? '';
      texts[file] = text.includes('as_of()')
        ? text.replace(" where as_of() > date '2000-01-01'", '').replace('as_of: recompute\n', '')
        : text
            .replace('bronze.app.accounts', "bronze.app.accounts where as_of() > date '2000-01-01'")
            .replace('key: [id]', 'as_of: recompute\nkey: [id]');
    },
  ],
  swap(`${S}history.sql`, 'columns: all', 'columns: [name]'),
  swap(`${S}history.sql`, 'columns: all }', 'columns: all, hard_deletes: new_record }'),
  swap(`${S}history.sql`, 'strategy: check, columns: all', 'strategy: timestamp, updated_at: name'),
  swap(`${S}history.sql`, 'materialized: snapshot', 'materialized: table'),
  swap(`${S}people.sql`, 'user_id, name', 'user_id, upper(name) as name'),
  swap(`${S}past.sql`, 'where is_current', 'where not is_deleted'),
  swap(`${S}past.sql`, 'select id, name,', 'select id, name as called,'),
  swap(`${S}joined.sql`, 'twice(user_id) > 0', 'half > 0'),
  swap(`${S}joined.sql`, 'u.rate::bigint from silver.per_user u', 'u.user_id from silver.accounts u'),
  swap(`${S}joined.sql`, 'by: [user_id]', 'by: [id]'),
  swap(`${S}joined.sql`, 'half: { type: BIGINT }', 'half: { type: INTEGER }'),
  swap(`${S}joined.sql`, 'min: 1', 'min: 2'),
  swap(`${S}joined.sql`, 'materialized: incremental', 'materialized: view'),
  swap(`${S}joined.sql`, 'c.rate, ', 'c.rate * 2 as rate, '),
  swap(`${S}per_user.sql`, 'select user_id,', 'select user_id as who,'),
  // Only the condition of a test reads it.
  swap(`${S}per_user.sql`, 'as rate', 'as rates'),
  swap(`${S}per_user.sql`, 'count(*) as n', 'count(*)::integer as n'),
  swap(`${S}lines.sql`, 'incremental: append', 'key: [id]'),
  // What is appended to may not be an aggregate, wherever it is one.
  swap(`${S}pay.sql`, 'select id,', 'select distinct id,'),
  swap('sql/gold/app/totals.sql', 'friendly_name: Totals', 'friendly_name: Sums'),
  swap('sql/tests/rates.sql', '">1"', '">2"'),
  swap('sql/tests/rates.sql', 'rate < 0', 'twice(rate) < 0'),
  [
    'a column of bronze may be NULL, or not',
    (_, bronze) => {
      const [accounts, payments] = bronze;
      if (accounts === undefined || payments === undefined) return;
      const columns = payments.contract.columns.map((column) =>
        column.name === 'user_id' ? { ...column, nullable: !column.nullable } : column,
      );
      bronze.splice(0, 2, accounts, { ...payments, contract: { ...payments.contract, columns } });
    },
  ],
];

export type Wish = 'all' | 'none' | 'standing';
export type Outcome =
  | { readonly project: CompiledProject }
  | { readonly error: { readonly code: string; readonly message: string; readonly remedy: string | undefined } };

export async function compileTexts(
  texts: Texts,
  bronzeTables: readonly BronzeTableFacts[],
  wish: Wish,
  /** Folder of a cache, or one that stays open. */
  kept?: string | CompileCache,
): Promise<Outcome> {
  const wishes = {
    all: {},
    none: { needsRule: () => false },
    standing: { needsRule: (name: string) => name !== 'silver.per_user' },
  } as const;
  try {
    const cache = typeof kept === 'string' ? openCompileCache(kept, '1.0.0') : kept;
    const options = { files: projectFiles(texts), bronzeTables, ...wishes[wish], ...(cache && { cache }) };
    return { project: await compileProject(options) };
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    return { error: { code: error.code, message: error.message, remedy: error.remedy } };
  }
}

function planOf(project: CompiledProject, previous: Release, bronzeTables: readonly BronzeTableFacts[]): Plan {
  return planBuild({
    project,
    previous,
    bronze: bronzeOf(bronzeTables, 2),
    asOf: '2026-01-02',
    dropHistory: new Set(['silver.history']),
  });
}

export const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** Compiles with the cache and without, compares all that can be seen, and says whether the project was sound. */
export async function assertSame(
  texts: Texts,
  bronze: readonly BronzeTableFacts[],
  facts: {
    readonly wish: Wish;
    readonly cache: string | CompileCache;
    readonly previous: Release;
    readonly says: string;
  },
): Promise<boolean> {
  const { wish, cache, previous, says } = facts;
  const [uncached, cached] = [await compileTexts(texts, bronze, wish), await compileTexts(texts, bronze, wish, cache)];
  assert.deepEqual(plain(cached), plain(uncached), says);
  if (!('project' in uncached) || !('project' in cached)) return false;
  assert.deepEqual(
    plain(planOf(cached.project, previous, bronze)),
    plain(planOf(uncached.project, previous, bronze)),
    `plan: ${says}`,
  );
  return true;
}

export async function openStart(dir: string): Promise<Release> {
  const first = await compileTexts(start(), BRONZE, 'all', dir);
  assert.ok('project' in first, JSON.stringify(first));
  return releaseOf(first.project, bronzeOf(BRONZE, 1), '2026-01-01');
}
