import { readFile } from 'node:fs/promises';

const FILE = new URL('./schema/app.sql', import.meta.url);
const AFTER_LOADING = '\n-- after loading\n';

/** The DDL of schema app, whole: for tests and for a source without the demo's rows. */
export async function schemaSql(): Promise<string> {
  return await readFile(FILE, 'utf8');
}

/** The same in two parts: bare tables, then keys, indexes and triggers. */
export async function schemaParts(): Promise<{ readonly tables: string; readonly rest: string }> {
  const [tables, rest, ...more] = (await schemaSql()).split(AFTER_LOADING);
  if (tables === undefined || rest === undefined || more.length > 0) {
    throw new Error('demo/schema/app.sql must hold the line "-- after loading" exactly once');
  }
  return { tables, rest };
}
