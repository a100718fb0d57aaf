import type { TestLake } from './lake.ts';
import { sourceOf } from './lake.ts';

/**
 * Carries a small table and then a large one, each of rows of about 640 bytes, and gives how many MB more this process held at its peak during
 * the large one. `again` carries each a second time, with 1 % of its rows changed, so that it is compared with its last state.
 */
export async function growthOfMemory(
  lake: TestLake,
  options: { readonly small: number; readonly large: number; readonly memoryMb: number; readonly again: boolean },
): Promise<number> {
  const limits = { memoryMb: options.memoryMb, threads: 2 };
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 20);
  const carry = async (table: string, rows: number): Promise<number> => {
    await lake.client.query(
      `create table app.${table} (id int primary key, v text);
       insert into app.${table} select i, repeat(md5(i::text), 20) from generate_series(1, ${rows}) i`,
    );
    const source = sourceOf({ [table]: { mode: 'full', key: ['id'], columns: ['id', 'v'] } });
    await lake.run(source, { limits });
    if (!options.again) return peak;
    await lake.client.query(`update app.${table} set v = 'changed' where id % 100 = 0`);
    const { tables } = await lake.run(source, { limits });
    if (tables[table]?.updated !== rows / 100) throw new Error(`${tables[table]?.updated} rows were updated`);
    return peak;
  };
  try {
    const small = await carry('small', options.small);
    return Math.round(((await carry('large', options.large)) - small) / (1 << 20));
  } finally {
    clearInterval(timer);
  }
}
