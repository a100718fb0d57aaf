import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EltActivities } from '../../activities/contract.ts';
import { ACTIVITY_POLICIES } from '../../temporal.config.ts';
import { ERROR_CODES, type ErrorCode, SluiceError } from '../../warehouse/core/errors.ts';
import type { EltInput, EltResult } from '../../workflows/contract.ts';
import { type Call, createScript, RESULTS, type Script } from './scripted-activities.ts';

/**
 * What every way to run the pipeline must do, over activities that follow a script. A binding runs the pipeline once; it rejects with an
 * error that has `code`, `message`, `remedy` and `retryable` of the activity's own. Waits between retries may be shorter than configured.
 */
export type Binding = (
  activities: EltActivities,
  input: EltInput,
  options: { readonly signal: AbortSignal },
) => Promise<EltResult>;

const INPUT: EltInput = { pipeline: 'elt', asOf: '2026-06-30' };
const STEPS = ['extract', 'openBuild', 'runModels', 'runTests', 'publish'] as const;
/** The calls of a run in which nothing goes wrong. */
const WHOLE = [
  'extract',
  'openBuild',
  'runModels silver',
  'runTests silver',
  'runModels gold',
  'runTests gold',
  'publish',
] as const;
/** Codes of failures that name the thing, never a race or a cancellation. */
const PLAIN_CODES = (Object.keys(ERROR_CODES) as ErrorCode[]).filter(
  (code) => code !== 'RELEASE_CONFLICT' && code !== 'BUILD_HOST_LOST' && code !== 'CANCELLED' && code !== 'INTERNAL',
);

interface Failed {
  readonly code: string;
  readonly message: string;
  readonly remedy?: string;
  readonly retryable: boolean;
}

