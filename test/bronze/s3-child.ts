import { readFile } from 'node:fs/promises';
import { openBronze } from '../../warehouse/bronze/index.ts';
import type { BronzeCommitDraft } from '../../warehouse/core/bronze-commit.ts';
import { createLog } from '../../warehouse/core/log.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { createS3Store, type S3Location } from '../../warehouse/core/s3-store.ts';

/** A process that commits the draft of a file and kills itself before or after its n-th write: `LOCATION CACHE DRAFT WHEN N`. */

const [location = '', cacheDir = '', draftPath = '', when = '', nth = ''] = process.argv.slice(2);
const log = createLog({ level: 'silent' });
const inner = createS3Store({
  location: JSON.parse(location) as S3Location,
  cache: { dir: cacheDir, maxBytes: 1e9 },
  log,
  upload: { partBytes: 5 * 1024 * 1024, parallelParts: 2 },
});
let writes = 0;
async function counted<T>(write: () => Promise<T>): Promise<T> {
  writes += 1;
  const last = writes === Number(nth);
  if (last && when === 'before') process.kill(process.pid, 'SIGKILL');
  // In the middle: while the request is under way.
  if (last && when === 'during') setTimeout(() => process.kill(process.pid, 'SIGKILL'), 4);
  const result = await write();
  if (last && when !== 'before') process.kill(process.pid, 'SIGKILL');
  return result;
}
const store: ObjectStore = {
  ...inner,
  putIfAbsent: (key, bytes) => counted(() => inner.putIfAbsent(key, bytes)),
  putFile: (key, path) => counted(() => inner.putFile(key, path)),
};
const draft = JSON.parse(await readFile(draftPath, 'utf8')) as BronzeCommitDraft;
const commit = await openBronze({ store, log }).commit(draft.source, draft);
process.stdout.write(`${commit.batch}\n`);
