import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { parseError, parseJson } from '../support/cli.ts';
import { type TestProject, testProject } from '../support/project.ts';
import { openBrowser, openSite } from './browser.ts';

/** `sluice docs` over a project that was run, opened from disk in a real Chromium. */

let project: TestProject;
let browser: Browser;
let site: string;

before(async () => {
  project = await testProject();
  site = join(project.dir, 'site');
  const run = await project.sluice(['run', '--as-of', '2026-03-01']);
  assert.equal(run.code, 0, run.stderr);
  const docs = await project.sluice(['docs', '--out', site]);
  assert.equal(docs.code, 0, docs.stderr);
  assert.match(docs.stdout, /3 models, 2 source tables: open .*index\.html/);
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await project?.[Symbol.asyncDispose]();
});

test('the list finds tables by name and by description, and asks nothing of the network', async () => {
  const { page, text, complaints } = await openSite(browser, site);
  assert.match(await text(), /5 tables/);
  await page.keyboard.press('/');
  await page.keyboard.type('logical date');
  await page.getByText('1 table', { exact: true }).waitFor();
  assert.match(await text(), /gold\.customer_totals/);
  await page.getByRole('link', { name: 'gold.customer_totals' }).click();
  await page.getByRole('heading', { name: 'gold.customer_totals' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('a model’s page says what it is, how its tests went, and why it is refreshed as it is', async () => {
  const { page, go, text, complaints } = await openSite(browser, site);
  await go('#/table/gold.fct_orders');
  const shown = await text();
  for (const expected of [
    /Orders\./,
    /Materialised incremental/,
    /Owner org: org_id, user: customer_id/,
    /Dataset Orders \(facts\)/,
    /Refresh by customer_id: silver\.stg_orders|Refresh by customer_id: bronze/,
    /Rows 200/,
    /In release 1, as of 2026-03-01/,
    /Reads silver\.stg_orders/,
    /Read by gold\.customer_totals/,
    /order_id key BIGINT The order\. not_null/,
    /select order_id, customer_id, org_id, day, amount from silver\.stg_orders/,
  ])
    assert.match(shown, expected);
  assert.equal((await page.locator('.badge.pass').count()) > 0, true);
  assert.deepEqual(complaints, []);
});

test('a column shows its way from the source to the last model', async () => {
  const { page, go, complaints } = await openSite(browser, site);
  await go('#/table/gold.fct_orders');
  await page.getByRole('button', { name: 'amount', exact: true }).click();
  const picture = page.getByRole('group', { name: 'Lineage of gold.fct_orders.amount' });
  await picture.waitFor();
  const boxes = await picture
    .locator('a')
    .evaluateAll((links) => links.map((link) => link.getAttribute('aria-label') ?? ''));
  const expected = [
    'amount bronze.shop.orders',
    'amount gold.fct_orders',
    'amount silver.stg_orders',
    'total gold.customer_totals',
  ];
  assert.deepEqual(new Set(boxes), new Set(expected));
  assert.equal(await picture.locator('path.copied').count(), 2);
  assert.equal(await picture.locator('path.computed').count(), 1);
  await picture.getByText('total', { exact: true }).click();
  await page.getByRole('heading', { name: 'The way of total' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('the picture of all tables moves and zooms by keys, and its boxes are links', async () => {
  const { page, go, complaints } = await openSite(browser, site);
  await go('#/lineage');
  const picture = page.getByRole('group', { name: 'Lineage of all tables' });
  assert.equal(await picture.locator('a').count(), 5);
  assert.equal(await picture.locator('path').count(), 4);
  const view = () => picture.getAttribute('viewBox');
  const start = await view();
  await page.locator('.picture').focus();
  await page.keyboard.press('+');
  const nearer = await view();
  assert.notEqual(nearer, start);
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await view(), nearer);
  await picture.getByRole('link', { name: /fct_orders/ }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'gold.fct_orders' }).waitFor();
  assert.deepEqual(complaints, []);
});

test('sources show commit, rows and watermark; releases show what was published', async () => {
  const { go, text } = await openSite(browser, site);
  await go('#/sources');
  assert.match(
    await text(),
    /shop Last commit 1; Postgres as of .*bronze\.shop\.customers cursor commit 1 5 .* (20\d\d-|just now)/,
  );
  await go('#/releases');
  assert.match(await text(), /Releases .* 2026-03-01 shop 1 3 \d+ 0/);
});

test('fits a phone, follows the dark scheme, and every control is reached by Tab', async () => {
  const { page, go } = await openSite(browser, site, {
    viewport: { width: 360, height: 740 },
    colorScheme: 'dark',
  });
  for (const hash of ['#/', '#/table/gold.fct_orders', '#/lineage', '#/sources', '#/releases']) {
    await go(hash);
    const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
    assert.equal(wide, false, `${hash} is wider than the screen`);
  }
  const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  assert.equal(background, 'rgb(20, 23, 26)');
  await go('#/table/gold.fct_orders');
  const wanted: number = await page.locator('main button, main a').count();
  const reached = new Set<string>();
  for (let i = 0; i < wanted + 40; i++) {
    await page.keyboard.press('Tab');
    reached.add(
      String(
        await page.evaluate('[...document.querySelectorAll("main button, main a")].indexOf(document.activeElement)'),
      ),
    );
  }
  reached.delete('-1');
  assert.equal(reached.size, wanted);
});

test('writes over its own folder only', async () => {
  const again = await project.sluice(['docs', '--out', site, '--json']);
  assert.deepEqual(parseJson(again), { index: join(site, 'index.html'), models: 3, sources: 2 });
  const other = join(project.dir, 'sql');
  const refused = await project.sluice(['docs', '--out', other, '--json']);
  assert.equal(refused.code, 2);
  assert.match(parseError(refused).message, /holds other files/);
});

test('rows of failing tests are not in the site', async () => {
  await project.client.query("insert into shop.orders values (900, 1, '2026-01-05', 4242.42)");
  const path = join(project.dir, 'sql/gold/shop/fct_orders.sql');
  const sql = await readFile(path, 'utf8');
  await writeFile(path, sql.replace('range: { min: 0 }', 'range: { max: 4000 }, severity: warn'));
  assert.equal((await project.sluice(['run', '--as-of', '2026-03-01'])).code, 0);
  assert.equal((await project.sluice(['docs', '--out', site])).code, 0);
  const { go, text } = await openSite(browser, site);
  await go('#/table/gold.fct_orders');
  assert.match(await text(), /range 1 rows/);
  assert.doesNotMatch(await readFile(join(site, 'data/pages-0.js'), 'utf8'), /4242/);
});
