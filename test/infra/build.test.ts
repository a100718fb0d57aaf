import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type TestProject, testProject } from '../support/project.ts';

/** What `npm run build` writes is whole: it runs without the repository's own files. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const exec = promisify(execFile);

let dist: string;
let project: TestProject;
before(async () => {
  dist = await mkdtemp(join(tmpdir(), 'sluice-dist-'));
  project = await testProject();
  await exec(process.execPath, [join(root, 'infra/build.ts'), dist]);
  await symlink(join(root, 'node_modules'), join(dist, 'node_modules'));
});
after(async () => {
  await project[Symbol.asyncDispose]();
  await rm(dist, { recursive: true, force: true });
});

const folders = async (): Promise<readonly string[]> =>
  (await readdir(dist, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name);

test('the built program runs a project and writes its site', async () => {
  const bin = join(dist, 'cli/bin.js');
  const ran = await project.sluice(['run', '--as-of', '2026-03-01', '--json'], { bin });
  assert.equal(ran.code, 0, ran.stdout + ran.stderr);
  const site = join(project.dir, 'site');
  const docs = await project.sluice(['docs', '--out', site], { bin });
  assert.equal(docs.code, 0, docs.stderr);
  const browser = join(root, 'warehouse/transform/docs-site/browser');
  for (const name of await readdir(browser))
    assert.equal(await readFile(join(site, name), 'utf8'), await readFile(join(browser, name), 'utf8'), name);
  assert.match(await readFile(join(site, 'data/index.js'), 'utf8'), /gold\.fct_orders/);
});

test('a worker of the built program finds its workflows', async () => {
  const worker = JSON.stringify(pathToFileURL(join(dist, 'infra/temporal-worker.js')).href);
  const script = `const { code } = await (await import(${worker})).bundleWorkflows(); console.log(code.length)`;
  const { stdout } = await exec(process.execPath, ['--input-type=module', '--eval', script]);
  assert.ok(Number(stdout) > 100_000, stdout);
});

test('every file of the program that is no TypeScript stands in the build, too', async () => {
  const others = (
    await Promise.all(
      (await folders()).map(async (folder) => readdir(join(root, folder), { recursive: true, withFileTypes: true })),
    )
  )
    .flat()
    .filter((entry) => entry.isFile() && !/\.ts$|Dockerfile$|^compose\.yaml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));
  assert.ok(others.includes('demo/schema/app.sql') && others.length > 8, others.join());
  assert.deepEqual(
    others.filter((path) => !existsSync(join(dist, path))),
    [],
  );
});

test('the image holds every folder of the program', async () => {
  const copied = await readFile(join(root, 'infra/Dockerfile'), 'utf8');
  assert.deepEqual(
    (await folders()).filter((folder) => !copied.includes(`\nCOPY ${folder} ${folder}\n`)),
    [],
  );
});
