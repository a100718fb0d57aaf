import type { CompiledModel } from '../../../warehouse/transform/index.ts';
import type { Random } from '../../support/random.ts';
import { firstRows, randomChanges } from './random-graph.ts';
import type { TestWarehouse } from './warehouse.ts';

/** What a game of random histories has seen. */
export interface Tally {
  refreshed: number;
  /** Refreshes after which the model's content was another. */
  changed: number;
  /** Of those, the ones that left rows alone. */
  partial: number;
  rebuilt: number;
  unchanged: number;
  readonly reasons: Map<string, number>;
}

export function createTally(): Tally {
  return { refreshed: 0, changed: 0, partial: 0, rebuilt: 0, unchanged: 0, reasons: new Map() };
}

/** One random history of a graph, each model compared with its query after each run. Gives the first difference found. */
export async function playHistory(
  warehouse: TestWarehouse,
  models: readonly CompiledModel[],
  random: Random,
  tally: Tally,
  runs: number,
): Promise<string | undefined> {
  await warehouse.reset();
  const history: string[][] = [[...firstRows(random)]];
  await warehouse.extract(history[0] ?? []);
  for (const model of models) await warehouse.run(model);
  const days = ['2000-01-01', '2000-01-02', '2000-01-03'];
  let asOf = days[0] ?? '';
  for (let run = 0; run < runs; run++) {
    const statements = [...randomChanges(random)];
    history.push(statements);
    await warehouse.extract(statements);
    if (random.chance(0.15)) asOf = random.pick(days);
    for (const model of models) {
      // A model that is left out stays behind; the last run takes all along.
      if (run < runs - 1 && random.chance(0.15)) continue;
      const done = await warehouse.run(model, asOf);
      tally[done.did] += 1;
      if (done.did === 'refreshed' && done.changed) tally.changed += 1;
      if (done.did === 'refreshed' && done.changed && done.kept > 0) tally.partial += 1;
      if (done.did === 'rebuilt') tally.reasons.set(done.why, (tally.reasons.get(done.why) ?? 0) + 1);
      if (done.did === 'unchanged' && random.chance(0.85)) continue;
      const wrong = await warehouse.differences(model);
      if (wrong.length > 0) {
        const says = JSON.stringify(wrong, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
        return [
          `${model.name} was ${done.did} (${done.why}) and is wrong: ${says}`,
          ...models.map(
            ({ name, sql, refresh }) => `${name}: ${sql}\n  ${JSON.stringify({ ...refresh, touchedSql: '' })}`,
          ),
          ...history.map((list, i) => `${i}: ${list.join('; ')}`),
        ].join('\n');
      }
    }
  }
  return undefined;
}
