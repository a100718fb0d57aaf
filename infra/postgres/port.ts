import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { anyFreePort, isFreePort, portInUse } from '../ports.ts';

/** The port to start on: the one asked for, else the one of last time if it is free, else any free one. Throws PORT_IN_USE. */
export async function choosePort(home: string, asked: number): Promise<number> {
  if (asked > 0) {
    if (!(await isFreePort(asked))) throw portInUse(asked);
    return asked;
  }
  const remembered = Number(await readFile(join(home, 'port'), 'utf8').catch(() => ''));
  return remembered > 0 && (await isFreePort(remembered)) ? remembered : await anyFreePort();
}

export async function rememberPort(home: string, port: number): Promise<void> {
  await writeFile(join(home, 'port'), `${port}\n`);
}
