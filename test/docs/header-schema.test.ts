import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { headerJsonSchema } from '../../warehouse/transform/index.ts';

test('docs/header.schema.json is what the code says: sluice docs --header-schema writes it anew', () => {
  const written: unknown = JSON.parse(readFileSync(new URL('../../docs/header.schema.json', import.meta.url), 'utf8'));
  assert.deepEqual(written, JSON.parse(JSON.stringify(headerJsonSchema())));
});

test('every field of a header has a description, and unknown fields are refused', () => {
  const schema = headerJsonSchema();
  assert.equal(schema['additionalProperties'], false);
  assert.deepEqual(schema['required'], ['description']);
  const fields = Object.entries(schema['properties'] as Record<string, { readonly description?: string }>);
  assert.ok(fields.length >= 11);
  for (const [name, { description = '' }] of fields) assert.ok(description.length > 10, name);
});