export function testConformance(name: string, run: Binding): void {
  const start = (script: Script, input: EltInput = INPUT, signal = new AbortController().signal): Promise<EltResult> =>
    run(script.activities, input, { signal });

  async function failureOf(running: Promise<EltResult>): Promise<Failed> {
    const thrown = await running.then(
      () => assert.fail('the run should have failed'),
      (error: unknown) => error,
    );
    assert.ok(thrown instanceof Error && 'code' in thrown, `an error with a code was expected, got ${String(thrown)}`);
    return thrown as unknown as Failed;
  }

  const named = (what: string, work: () => Promise<void>): void => void test(`${name}: ${what}`, work);
  const fails = (code: ErrorCode, retryable: boolean) => (): never => {
    throw new SluiceError(code, `The step met ${code}.`, {
      remedy: 'Mend it.',
      retryable,
      details: { table: 'orders' },
    });
  };

  named('while another build is under way the run asks again, and builds when its turn has come', async () => {
    const busy = { sign: 'a sign', holder: 'there-7-00000000', since: '2026-06-30T12:00:00Z' };
    const script = createScript({
      openBuild: ({ nth }) => (nth < 3 ? { ...RESULTS.openBuild(nth), needed: false, busy } : RESULTS.openBuild(nth)),
    });
    const result = await start(script);
    assert.deepEqual(script.names(), ['extract', 'openBuild', 'openBuild', ...WHOLE.slice(1)]);
    assert.deepEqual(
      script.requests('openBuild').map(({ waitingFor }) => waitingFor),
      [undefined, { sign: 'a sign', isDead: false }, { sign: 'a sign', isDead: false }],
    );
    assert.equal(result.release?.number, 1);
  });

  named('calls every step once, in order, with the run’s key, date and build', async () => {
    const script = createScript();
    await start(script);
    assert.deepEqual(script.names(), WHOLE);
    const { buildId } = RESULTS.openBuild(1);
    assert.deepEqual(
      script.calls.map(({ request }) => request),
      [
        { runKey: 'elt:2026-06-30' },
        { runKey: 'elt:2026-06-30', asOf: '2026-06-30' },
        { buildId, layer: 'silver' },
        { buildId, layer: 'silver' },
        { buildId, layer: 'gold' },
        { buildId, layer: 'gold' },
        { buildId },
      ],
    );
  });

  named('passes sources, selectors and a full refresh on, and only when they are given', async () => {
    const script = createScript();
    await start(script, { ...INPUT, sources: ['shop'], select: ['+gold.x', 'tag:y'], fullRefresh: true, steps: 'all' });
    assert.deepEqual(script.requests('extract'), [{ runKey: 'elt:2026-06-30', sources: ['shop'] }]);
    assert.deepEqual(script.requests('openBuild'), [
      { runKey: 'elt:2026-06-30', asOf: '2026-06-30', select: ['+gold.x', 'tag:y'], fullRefresh: true },
    ]);
  });

  named('does one half when asked for one half', async () => {
    const extract = createScript();
    const extracted = await start(extract, { ...INPUT, steps: 'extract' });
    assert.deepEqual(extract.names(), ['extract']);
    assert.deepEqual(extracted.extract, RESULTS.extract);
    assert.equal(extracted.release, undefined);
    const build = createScript();
    const built = await start(build, { ...INPUT, steps: 'build' });
    assert.deepEqual(build.names(), WHOLE.slice(1));
    assert.equal(built.extract, undefined);
    assert.equal(built.release?.number, 1);
  });

  named('returns what the steps reported: models in order, tests counted, the release', async () => {
    const script = createScript();
    const result = await start(script);
    assert.deepEqual(result, {
      asOf: '2026-06-30',
      extract: RESULTS.extract,
      models: [...RESULTS.models('silver'), ...RESULTS.models('gold')],
      tests: { passed: 2, warned: 2 },
      release: RESULTS.release(1),
    });
  });

  named('publishes nothing when nothing is needed', async () => {
    const script = createScript({ openBuild: () => ({ buildId: 'none', needed: false, toRun: 0, total: 3 }) });
    const result = await start(script);
    assert.deepEqual(
      script.names().filter((call) => call !== 'abortBuild'),
      ['extract', 'openBuild'],
    );
    assert.equal(result.release, undefined);
    assert.deepEqual(result.models, []);
  });

  for (const step of STEPS) {
    const { maximumAttempts } = ACTIVITY_POLICIES[step].retry;

    named(
      `${step}: tries a retryable error ${maximumAttempts} times in all, with the same request, then fails with it`,
      async () => {
        const script = createScript({ [step]: fails('ENGINE_BUSY', true) });
        const failed = await failureOf(start(script));
        assert.equal(failed.code, 'ENGINE_BUSY');
        const requests = script.requests(step);
        assert.equal(requests.length, maximumAttempts);
        for (const request of requests) assert.deepEqual(request, requests[0]);
      },
    );

    named(`${step}: never tries an error again that is not retryable, nor one that is no error of ours`, async () => {
      const refused = createScript({ [step]: fails('SOURCE_KEY_INVALID', false) });
      assert.equal((await failureOf(start(refused))).code, 'SOURCE_KEY_INVALID');
      assert.equal(refused.requests(step).length, 1);
      const defect = createScript({
        [step]: () => {
          throw new TypeError('x is not a function');
        },
      });
      await assert.rejects(start(defect), /x is not a function/);
      assert.equal(defect.requests(step).length, 1);
    });

    named(`${step}: nothing follows a failure but the removal of the clones`, async () => {
      const script = createScript({ [step]: fails('BUILD_FAILED', false) });
      await failureOf(start(script));
      const expected = WHOLE.slice(0, WHOLE.findIndex((call) => call.startsWith(step)) + 1);
      const hasBuild = expected.includes('runModels silver');
      assert.deepEqual(script.names(), [...expected, ...(hasBuild ? ['abortBuild'] : [])]);
      if (hasBuild) assert.deepEqual(script.requests('abortBuild'), [{ buildId: RESULTS.openBuild(1).buildId }]);
    });

    named(
      `${step}: a cancellation while it runs ends the run as cancelled, throws the clones away and calls nothing else`,
      async () => {
        const controller = new AbortController();
        const script = createScript({
          [step]: async () => {
            controller.abort();
            // The step sees its signal late and says so in words of its own; a server needs a moment to take the cancellation in.
            await sleep(1_000);
            throw new Error('interrupted');
          },
        });
        assert.equal((await failureOf(start(script, INPUT, controller.signal))).code, 'CANCELLED');
        const expected = WHOLE.slice(0, WHOLE.findIndex((call) => call.startsWith(step)) + 1);
        const hasBuild = expected.includes('runModels silver');
        assert.deepEqual(script.names(), [...expected, ...(hasBuild ? ['abortBuild'] : [])]);
      },
    );
  }

  named('an error that goes away is never seen: the next attempt’s result counts', async () => {
    for (const step of ['extract', 'openBuild'] as const) {
      let attempts = 0;
      const script = createScript({
        [step]: (call: Call) => {
          attempts += 1;
          return attempts === 1 ? fails('SOURCE_QUERY_FAILED', true)() : script.usual(call);
        },
      });
      const result = await start(script);
      assert.equal(attempts, 2);
      assert.equal(result.release?.number, 1);
    }
  });

  named('an error keeps its code, message and remedy, whichever it is', async () => {
    for (const code of PLAIN_CODES) {
      const script = createScript({ openBuild: fails(code, false) });
      const failed = await failureOf(start(script, { ...INPUT, steps: 'build' }));
      assert.deepEqual(
        { code: failed.code, message: failed.message, remedy: failed.remedy, retryable: failed.retryable },
        { code, message: `The step met ${code}.`, remedy: 'Mend it.', retryable: false },
      );
    }
  });

  named('clones that cannot be removed do not hide why the build failed', async () => {
    const script = createScript({ runModels: fails('BUILD_FAILED', false), abortBuild: fails('DISK_FULL', false) });
    assert.equal((await failureOf(start(script))).code, 'BUILD_FAILED');
    assert.ok(script.requests('abortBuild').length >= 1);
  });

  named(
    'a lost race for the release starts again from openBuild, never from extract, and drops the clones first',
    async () => {
      const script = createScript({
        publish: (call: Call) => (call.nth < 3 ? fails('RELEASE_CONFLICT', true)() : script.usual(call)),
      });
      const result = await start(script);
      const round = WHOLE.slice(1);
      assert.deepEqual(script.names(), ['extract', ...round, 'abortBuild', ...round, 'abortBuild', ...round]);
      const builds = [1, 2, 3].map((nth) => RESULTS.openBuild(nth).buildId);
      assert.deepEqual(
        script.requests('publish').map(({ buildId }) => buildId),
        builds,
      );
      assert.deepEqual(
        script.requests('abortBuild').map(({ buildId }) => buildId),
        builds.slice(0, 2),
      );
      assert.deepEqual(result.extract, RESULTS.extract);
      assert.deepEqual(
        result.models,
        [...RESULTS.models('silver'), ...RESULTS.models('gold')],
        'only the last build’s',
      );
    },
  );

  named('a release that was published by a worker that died of it is the release of the run', async () => {
    const standing = (number: number) => ({ number, version: `v${number}`, asOf: '2026-06-30', bytes: 2 });
    const script = createScript({
      openBuild: (call: Call) =>
        call.nth === 1
          ? { ...RESULTS.openBuild(1), standing: standing(4) }
          : { ...RESULTS.openBuild(2), needed: false, toRun: 0, standing: standing(5) },
      publish: fails('BUILD_HOST_LOST', true),
    });
    const result = await start(script);
    assert.deepEqual(result.release, { ...standing(5), newBytes: 0, ms: 0 });
    assert.deepEqual(result.models, [...RESULTS.models('silver'), ...RESULTS.models('gold')]);
    assert.deepEqual(result.tests, { passed: 2, warned: 2 });
  });

  named('what stood before the run is not its release, however often its build starts again', async () => {
    const standing = { number: 4, version: 'v4', asOf: '2026-06-30', bytes: 2 };
    const script = createScript({
      openBuild: (call: Call) => ({ ...RESULTS.openBuild(call.nth), needed: call.nth === 1, standing }),
      publish: fails('BUILD_HOST_LOST', true),
    });
    assert.equal((await start(script)).release, undefined);
  });

  named('a run that loses every race gives up and says so', async () => {
    const script = createScript({ publish: fails('RELEASE_CONFLICT', true) });
    assert.equal((await failureOf(start(script))).code, 'RELEASE_CONFLICT');
    const tried = script.requests('openBuild').length;
    assert.ok(tried > 1 && tried <= 10, `${tried} builds`);
    assert.equal(script.requests('abortBuild').length, tried);
    assert.equal(script.requests('extract').length, 1);
  });

  named('a run that is cancelled before it begins calls nothing', async () => {
    const controller = new AbortController();
    controller.abort();
    const script = createScript();
    assert.equal((await failureOf(start(script, INPUT, controller.signal))).code, 'CANCELLED');
    assert.deepEqual(script.names(), []);
  });

  named('a cancellation between two attempts is not waited for and ends the retries', async () => {
    const controller = new AbortController();
    const script = createScript({
      extract: () => {
        controller.abort();
        return fails('SOURCE_UNREACHABLE', true)();
      },
    });
    const started = performance.now();
    assert.equal((await failureOf(start(script, INPUT, controller.signal))).code, 'CANCELLED');
    assert.equal(script.requests('extract').length, 1);
    assert.ok(performance.now() - started < 5_000);
  });

  named('a cancellation that comes when the release stands already changes nothing', async () => {
    const controller = new AbortController();
    const script = createScript({
      publish: (call: Call) => {
        controller.abort();
        return script.usual(call);
      },
    });
    const result = await start(script, INPUT, controller.signal).catch((error: unknown) => error);
    // A server may report the cancellation; what must not happen is that the published clones are thrown away.
    assert.deepEqual(script.requests('abortBuild'), []);
    if (!(result instanceof Error)) assert.equal((result as EltResult).release?.number, 1);
  });

  named('requests and results are what JSON carries, and nobody shares an object with anybody', async () => {
    const extract = { ...RESULTS.extract, at: new Date(0), nothing: undefined };
    const input = { ...INPUT, select: ['gold.x'] };
    const script = createScript({
      extract: () => extract,
      openBuild: (call: Call) => {
        (call.request['select'] as string[]).push('changed by the step');
        return script.usual(call);
      },
    });
    const result = await start(script, input);
    assert.deepEqual(input.select, ['gold.x']);
    assert.deepEqual(JSON.parse(JSON.stringify(result)), result);
    const reported = result.extract as unknown as Record<string, unknown>;
    assert.equal(reported['at'], '1970-01-01T00:00:00.000Z');
    assert.equal('nothing' in reported, false);
    assert.notEqual(reported['tables'], extract.tables);
    for (const { request } of script.calls) assert.deepEqual(JSON.parse(JSON.stringify(request)), request);
  });
}
