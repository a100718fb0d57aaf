import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pino from 'pino';
import { type EmbeddedOptions, runEmbedded } from '../../infra/embedded-runner.ts';
import { ACTIVITY_POLICIES, type ActivityPolicy } from '../../temporal.config.ts';
import { isSluiceError, SluiceError } from '../../warehouse/core/errors.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { testConformance } from './conformance.ts';
import { createScript, RESULTS, type StepName } from './scripted-activities.ts';

const log = createLog({ level: 'silent' });

/** The configured policies with waits of a millisecond. */
function quickPolicies(startToCloseTimeoutMs?: number): NonNullable<EmbeddedOptions['policies']> {
  return Object.fromEntries(
    Object.entries(ACTIVITY_POLICIES).map(([name, policy]) => [
      name,
      {
        startToCloseTimeoutMs: startToCloseTimeoutMs ?? policy.startToCloseTimeoutMs,
        retry: { ...policy.retry, initialIntervalMs: 1, maximumIntervalMs: 2 },
      } satisfies ActivityPolicy,
    ]),
  ) as Record<StepName, ActivityPolicy>;
}

testConformance('embedded', (activities, input, { signal }) =>
  runEmbedded(input, { createActivities: () => activities, log, signal, policies: quickPolicies() }),
);

const INPUT = { pipeline: 'elt', asOf: '2026-06-30' };

test('embedded: a step that takes longer than its policy allows is tried again, then fails as timed out, not as cancelled', async () => {
  const signals: AbortSignal[] = [];
  const run = runEmbedded(INPUT, {
    createActivities: (signal) =>
      createScript({
        extract: async () => {
          signals.push(signal);
          await sleep(60_000, undefined, { signal });
        },
      }).activities,
    log,
    policies: quickPolicies(20),
  });
  await assert.rejects(run, (error) => isSluiceError(error, 'STEP_TIMEOUT') && /extract/.test(error.message));
  assert.equal(signals.length, ACTIVITY_POLICIES.extract.retry.maximumAttempts);
  assert.ok(signals.every((signal) => signal.aborted));
  assert.equal(new Set(signals).size, signals.length, 'each attempt has a signal of its own');
});

test('embedded: the clones are removed under a signal that the cancellation does not touch', async () => {
  const controller = new AbortController();
  const aborted: boolean[] = [];
  const run = runEmbedded(INPUT, {
    createActivities: (signal) =>
      createScript({
        runModels: () => {
          controller.abort();
          return RESULTS.models('silver');
        },
        abortBuild: () => void aborted.push(signal.aborted),
      }).activities,
    log,
    signal: controller.signal,
    policies: quickPolicies(),
  });
  await assert.rejects(run, (error) => isSluiceError(error, 'CANCELLED'));
  assert.deepEqual(aborted, [false]);
});

test('embedded: waits grow from one attempt to the next, and the log tells of each', async () => {
  const warnings: string[] = [];
  const stamps: number[] = [];
  const script = createScript({
    extract: (call) => {
      stamps.push(performance.now());
      if (call.nth < 4) throw new SluiceError('SOURCE_UNREACHABLE', 'Nobody answers.', { retryable: true });
      return script.usual(call);
    },
  });
  const policies = quickPolicies();
  const retry = { initialIntervalMs: 20, backoffCoefficient: 3, maximumIntervalMs: 100, maximumAttempts: 4 };
  await runEmbedded(INPUT, {
    createActivities: () => script.activities,
    log: pino({ level: 'warn' }, { write: (line: string) => void warnings.push(line) }),
    policies: { ...policies, extract: { ...policies.extract, retry } },
  });
  const waits = stamps.slice(1).map((stamp, index) => stamp - (stamps[index] ?? 0));
  assert.equal(waits.length, 3);
  for (const [index, least] of [19, 59, 99].entries())
    assert.ok((waits[index] ?? 0) >= least, `waits ${waits.join(', ')}`);
  assert.equal(warnings.length, 3);
  assert.ok(warnings.every((line) => line.includes('SOURCE_UNREACHABLE') && line.includes('Nobody answers.')));
});
