import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERROR_CODES } from '../../warehouse/core/errors.ts';

const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

test('every error code has its section in docs/errors.md, and every section its code', () => {
  const documented = [...text.matchAll(/^### (\w+)$/gm)].map((match) => (match[1] ?? '').toUpperCase());
  assert.deepEqual(documented.toSorted(), Object.keys(ERROR_CODES).toSorted());
});

test('every exit code is in the table of docs/errors.md', () => {
  const documented = new Set([...text.matchAll(/^\| (\d+) \|/gm)].map((match) => Number(match[1])));
  for (const { exit } of Object.values(ERROR_CODES)) assert.ok(documented.has(exit), `exit code ${exit}`);
});
