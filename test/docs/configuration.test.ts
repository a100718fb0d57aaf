import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CONFIG_OPTIONS } from '../../infra/config.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

test('docs/configuration.md describes every option in the words of the schema', () => {
  const documented = new Map(
    [...text.matchAll(/^\| `(SLUICE_\w+)` \| (.*?) \| (.*) \|$/gm)].map((match) => [match[1], match[3]]),
  );
  assert.deepEqual(
    Object.fromEntries(documented),
    Object.fromEntries(Object.entries(CONFIG_OPTIONS).map(([name, option]) => [name, option.describe])),
  );
});
