import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openCompileCache } from '../../../warehouse/transform/index.ts';
import { BRONZE } from '../compile/project.ts';
import { assertSame, EDITS, openStart, start, type Wish } from './edited-project.ts';

test('any sequence of edits, wrong ones among them, leaves nothing stale behind', { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(EDITS.length - 1), fc.constantFrom<Wish>('all', 'none', 'standing')), {
        minLength: 3,
        maxLength: 7,
      }),
      fc.boolean(),
      async (steps, staysOpen) => {
        const cacheDir = await mkdtemp(join(tmpdir(), 'sluice-edits-'));
        try {
          const previous = await openStart(cacheDir);
          // As a worker keeps it, or opened anew by each command.
          const cache = staysOpen ? openCompileCache(cacheDir, '1.0.0') : cacheDir;
          const texts = start();
          const bronze = [...BRONZE];
          for (const [number, wish] of steps) {
            const chosen = EDITS[number];
            assert.ok(chosen);
            chosen[1](texts, bronze);
            await assertSame(texts, bronze, { wish, cache, previous, says: chosen[0] });
          }
        } finally {
          await rm(cacheDir, { recursive: true, force: true });
        }
      },
    ),
    { numRuns: 6, seed: 11 },
  );
});
