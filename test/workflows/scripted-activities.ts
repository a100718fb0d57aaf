import type { EltActivities } from '../../activities/contract.ts';

/** Activities that do nothing but follow a script and remember how they were called. */

export type StepName = keyof EltActivities;

export interface Call {
  readonly name: StepName;
  readonly request: Record<string, unknown>;
  /** 1 for the first call of this step. */
  readonly nth: number;
}

export interface Script {
  readonly activities: EltActivities;
  readonly calls: readonly Call[];
  /** Every call as a word: `runModels silver`. */
  names(): string[];
  requests(step: StepName): Record<string, unknown>[];
  /** What the step answers when the script says nothing of it. */
  usual(call: Call): unknown;
}

const model = (name: string) => ({ name, action: 'rebuilt', why: 'new', rows: 3, changedRows: 3, ms: 1 });
const outcome = (layer: string, status: 'pass' | 'warn') => ({
  name: `${layer}.t.${status}`,
  model: `${layer}.t`,
  severity: 'warn' as const,
  status,
  failures: status === 'pass' ? 0 : 2,
  sample: [],
});

/** The usual answers. Builds are numbered by the call that opened them. */
export const RESULTS = {
  extract: {
    tables: [
      {
        source: 'shop',
        table: 'orders',
        mode: 'full',
        rowsRead: 3,
        inserted: 3,
        updated: 0,
        deleted: 0,
        bytes: 10,
        ms: 1,
      },
    ],
    commits: { shop: 1 },
    snapshotAt: '2026-06-30T00:00:00Z',
    ms: 1,
  },
  openBuild: (nth: number) => ({ buildId: `build-${nth}`, needed: true, toRun: 2, total: 2 }),
  models: (layer: string) => [model(`${layer}.a`), model(`${layer}.b`)],
  tests: (layer: string) => [outcome(layer, 'pass'), outcome(layer, 'warn')],
  release: (number: number) => ({ number, version: `v${number}`, asOf: '2026-06-30', bytes: 2, newBytes: 1, ms: 1 }),
} as const;

/** `answers` replaces steps; each gets the call and returns, or throws. */
export function createScript(answers: Partial<Record<StepName, (call: Call) => unknown>> = {}): Script {
  const calls: Call[] = [];
  const usual = ({ name, nth, request }: Call): unknown => {
    switch (name) {
      case 'extract':
        return RESULTS.extract;
      case 'openBuild':
        return RESULTS.openBuild(nth);
      case 'runModels':
        return RESULTS.models(String(request['layer']));
      case 'runTests':
        return RESULTS.tests(String(request['layer']));
      case 'publish':
        return RESULTS.release(1);
      case 'abortBuild':
        return undefined;
      default:
        return name satisfies never;
    }
  };
  const step =
    (name: StepName) =>
    async (request: object): Promise<never> => {
      const nth = calls.filter((other) => other.name === name).length + 1;
      const call: Call = { name, request: request as Record<string, unknown>, nth };
      // Remembered as it came, whatever the step does to it.
      calls.push({ ...call, request: structuredClone(call.request) });
      return (await (answers[name] ?? usual)(call)) as never;
    };
  return {
    calls,
    usual,
    names: () =>
      calls.map(({ name, request }) => (typeof request['layer'] === 'string' ? `${name} ${request['layer']}` : name)),
    requests: (name) => calls.filter((call) => call.name === name).map(({ request }) => request),
    activities: {
      extract: step('extract'),
      openBuild: step('openBuild'),
      runModels: step('runModels'),
      runTests: step('runTests'),
      publish: step('publish'),
      abortBuild: step('abortBuild'),
    },
  };
}
