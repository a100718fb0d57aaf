import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeAllOrNothing } from '../../import-dbt/index.ts';
import { parseError, parseJson, runCli } from '../support/cli.ts';
import { type Files, importFiles, listFiles, placesOf, readText, testFolder, writeDbtProject } from './support.ts';

/** What is wrong with a dbt project is said with its file and line, and nothing half-written is left. */

const BROKEN: readonly (readonly [name: string, files: Files, message: RegExp])[] = [
  ['YAML of the project', { 'dbt_project.yml': 'name: x\nvars: [a\n' }, /^dbt_project\.yml:3:\d+: /],
  ['a project without a name', { 'dbt_project.yml': 'version: 1\n' }, /^dbt_project\.yml:1: the project has no name/],
  ['YAML of properties', { 'models/a.yml': 'models:\n  - name: a\n - b' }, /^models\/a\.yml:3:\d+: /],
];

for (const [name, files, message] of BROKEN) {
  test(`refuses broken ${name} with its line`, async (t) => {
    await assert.rejects(importFiles(t, files), { code: 'DBT_PROJECT_INVALID', message });
  });
}

const PROBLEMS: readonly (readonly [sql: string, place: RegExp])[] = [
  [
    "select 1\nfrom {{ ref('stg_ordres') }}",
    /a\.sql:2: ref: there is no model, seed or snapshot stg_ordres; did you mean stg_orders\?/,
  ],
  ["select 1\n\nfrom {{ source('till', 'orders') }}", /a\.sql:3: source: no properties file declares till\.orders/],
  ["select {{ var('x') }}", /a\.sql:1: var: x has no value/],
  ["select {{ env_var('X') }}", /a\.sql:1: env_var: X has no default/],
  ['select 1\n{% if true %}', /a\.sql:2: \{% if %\} is not closed/],
  ['select {{ frob(1) }},\n{{ other.frob() }}', /a\.sql:1: frob is not known[^]*a\.sql:2: other is not defined/],
  [
    "{% set q = run_query('select 1') %}\nselect {{ q.columns[0] }}",
    /a\.sql:1: run_query asks the database while the project is compiled/,
  ],
  ['select {{ run_started_at.year }}', /a\.sql:1: run_started_at\.year is another value at another time/],
  ['select {{ broken(1) }}', /a\.sql:1: bad argument \(macros\/m\.sql:2, in the macro broken\)/],
  ['select {{ endless() }}', /a\.sql:1: the macro endless calls itself without end/],
  ['-- nothing', /a\.sql:1: DuckDB refuses the SQL/],
  ['', /a\.sql:1: the model holds no SQL/],
  ["select a\nfrom {{ ref('stg_orders') }}\nwhere where", /a\.sql:3: DuckDB refuses the SQL: syntax error/i],
  ["select id,\n  nope\nfrom {{ ref('stg_orders') }}", /a\.sql:2: DuckDB refuses the SQL: .*nope/],
  ["select id,\n  dateadd(day, 1, id)\nfrom {{ ref('stg_orders') }}", /a\.sql:2: DuckDB refuses the SQL: .*dateadd/],
];

for (const [sql, place] of PROBLEMS) {
  test(`names the place of ${JSON.stringify(sql)}`, async (t) => {
    const imported = await importFiles(t, {
      'macros/m.sql':
        "{% macro broken(x) %}\n{{ exceptions.raise_compiler_error('bad argument') }}{% endmacro %}\n{% macro endless() %}{{ endless() }}{% endmacro %}",
      'models/stg_orders.sql': 'select 1 as id',
      'models/a.sql': sql,
    });
    assert.match(placesOf(imported, 'left_out').join('\n'), place);
    for (const { remedy } of imported.findings.list.filter(({ kind }) => kind === 'left_out'))
      assert.notEqual(remedy, '');
  });
}

test('a problem in one model leaves the others as they are', async (t) => {
  const imported = await importFiles(t, {
    'models/a.sql': 'select {{ nothing() }}',
    'models/b.sql': "select * from {{ ref('a') }}",
    'models/c.sql': 'select 1 as x',
  });
  assert.deepEqual(imported.files.map(({ path }) => path).sort(), ['sql/silver/shop/b.sql', 'sql/silver/shop/c.sql']);
});

test('the command writes all or nothing, and never over what is there', async (t) => {
  const dbt = await writeDbtProject(await testFolder(t), {
    'models/a.sql': 'select 1 as x',
    'models/b.sql': 'select 2 as x',
  });
  const out = join(await testFolder(t), 'new');
  const dry = await runCli(['import', 'dbt', dbt, '--out', out, '--dry-run', '--json']);
  assert.equal(dry.code, 0, dry.stderr);
  assert.deepEqual(parseJson(dry)['files'], ['sql/silver/shop/a.sql', 'sql/silver/shop/b.sql']);
  assert.deepEqual(await listFiles(out).catch(() => 'no folder'), 'no folder');

  const done = await runCli(['import', 'dbt', dbt, '--out', out]);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /2 models, 0 snapshots, 0 macros and 0 tests carried/);
  assert.match(await readText(out, 'IMPORT.md'), /\| model \| a \| models\/a\.sql \| sql\/silver\/shop\/a\.sql \|/);
  const before = await listFiles(out);

  await writeFile(join(out, 'sql/silver/shop/a.sql'), 'mine');
  const again = await runCli(['import', 'dbt', dbt, '--out', out, '--json']);
  assert.equal(again.code, 2);
  assert.match(
    parseError(again).message,
    /3 files \(sql\/silver\/shop\/a\.sql, sql\/silver\/shop\/b\.sql, IMPORT\.md\) are there already/,
  );
  assert.equal(await readText(out, 'sql/silver/shop/a.sql'), 'mine');
  const forced = await runCli(['import', 'dbt', dbt, '--out', out, '--force']);
  assert.equal(forced.code, 0, forced.stderr);
  assert.match(await readText(out, 'sql/silver/shop/a.sql'), /select 1 as x/);
  assert.deepEqual(await listFiles(out), before);
});

test('the command says what is wrong with its words', async (t) => {
  const dir = await testFolder(t);
  const refuses = async (args: readonly string[], code: string, message: RegExp): Promise<void> => {
    const result = await runCli(['import', 'dbt', ...args, '--out', join(dir, 'out'), '--json']);
    assert.equal(result.code, 2, result.stdout);
    const error = parseError(result);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.notEqual(error.remedy, '');
  };
  await refuses([dir], 'DBT_PROJECT_INVALID', /holds no dbt_project\.yml/);
  await refuses([dir, '--owner', 'user=x'], 'USAGE', /--owner user=x is not understood/);
  await refuses([dir, '--owner', 'org=x', '--public', 'y'], 'USAGE', /exclude each other/);
  await refuses([dir, '--layer', 'core=bronze'], 'USAGE', /there is no layer bronze/);
});

test('a write that fails puts everything back', async (t) => {
  const dir = await testFolder(t);
  await mkdir(join(dir, 'a'));
  await writeFile(join(dir, 'a/x.sql'), 'old');
  // A file where a folder must be: the second file cannot be placed.
  await writeFile(join(dir, 'b'), 'a file');
  await chmod(join(dir, 'b'), 0o444);
  const files = [
    { path: 'a/x.sql', text: 'new' },
    { path: 'b/y.sql', text: 'new' },
  ];
  await assert.rejects(writeAllOrNothing(dir, files, { force: true }));
  assert.deepEqual(await listFiles(dir), ['a/x.sql', 'b']);
  assert.equal(await readText(dir, 'a/x.sql'), 'old');
});
