import { writeSync } from 'node:fs';
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
 * kills itself, PRIVATE name of what it keeps instead of publishing. Prints one line of JSON: the release's number, or the error's code; and
 * every step it reaches to standard error, as `step: NAME`.
 */
const [dir = '', input = '', work = '', killAt = '', privateName = ''] = process.argv.slice(2);
const { project, bronze } = JSON.parse(await readFile(input, 'utf8')) as {
  project: CompiledProject;
  bronze: BronzeSnapshot;
};

function reach(step: string): void {
  writeSync(2, `step: ${step}\n`);
  if (step === killAt) process.kill(process.pid, 'SIGKILL');
}

const folder = createFolderStore(join(dir, 'lake'));
let clones = 0;
const store: ObjectStore = {
  ...folder,
  toLocalFile: async (key) => {
    reach(`clone ${(clones += 1)}`);
    return folder.toLocalFile(key);
  },
  delete: async (key) => {
    reach('let go');
    await folder.delete(key);
  },
  putFile: async (key, path) => {
    reach(path.endsWith('silver.duckdb') ? 'upload silver' : 'upload gold');
    await folder.putFile(key, path);
  },
  putIfAbsent: async (key, bytes) => {
    reach(key.includes('/_log/') || key.includes('/private/') ? 'pointer' : 'version');
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
  const draft = { base, paths, content };
  const { version } =
    privateName === '' ? await releases.publish(draft) : await releases.privates.keep(privateName, draft);
  reach('published');
  process.stdout.write(`${JSON.stringify({ number: base + 1, version })}\n`);
} catch (error) {
  if (!isSluiceError(error)) throw error;
  process.stdout.write(`${JSON.stringify({ code: error.code, message: error.message })}\n`);
}
