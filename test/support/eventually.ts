import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until something holds; fails after a minute, which no loaded machine needs, or after `ms` where more would be another thing. */
export async function eventually(what: string, holds: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  for (const until = Date.now() + ms; Date.now() < until; await sleep(10)) if (await holds()) return;
  throw new Error(`not in ${ms} ms: ${what}`);
}
