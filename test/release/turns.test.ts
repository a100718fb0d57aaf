import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createFolderStore } from '../../warehouse/core/folder-store.ts';
import type { ObjectStore } from '../../warehouse/core/object-store.ts';
import { openTurns, type Turn, type TurnRequest } from '../../warehouse/release/turns.ts';
import { silent, testFolder } from './support.ts';

/** One build at a time: who takes turns, who waits, and who is taken for dead. */

const REQUEST: TurnRequest = {
  holder: 'here-1-00000000',
  isGone: () => false,
  signEveryMs: 60_000,
  isAlive: () => true,
  now: () => new Date('2026-06-30T12:00:00Z'),
};

async function turnOf(store: ObjectStore, request: Partial<TurnRequest> = {}): Promise<Turn> {
  const answer = await openTurns(store, silent).take({ ...REQUEST, ...request });
  assert.ok('turn' in answer, `a turn was expected, got ${JSON.stringify(answer)}`);
  return answer.turn;
}

async function takenBy(store: ObjectStore, request: Partial<TurnRequest> = {}) {
  const answer = await openTurns(store, silent).take({ ...REQUEST, ...request });
  assert.ok('taken' in answer, 'the turn is taken');
  return answer.taken;
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  return (await Array.fromAsync(store.list('warehouse/_turns/'))).map(({ key }) => key.replace(/^.*\/0+/, ''));
}

async function folder(t: Parameters<typeof testFolder>[0]): Promise<ObjectStore> {
  return createFolderStore(join(await testFolder(t), 'lake'));
}

test('a turn is taken once; the next one is told who has it, and has the next number when it is over', async (t) => {
  const store = await folder(t);
  const first = await turnOf(store);
  assert.equal(first.number, 1);
  const taken = await takenBy(store, { holder: 'there-2-00000000' });
  assert.deepEqual([taken.holder, taken.since], ['here-1-00000000', '2026-06-30T12:00:00.000Z']);
  assert.equal(await first.isLast(), true);
  await first.end();
  await first.end();
  const second = await turnOf(store, { holder: 'there-2-00000000' });
  assert.equal(second.number, 2);
  assert.equal(await first.isLast(), false);
  await second.end();
  assert.deepEqual(await keysOf(store), ['2-0000000000', '2-end'], 'older turns leave nothing behind');
});

test('of many that ask at once, again and again, one at a time is at work', async (t) => {
  const store = await folder(t);
  let atWork = 0;
  const numbers: number[] = [];
  await Promise.all(
    Array.from({ length: 8 }, async (_, who) => {
      for (let mine = 0; mine < 5; ) {
        const answer = await openTurns(store, silent).take({ ...REQUEST, holder: `here-${who}-00000000` });
        if ('taken' in answer) {
          await sleep(1);
          continue;
        }
        atWork += 1;
        assert.equal(atWork, 1);
        numbers.push(answer.turn.number);
        await sleep(who % 3);
        atWork -= 1;
        await answer.turn.end();
        mine += 1;
      }
    }),
  );
  assert.equal(numbers.length, 40);
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
    'numbers only grow',
  );
  assert.equal(new Set(numbers).size, 40);
});

test('a holder that is known to be gone is followed at once; one that cannot be looked for when its sign of life has stood too long', async (t) => {
  const store = await folder(t);
  const dead = await turnOf(store);
  const next = await turnOf(store, { isGone: (holder) => holder === REQUEST.holder });
  assert.equal(next.number, 2);
  assert.equal(await dead.isLast(), false);
  const { sign } = await takenBy(store);
  assert.equal((await turnOf(store, { givenUp: sign })).number, 3);
  assert.equal(await next.isLast(), false, 'it learns before it publishes that it was taken for dead');
  await takenBy(store, { givenUp: sign });
  await next.end();
  await takenBy(store);
});

test('a holder at work gives new signs of life, and none once it is idle', async (t) => {
  const store = await folder(t);
  let alive = true;
  const turn = await turnOf(store, { signEveryMs: 5, isAlive: () => alive });
  const signs = new Set<string>();
  while (signs.size < 4) {
    signs.add((await takenBy(store)).sign);
    await sleep(2);
  }
  const old = [...signs][0] ?? '';
  await takenBy(store, { givenUp: old });
  alive = false;
  let last = '';
  for (let same = 0; same < 20; ) {
    const { sign } = await takenBy(store);
    same = sign === last ? same + 1 : 0;
    last = sign;
    await sleep(5);
  }
  assert.ok((await keysOf(store)).length <= 3, 'old signs are taken away');
  assert.equal((await turnOf(store, { givenUp: last })).number, 2);
  await turn.end();
});

test('one that listed long ago does not take a number that was given and is over', async (t) => {
  const store = await folder(t);
  const first = await turnOf(store);
  await first.end();
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let isListed = (): void => undefined;
  const listed = new Promise<void>((resolve) => (isListed = resolve));
  let lists = 0;
  const slow: ObjectStore = {
    ...store,
    async *list(prefix, options) {
      const found = await Array.fromAsync(store.list(prefix, options));
      lists += 1;
      isListed();
      if (lists === 1) await held;
      yield* found;
    },
  };
  const late = openTurns(slow, silent).take({ ...REQUEST, holder: 'late-1-00000000' });
  await listed;
  await (await turnOf(store)).end();
  const third = await turnOf(store);
  assert.equal(third.number, 3);
  release();
  const answer = await late;
  assert.ok('taken' in answer, 'the number 2 was free again, and nobody’s turn');
  assert.equal(await third.isLast(), true);
  assert.ok(
    (await keysOf(store)).every((key) => key.startsWith('3-')),
    'and it left nothing there',
  );
});

test('a turn that nobody can read is a turn', async (t) => {
  const store = await folder(t);
  for (const text of ['', 'null', '[]', '{"holder":1}']) {
    const key = `warehouse/_turns/${'1'.padStart(20, '0')}-0000000000`;
    await store.putIfAbsent(key, Buffer.from(text));
    const { sign, holder } = await takenBy(store);
    assert.ok(holder.length > 0);
    assert.equal((await turnOf(store, { givenUp: sign })).number, 2);
    for await (const { key: each } of store.list('warehouse/_turns/')) await store.delete(each);
  }
});
