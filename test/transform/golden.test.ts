import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLog } from '../../warehouse/core/log.ts';
import { loadProject, loadUnitFiles, runUnitTests } from '../../warehouse/transform/index.ts';

/**
 * Golden cases: every folder of test/transform/golden is a project whose sql/unit holds cases, most of them re-expressed from dbt's adapter
 * suite (dbt-labs/dbt-adapters). A new case is a new folder.
 */

const GOLDEN = fileURLToPath(new URL('golden', import.meta.url));

for (const name of (await readdir(GOLDEN)).sort()) {
  test(`golden: ${name.replaceAll('_', ' ')}`, async (t) => {
    const workDir = await mkdtemp(join(tmpdir(), 'sluice-golden-'));
    t.after(() => rm(workDir, { recursive: true, force: true }));
    const project = join(GOLDEN, name);
    const unitFiles = await loadUnitFiles(project);
    const cases = unitFiles.filter(({ file }) => file.endsWith('/test.yaml')).length;
    const results = await runUnitTests({
      files: await loadProject(project),
      unitFiles,
      bronze: new Map(),
      workDir,
      limits: { threads: 1, memoryLimitMb: 400 },
      log: createLog({ level: 'silent' }),
    });
    assert.ok(cases > 0 && results.length >= cases);
    const failed = results.filter(({ status }) => status === 'fail');
    assert.deepEqual(failed, [], JSON.stringify(failed, undefined, 1));
  });
}
