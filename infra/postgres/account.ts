import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/** Postgres refuses to run as root; under root it runs as this account. Absent for ordinary users, who run it themselves. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** `postgres` where a package made it; else `nobody`, which every system has, so that no user is ever created here. */
const ACCOUNT_NAMES = ['postgres', 'nobody'] as const;

/** The account the server runs as: undefined for an ordinary user and where no account serves (initdb then says so). */
export async function findAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  for (const name of ACCOUNT_NAMES) {
    const fields = passwd
      .split('\n')
      .find((line) => line.startsWith(`${name}:`))
      ?.split(':');
    const uid = Number(fields?.[2]);
    const gid = Number(fields?.[3]);
    // macOS gives nobody the uid -2, which spawn() does not take.
    if (Number.isInteger(uid) && Number.isInteger(gid) && uid > 0 && gid >= 0) return { name, uid, gid };
  }
  return undefined;
}

/** Options for spawn() that drop root. */
export function asAccount(account: Account | undefined): { uid?: number; gid?: number } {
  return account === undefined ? {} : { uid: account.uid, gid: account.gid };
}

/** True when the account can enter the folder: tried, not computed, so that ACLs and mounts count too. */
export function canEnter(account: Account | undefined, dir: string): boolean {
  if (account === undefined) return true;
  const probe = spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', dir], {
    ...asAccount(account),
    cwd: '/',
    stdio: 'ignore',
  });
  return probe.status === 0;
}

/** True when the account can run the program. */
export function canRun(account: Account | undefined, program: string): boolean {
  const probe = spawnSync(program, ['--version'], { ...asAccount(account), cwd: '/', stdio: 'ignore' });
  return probe.status === 0;
}
