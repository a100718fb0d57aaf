import assert from 'node:assert/strict';
import { test } from 'node:test';
import { start } from '../cache/edited-project.ts';
import { compile, modelText } from './project.ts';

/**
 * Fingerprints as releases hold them: a compiler that gives another one for the same text makes every user compute that model again. Where a change
 * is meant to do that, raise the format in fingerprint.ts and write the new ones down here.
 */

const S = 'sql/silver/app/';
const TEXTS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(start()).filter(
      ([file]) => !file.startsWith('sql/seeds/') && !/joined|per_user|totals|rates|past/.test(file),
    ),
  ),
  [`${S}letters.sql`]: modelText(
    `SELECT P.ID, Upper(P.Note) AS Noted, {'Key': P.id, 'inner': {'B': p.amount}} as St, 9007199254740993 as big, 1.50 as d, 'Grüße "x" \\ y' as t
     FROM Bronze.App.Payments AS P where P.amount > 1e-3 and p.tags[1] in ('A', 'b')`,
    ['materialized: table'],
  ),
  [`${S}windows.sql`]: modelText(
    `with Daily as (select user_id, paid_on, sum(amount) as amount from bronze.app.payments group by all), d2(u, p, a) as (select * from Daily)
     select u, p, ratio(a, sum(a) over (partition by u order by p)) as share, twice(row_number() over (partition by u order by p)) as place,
       (select max(x.amount) from Daily x where x.user_id = d2.u) as highest
     from d2 where exists (select 1 from bronze.app.accounts y where y.user_id = u) order by 1 limit 10`,
    ['materialized: table', 'key: [u, p]', 'winner: share desc'],
  ),
  [`${S}unions.sql`]: modelText(
    `select id, amount from bronze.app.payments union all by name select * exclude (account_id) replace (amount + 1 as amount) from (select id, account_id, amount from silver.pay_more)
     union select t.* from (values (1, 2.5)) t(id, amount)`,
    ['materialized: incremental', 'key: [id, amount]'],
  ),
  [`${S}dated.sql`]: modelText(
    'select id, unnest(tags) as tag, (select mean(q.amount) from silver.pay q) as m from silver.pay join bronze.app.payments using (id) where pay.paid_on <= as_of() qualify count(*) over (partition by id) > 0',
    ['as_of: recompute', 'columns: { tag: { type: VARCHAR } }'],
  ),
};

const KEPT: Readonly<Record<string, readonly [fingerprint: string, own: string, rows: string]>> = {
  'silver.accounts': ['cddab12940aff3b6b267b6d258e656b4', '8aeea02feeb2ae6c', 'e6cddac40350b2f6'],
  'silver.letters': ['0b4edd2ecc934581295d1e43194ddd8b', '4d42959b0a2f5194', '7f30ba8dddfe241c'],
  'silver.pay': ['c70e92630dbf278745b1146030e86c94', '0c2aba9e32012e1e', 'c1a31d3360d55b3b'],
  'silver.windows': ['614e7d065c8dd229f906451a4fc3f541', 'de7867de79cefc50', '9833f82bdc633545'],
  'silver.dated': ['442b97b371a63e2df1beadaacc218e72', 'e4dfcc51fc68d195', '356846d28818f81f'],
  'silver.pay_more': ['d42c48cc4543cfdb2c687bb381040ad4', '4d42233092323c80', '93ba0073c7fe913d'],
  'silver.people': ['9866fe7d1dbcbaf67678d1f35e2a3c00', 'a02bbc6788bf74d2', '96bb8565c2673bf8'],
  'silver.history': ['34cb81db025f039554156d404e0987b2', '40313499c889d787', '17402025028a3e17'],
  'silver.lines': ['609ac5c73082d7b4b0c3d4f24dea54d8', 'd61a5910f9d7f304', '3d2a3f19ca2b1b82'],
  'silver.unions': ['8b6fad6ac2e76a30d6d9c9146dac0c33', 'f972074ad9ac2033', '4cfd02516283f7d5'],
};

test('fingerprints and shapes of models that do not change stay as releases have them', async () => {
  const project = await compile(TEXTS);
  const found = project.models.map(({ name, fingerprint, shape }) => [name, [fingerprint, shape.own, shape.rows]]);
  assert.deepEqual(Object.fromEntries(found), KEPT);
});
