import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TURNS } from '../../temporal.config.ts';
import { runElt } from '../../workflows/run-elt.ts';
import { type Call, createScript, RESULTS } from './scripted-activities.ts';

/** How a run waits while another build is under way; the waits themselves are counted, not waited for. */

const BUSY = { buildId: 'none', needed: false, toRun: 0, total: 2 };
const busy = (sign: string) => ({ ...BUSY, busy: { sign, holder: 'there-7-00000000', since: '2026-06-30T12:00:00Z' } });

async function runWith(openBuild: (call: Call) => unknown) {
  const script = createScript({ openBuild });
  const waits: number[] = [];
  const logged: string[] = [];
  const result = await runElt(
    {
      activities: script.activities,
      log: (message) => logged.push(message),
      wait: async (ms) => void waits.push(ms),
      cleanup: (work) => work(),
      codeOf: () => 'INTERNAL',
    },
    { pipeline: 'elt', asOf: '2026-06-30' },
  );
  return { script, waits, logged, result };
}

test('while another build gives signs of life a run waits, longer each time, and then builds', async () => {
  const { script, waits, logged, result } = await runWith(({ nth }) =>
    nth <= 40 ? busy(`sign ${Math.floor(nth / 3)}`) : RESULTS.openBuild(nth),
  );
  assert.equal(waits.length, 40);
  assert.deepEqual(waits.slice(0, 4), [TURNS.initialMs, 2 * TURNS.initialMs, 4 * TURNS.initialMs, 8 * TURNS.initialMs]);
  assert.equal(Math.max(...waits), TURNS.maximumMs);
  const asked = script.requests('openBuild').map(({ waitingFor }) => waitingFor as { isDead: boolean } | undefined);
  assert.equal(asked[0], undefined);
  assert.ok(asked.slice(1).every((each) => each?.isDead === false));
  assert.equal(result.release?.number, 1);
  assert.equal(logged.filter((message) => message.includes('another build')).length, 1);
});

test('a sign of life that stands too long is reported as dead, that one and no other', async () => {
  const { script, waits } = await runWith(({ nth, request }) => {
    const { waitingFor } = request as { waitingFor?: { sign: string; isDead: boolean } };
    if (nth <= 5) return busy(`sign ${nth}`);
    return waitingFor?.isDead === true ? RESULTS.openBuild(nth) : busy('last sign');
  });
  const asked = script.requests('openBuild').map(({ waitingFor }) => waitingFor as { sign: string; isDead: boolean });
  const dead = asked.filter((each) => each?.isDead);
  assert.deepEqual(dead, [{ sign: 'last sign', isDead: true }]);
  const silentMs = waits.slice(5).reduce((sum, ms) => sum + ms, 0);
  assert.ok(silentMs >= TURNS.givenUpAfterMs && silentMs < TURNS.givenUpAfterMs + TURNS.maximumMs);
});
