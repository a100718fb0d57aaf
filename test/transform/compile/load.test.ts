import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { compileProject, loadProject } from '../../../warehouse/transform/index.ts';
import { BRONZE, modelText } from './project.ts';

test('reads a project folder in the order of its paths, whatever else lies in it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-load-'));
  t.after(() => rm(dir, { recursive: true }));
  const texts = {
    'sql/silver/app/b.sql': modelText('select id from bronze.app.payments'),
    'sql/silver/app/a.sql': modelText('select id from silver.b'),
    'sql/gold/web/c.sql': modelText('select id from silver.a', ['owner: { public: x }', 'columns: { id: }']),
    'sql/macros/m.sql': 'create macro m(x) as x',
    'sql/tests/t.sql': modelText('select id from gold.c where id < 0', ['severity: warn']),
    'sql/README.md': 'not SQL',
    'models/sources/app.ts': 'not SQL either',
  };
  for (const [file, text] of Object.entries(texts)) {
    await mkdir(dirname(join(dir, file)), { recursive: true });
    await writeFile(join(dir, file), text);
  }
  const files = await loadProject(dir);
  assert.deepEqual(
    files.models.map(({ file, layer, name, domain, table }) => [file, layer, name, domain, table]),
    [
      ['sql/silver/app/a.sql', 'silver', 'silver.a', 'app', 'a'],
      ['sql/silver/app/b.sql', 'silver', 'silver.b', 'app', 'b'],
      ['sql/gold/web/c.sql', 'gold', 'gold.c', 'web', 'c'],
    ],
  );
  assert.deepEqual(
    [files.macros, files.tests].map((list) => list.map(({ file }) => file)),
    [['sql/macros/m.sql'], ['sql/tests/t.sql']],
  );
  const project = await compileProject({ files, bronzeTables: BRONZE });
  assert.deepEqual(
    project.models.map(({ name }) => name),
    ['silver.b', 'silver.a', 'gold.c'],
  );
  assert.deepEqual(
    project.sqlTests.map(({ name, layer, severity, dependencies }) => ({ name, layer, severity, dependencies })),
    [{ name: 'tests.t', layer: 'gold', severity: 'warn', dependencies: ['gold.c'] }],
  );
});

test('a process that loads again takes known files as they are, and sees each that was written to, touched or replaced', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-load-'));
  t.after(() => rm(dir, { recursive: true }));
  const path = (table: string): string => `sql/silver/app/${table}.sql`;
  await mkdir(join(dir, 'sql/silver/app'), { recursive: true });
  for (const table of ['same', 'written', 'touched', 'replaced', 'gone'])
    await writeFile(join(dir, path(table)), `-- ${table}, 1`);
  await sleep(2_100);
  const first = await loadProject(dir, new Map());
  const known = new Map(first.models.map(({ file, stamp = '' }) => [file, { hash: `hash of ${file}`, stamp }]));
  const second = await loadProject(dir, known);
  assert.deepEqual(
    second.models.map(({ file, hash }) => hash === `hash of ${file}`),
    [true, true, true, true, true],
  );
  await writeFile(join(dir, path('written')), '-- written, 2');
  await utimes(join(dir, path('touched')), new Date(), new Date());
  await writeFile(join(dir, 'other'), '-- replaced, 2');
  await rename(join(dir, 'other'), join(dir, path('replaced')));
  await rm(join(dir, path('gone')));
  for (const wait of [0, 2_100]) {
    await sleep(wait);
    const third = await loadProject(dir, known);
    assert.deepEqual(
      third.models.map(({ table, hash, text }) => [table, hash !== undefined, text]),
      [
        ['replaced', false, '-- replaced, 2'],
        ['same', true, '-- same, 1'],
        ['touched', false, '-- touched, 1'],
        ['written', false, '-- written, 2'],
      ],
    );
    assert.equal(third.models[1], second.models[2], 'the very same');
  }
});

test('a folder without sql is no project', async () => {
  await assert.rejects(loadProject(join(tmpdir(), 'sluice-nowhere')), (error) =>
    isSluiceError(error, 'PROJECT_NOT_FOUND'),
  );
});
