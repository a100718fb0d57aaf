import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BRONZE, bronzeTable, compile, modelText } from './project.ts';

async function fingerprintOf(texts: Readonly<Record<string, string>>, bronze = BRONZE): Promise<string> {
  const project = await compile({ 'sql/macros/big.sql': 'create macro big(x) as x > 100', ...texts }, bronze);
  const model = project.models.find(({ name }) => name === 'silver.m');
  assert.ok(model);
  return model.fingerprint;
}

const m = (sql: string, header: readonly string[] = []) => ({ 'sql/silver/app/m.sql': modelText(sql, header) });
const SQL = 'select id, amount from bronze.app.payments where big(amount)';
const VIEW = 'select id, user_id, amount from bronze.app.payments';

test('a fingerprint is blind to comments, layout, letter case of keywords, prose and tests', async () => {
  const first = await fingerprintOf(m(SQL));
  assert.equal(
    await fingerprintOf(m('SELECT id,\n\n   amount -- the sum\nFROM bronze.app.payments /* all */ WHERE big(amount)')),
    first,
  );
  assert.equal(
    await fingerprintOf(m(SQL, ['tags: [x]', 'columns: { id: { description: the id, tests: [not_null] } }'])),
    first,
  );
  assert.equal(await fingerprintOf({ ...m(SQL), 'sql/silver/app/other.sql': modelText('select 1 as x') }), first);
});

const CHANGES: Readonly<Record<string, () => Promise<string>>> = {
  'a literal': () => fingerprintOf(m(SQL.replace('id, amount', 'id, amount + 0 as amount'))),
  'a literal beyond the precision of a double': () => fingerprintOf(m(`${SQL} and id < 9007199254740993`)),
  'its neighbour beyond that precision': () => fingerprintOf(m(`${SQL} and id < 9007199254740992`)),
  'the materialization': () => fingerprintOf(m(SQL, ['materialized: table'])),
  'the key': () => fingerprintOf(m(SQL, ['key: [id]'])),
  'a macro it calls': () => fingerprintOf({ ...m(SQL), 'sql/macros/big.sql': 'create macro big(x) as x > 200' }),
  'a macro of a macro': () =>
    fingerprintOf({
      ...m(SQL),
      'sql/macros/big.sql': 'create macro big(x) as huge(x)',
      'sql/macros/huge.sql': 'create macro huge(x) as x > 100',
    }),
  'a type upstream': () =>
    fingerprintOf(m(SQL), [bronzeTable('app.payments', { id: 'BIGINT', amount: 'DECIMAL(18,2)' })]),
};

test('a fingerprint changes with everything that can change the content', async () => {
  const seen = new Map([[await fingerprintOf(m(SQL)), 'nothing']]);
  for (const [what, compute] of Object.entries(CHANGES)) {
    const fingerprint = await compute();
    assert.equal(seen.get(fingerprint), undefined, `${what} has the fingerprint of ${seen.get(fingerprint)}`);
    seen.set(fingerprint, what);
  }
});

test('the SQL of a view belongs to the model that reads it, the SQL of a table does not', async () => {
  const reads = (view: string, kind: 'view' | 'table') =>
    fingerprintOf({
      ...m('select id, amount from silver.up'),
      'sql/silver/app/up.sql': modelText(view, [`materialized: ${kind}`]),
    });
  assert.notEqual(await reads(VIEW, 'view'), await reads(`${VIEW} where id > 1`, 'view'));
  assert.equal(await reads(VIEW, 'table'), await reads(`${VIEW} where id > 1`, 'table'));
});
