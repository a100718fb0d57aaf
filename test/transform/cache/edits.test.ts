import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BRONZE } from '../compile/project.ts';
import { assertSame, compileTexts, EDITS, openStart, plain, start } from './edited-project.ts';

test('every single edit, and its way back, is seen by a cached compile and by its plan', async (t) => {
  const cacheDir = await mkdtemp(join(tmpdir(), 'sluice-edits-'));
  t.after(() => rm(cacheDir, { recursive: true, force: true }));
  const previous = await openStart(cacheDir);
  const first = await compileTexts(start(), BRONZE, 'all');
  let sound = 0;
  for (const [i, [says, edit]] of EDITS.entries()) {
    const texts = start();
    const bronze = [...BRONZE];
    edit(texts, bronze);
    assert.notDeepEqual([texts, bronze], [start(), BRONZE], `${says} edits nothing`);
    const wish = (['all', 'none', 'standing'] as const)[i % 3] ?? 'all';
    if (await assertSame(texts, bronze, { wish, cache: cacheDir, previous, says })) sound += 1;
    const back = await compileTexts(start(), BRONZE, 'all', cacheDir);
    assert.deepEqual(plain(back), plain(first), `back from ${says}`);
  }
  assert.ok(sound > 20 && sound < EDITS.length - 5, `${sound} of ${EDITS.length} edits are sound`);
});
