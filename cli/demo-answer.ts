import type { Project } from '../infra/project.ts';
import { openDuckDb } from '../warehouse/core/duckdb.ts';
import { SluiceError } from '../warehouse/core/errors.ts';
import { openServing } from '../warehouse/serve/index.ts';
import { formatBars } from './chart.ts';
import type { CommandContext } from './context.ts';
import { formatTable } from './table.ts';

interface TrendRow {
  readonly currency: string;
  readonly month: string;
  readonly income: string;
  readonly spending: string;
  readonly net: string;
  readonly savings_rate: string | null;
  readonly transaction_count: string;
}

export interface DemoAnswer {
  readonly sub: string;
  readonly orgId: string;
  readonly rows: readonly TrendRow[];
}

/** Asks the serving engine, as one user with that user's claims, for their monthly trends; shows the last twelve months as a table and a chart. */
export async function showUserTrends({ config, log, output }: CommandContext, project: Project): Promise<DemoAnswer> {
  const release = await project.releases.current();
  if (release === undefined)
    throw new SluiceError('NO_RELEASE', 'There is no release to read.', { remedy: 'Run sluice demo again.' });
  const { gold } = await project.releases.fetch(release);
  const caller = await findBusiestUser(gold);
  const serving = await openServing({
    pinned: { release, goldPath: gold },
    log,
    limits: { timeoutMs: config.serve.queryTimeoutMs, memoryMb: config.serve.queryMemoryMb },
  });
  try {
    const request = serving.parse('fct_monthly_trends', [['limit', '10000']]);
    const result = await serving.query(
      'fct_monthly_trends',
      { sub: caller.sub, orgId: caller.orgId, role: 'viewer' },
      request,
    );
    if (result.kind !== 'page') throw new SluiceError('QUERY_FAILED', 'The demo’s question got no page.');
    const rows = JSON.parse(`[${result.text}]`) as TrendRow[];
    const shown = rows.filter((row) => row.currency === caller.currency).slice(-12);
    output.heading(`What user ${caller.sub} of org ${caller.orgId} sees: monthly trends in ${caller.currency}`);
    output.line(
      formatTable(shown, [
        { title: 'month', value: (row) => row.month.slice(0, 7) },
        { title: 'income', value: (row) => money(row.income), align: 'right' },
        { title: 'spending', value: (row) => money(row.spending), align: 'right' },
        { title: 'net', value: (row) => money(row.net), align: 'right' },
        {
          title: 'saved',
          value: (row) => (row.savings_rate === null ? '–' : `${(Number(row.savings_rate) * 100).toFixed(1)} %`),
          align: 'right',
        },
        { title: 'count', value: (row) => row.transaction_count, align: 'right' },
      ]),
    );
    output.line();
    output.line(
      formatBars(shown.map((row) => ({ label: row.month.slice(0, 7), value: Number(row.net), text: money(row.net) }))),
    );
    return { sub: caller.sub, orgId: caller.orgId, rows: shown };
  } finally {
    await serving.close();
  }
}

/** The user with the most transactions, and the currency of most of them. */
async function findBusiestUser(goldPath: string): Promise<{ sub: string; orgId: string; currency: string }> {
  const db = await openDuckDb({ path: goldPath, readOnly: true, threads: 1 });
  try {
    const [found] = await db.rows<{ sub: string; orgId: string; currency: string }>(
      `select user_id::varchar as sub, org_id::varchar as "orgId", currency from fct_monthly_trends
       group by user_id, org_id, currency order by sum(transaction_count) desc, user_id limit 1`,
    );
    if (found === undefined)
      throw new SluiceError('NO_RELEASE', 'The release holds no user with transactions.', {
        remedy: 'Load demo data: sluice demo --reset.',
      });
    return found;
  } finally {
    db.close();
  }
}

/** 1234.5 → 1,234.50, on the text, so that no digit is lost. */
function money(text: string): string {
  const [whole = '0', cents = ''] = text.split('.');
  return `${whole.replaceAll(/\B(?=(\d{3})+$)/g, ',')}.${cents.padEnd(2, '0').slice(0, 2)}`;
}
