import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BronzeSnapshot } from '../../../warehouse/core/bronze-table.ts';
import { systemClock } from '../../../warehouse/core/clock.ts';
import { isSluiceError } from '../../../warehouse/core/errors.ts';
import { createFolderStore } from '../../../warehouse/core/folder-store.ts';
import type { ObjectStore } from '../../../warehouse/core/object-store.ts';
import { openReleases } from '../../../warehouse/release/index.ts';
import type { CompiledProject } from '../../../warehouse/transform/index.ts';
import { silent, startBuild } from './support.ts';

/**
 * A builder in a process of its own: DIR (lake and cache), INPUT (JSON of project and bronze), WORK (folder of its clones), STEP at which it
 * kills itself. Prints one line of JSON: the release's number, or the error's code.
 */
const [dir = '', input = '', work = '', killAt = ''] = process.argv.slice(2);
const { project, bronze } = JSON.parse(await readFile(input, 'utf8')) as {
  project: CompiledProject;
  bronze: BronzeSnapshot;
};

function reach(step: string): void {
  if (step === killAt) process.kill(process.pid, 'SIGKILL');
}

const folder = createFolderStore(join(dir, 'lake'));
const store: ObjectStore = {
  ...folder,
  putFile: async (key, path) => {
    reach(path.endsWith('silver.duckdb') ? 'upload silver' : 'upload gold');
    await folder.putFile(key, path);
  },
  putIfAbsent: async (key, bytes) => {
    reach(key.includes('/_log/') ? 'pointer' : 'version');
    return folder.putIfAbsent(key, bytes);
  },
};
const releases = openReleases({ store, cacheDir: join(dir, 'cache'), log: silent, clock: systemClock });

try {
  const { build, base, paths } = await startBuild({
    dir: work,
    releases,
    project,
    bronze,
    limits: { maxTouchedShare: 1 },
    onProgress: ({ stage, item, state }) => reach(`${stage} ${item} ${state}`),
  });
  reach('opened');
  for (const layer of ['silver', 'gold'] as const) {
    await build.runModels(layer);
    reach(`${layer} built`);
    await build.runTests(layer);
    reach(`${layer} tested`);
  }
  const content = await build.finish();
  reach('finished');
  const release = await releases.publish({ base, paths, content });
  reach('published');
  process.stdout.write(`${JSON.stringify({ number: release.number })}\n`);
} catch (error) {
  if (!isSluiceError(error)) throw error;
  process.stdout.write(`${JSON.stringify({ code: error.code, message: error.message })}\n`);
}
