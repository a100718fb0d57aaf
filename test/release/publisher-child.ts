import { join } from 'node:path';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import { openTestReleases, publishMark, readMarks, withHook } from './support.ts';

/** A process of its own for the tests that kill or race: `publish DIR MARK KILL_AT` or `fetch DIR TIMES`. */

const [command, dir = '', first = '', second = ''] = process.argv.slice(2);

if (command === 'publish') {
  let writes = 0;
  const store = withHook(createFolderStore(join(dir, 'lake')), () => {
    writes += 1;
    if (writes === Number(second)) process.kill(process.pid, 'SIGKILL');
  });
  await publishMark(openTestReleases(dir, store), dir, first);
  if (Number(second) > writes) process.kill(process.pid, 'SIGKILL');
} else {
  for (let n = 0; n < Number(first); n++) {
    const releases = openTestReleases(dir);
    const release = await releases.current();
    if (release === undefined) throw new Error('no release');
    const marks = await readMarks(await releases.fetch(release));
    process.stdout.write(`${JSON.stringify(marks)}\n`);
  }
}
