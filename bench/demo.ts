import { type BenchOptions, round, runSluice, withProject } from './support.ts';

interface DemoRun {
  readonly extract: { readonly ms: number; readonly tables: readonly { readonly rows_read: number }[] };
  readonly models: readonly { readonly ms: number }[];
}

/** The two commands of the README after `npm ci`, as whole processes: the first run, the same again, five more days of life. */
export async function benchDemo({ scale }: BenchOptions): Promise<Record<string, unknown>> {
  return withProject(async (dir) => {
    const runs = [
      { name: 'demo, first run', ...(await runSluice(dir, ['demo', '--scale', String(scale)])) },
      { name: 'demo, again', ...(await runSluice(dir, ['demo', '--scale', String(scale)])) },
      { name: 'demo evolve, 5 days', ...(await runSluice(dir, ['demo', 'evolve'])) },
    ];
    const figures = runs.map(({ name, seconds, result }) => {
      const run = result['run'] as DemoRun;
      const rows = run.extract.tables.reduce((sum, table) => sum + table.rows_read, 0);
      return {
        name,
        seconds: round(seconds),
        rows_read: rows,
        extract_s: round(run.extract.ms / 1000),
        models_s: round(run.models.reduce((sum, model) => sum + model.ms, 0) / 1000),
      };
    });
    console.table(figures);
    const [first, again, evolve] = runs;
    return {
      scale,
      first_s: round(first?.seconds ?? 0),
      ratio_again_to_first: round((again?.seconds ?? 0) / (first?.seconds ?? 1)),
      ratio_evolve_to_first: round((evolve?.seconds ?? 0) / (first?.seconds ?? 1)),
    };
  });
}
