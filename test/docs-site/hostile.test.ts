import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { type CompiledProject, traceLineage, writeSite } from '../../warehouse/transform/index.ts';
import { bronzeTable, compile } from '../transform/compile/project.ts';
import { openBrowser, openSite } from './browser.ts';

/** Names and texts that try to become markup or script, and more models than any page can show. */

let browser: Browser;
let dir: string;

before(async () => {
  browser = await openBrowser();
  dir = await mkdtemp(join(tmpdir(), 'sluice-site-'));
});
after(async () => {
  await browser?.close();
  await rm(dir, { recursive: true, force: true });
});

const EVIL = `<img src=x onerror="window.broken=1"></script><script>window.broken=1</script>{{7*7}}"'`;

async function write(
  name: string,
  compiled: CompiledProject,
  title: string,
  texts: Readonly<Record<string, string>>,
): Promise<string> {
  const out = join(dir, name);
  await writeSite(
    out,
    {
      project: compiled,
      lineage: await traceLineage({ ...compiled, models: compiled.models.slice(0, 200) }, HOSTILE),
      bronzeTables: HOSTILE,
      overviews: [],
      releases: [],
      textOf: (file) => texts[file] ?? '',
      generatedAt: '2026-06-30T12:00:00.000Z',
    },
    title,
  );
  return out;
}

const HOSTILE = [bronzeTable(`app.${EVIL.replaceAll('.', '_')}`, { [EVIL]: 'VARCHAR', id: 'BIGINT' }, ['id'])];

test('nothing that a project says becomes markup, script or a request', async () => {
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  const texts = {
    'sql/silver/app/m.sql': `/*
description: ${JSON.stringify(`${EVIL}\u2028 --> <svg onload=window.broken=1>`)}
columns:
  ${JSON.stringify(EVIL)}: { description: ${JSON.stringify(EVIL)} }
tests:
  - { expression: "id > 0", name: ${JSON.stringify(EVIL)} }
*/
select id, ${quoted(EVIL)}, '${EVIL.replaceAll("'", "''")}' as t -- ${EVIL}
from bronze.app.${quoted(EVIL.replaceAll('.', '_'))}
`,
  };
  const out = await write('hostile', await compile(texts, HOSTILE), EVIL, texts);
  const { page, go, text, complaints } = await openSite(browser, out);
  const source = `bronze.app.${EVIL.replaceAll('.', '_')}`.toLowerCase();
  for (const hash of [
    '#/',
    '#/lineage',
    '#/table/silver.m',
    `#/table/${encodeURIComponent(source)}`,
    `#/table/silver.m/${encodeURIComponent(EVIL)}`,
    `#/table/${EVIL}`,
    `#/${EVIL}`,
  ]) {
    await go(hash);
    await page.waitForTimeout(100);
    assert.equal(await page.evaluate('window.broken'), undefined, hash);
    assert.equal(await page.locator('main img, main script').count(), 0, hash);
  }
  await go('#/table/silver.m');
  assert.ok((await text()).includes(EVIL), 'the text is shown as it is');
  await page.getByRole('button', { name: EVIL, exact: true }).click();
  await page.getByRole('group', { name: `Lineage of silver.m.${EVIL}` }).waitFor();
  assert.deepEqual(complaints, []);
});

test('ten thousand models stay usable', async () => {
  const base = await compile(
    {
      'sql/silver/app/m.sql':
        '/*\ndescription: One of many.\n*/\nselect id, id + 1 as next from bronze.app.' +
        `"${EVIL.replaceAll('.', '_').replaceAll('"', '""')}"`,
    },
    HOSTILE,
  );
  const [model] = base.models;
  assert.ok(model);
  const models = Array.from({ length: 10_000 }, (_, i) => ({
    ...model,
    name: `silver.model_${i}`,
    table: `model_${i}`,
    domain: `domain_${i % 40}`,
    dependencies: i < 10 ? model.dependencies : [`silver.model_${Math.floor(i / 3)}`, `silver.model_${i - 1}`],
  }));
  const out = await write('many', { ...base, models }, 'many', {});
  const files = await readdir(join(out, 'data'));
  assert.equal(files.length, 252, 'pages are split');
  assert.ok((await stat(join(out, 'data/index.js'))).size < 4_000_000);
  const { page, go, text, complaints } = await openSite(browser, out);
  const nodes = async (): Promise<number> => Number(await page.evaluate('document.querySelectorAll("*").length'));
  assert.match(await text(), /10,001 tables/);
  assert.ok((await nodes()) < 2500, 'the list is cut');
  await page.getByRole('searchbox').fill('model_9999');
  await page.getByText('1 table', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'silver.model_9999' }).click();
  await page.getByRole('heading', { name: 'silver.model_9999' }).waitFor();
  assert.ok((await nodes()) < 2500, 'the surroundings are cut');
  await go('#/lineage');
  assert.match(await text(), /10,001 tables, drawn by domain/);
  assert.ok((await nodes()) < 2500, 'the picture is by domain');
  assert.deepEqual(complaints, []);
});
