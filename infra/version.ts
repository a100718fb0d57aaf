import { readFileSync } from 'node:fs';

/** Sluice's own version, from package.json. */
export const SLUICE_VERSION = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
