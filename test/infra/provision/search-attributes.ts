import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';

const listed = z.object({ customAttributes: z.record(z.string(), z.string()) });

/** Name → type, asked of the server by its own command line. */
export async function searchAttributesOf(
  program: string,
  address: string,
  namespace: string,
): Promise<Record<string, string>> {
  const args = [
    'operator',
    'search-attribute',
    'list',
    '--address',
    address,
    '--namespace',
    namespace,
    '--output',
    'json',
  ];
  const { stdout } = await promisify(execFile)(program, args);
  const { customAttributes } = listed.parse(JSON.parse(stdout));
  return Object.fromEntries(
    Object.entries(customAttributes).map(([name, type]) => [
      name,
      NAMES[type.replace('INDEXED_VALUE_TYPE_', '')] ?? type,
    ]),
  );
}

const NAMES: Readonly<Record<string, string>> = { KEYWORD: 'Keyword', DATETIME: 'Datetime', INT: 'Int' };
