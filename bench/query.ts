import { loadDemo } from '../demo/index.ts';
import { loadConfig } from '../infra/config.ts';
import { openProject, withSource } from '../infra/project.ts';
import { runProject } from '../infra/run-project.ts';
import { createApp, createTokenVerifier, listen, mintToken } from '../service/index.ts';
import { openDuckDb } from '../warehouse/core/duckdb.ts';
import { createLog } from '../warehouse/core/log.ts';
import { openServing } from '../warehouse/serve/index.ts';
import { type BenchOptions, quantile, round, time, withProject } from './support.ts';

const SECRET = 'a secret for this measurement only, 32+';
const REQUESTS = 200;

/** HTTP answers of the service, one client and ten at once, against the same SELECT on the same file inside a process. Interleaved rounds. */
export async function benchQuery({ scale, rounds }: BenchOptions): Promise<Record<string, unknown>> {
  return withProject(async (dir) => {
    const config = loadConfig(dir, { SLUICE_LOG_LEVEL: 'error' });
    const log = createLog({ level: 'error' });
    const project = openProject(config, log);
    const loaded = await withSource(config, log, (url) => loadDemo({ url, scale }));
    await runProject(project, { steps: 'all', asOf: loaded.asOf });
    const release = await project.releases.current();
    if (release === undefined) throw new Error('no release');
    const { gold } = await project.releases.fetch(release);
    const db = await openDuckDb({ path: gold, readOnly: true, threads: 2 });
    const serving = await openServing({ pinned: { release, goldPath: gold }, log });
    const app = createApp({ serving, verifyToken: createTokenVerifier({ secret: SECRET }), log });
    const listening = await listen({ app, host: '127.0.0.1', port: 0 });
    try {
      const users = await db.rows<{ sub: string; org: string }>(
        'select distinct user_id::varchar as sub, org_id::varchar as org from dim_accounts order by 1',
      );
      const tokens = await Promise.all(
        users.map((user) =>
          mintToken({ secret: SECRET, sub: user.sub, orgId: user.org, role: 'viewer', ttlSeconds: 3600 }),
        ),
      );
      const figures: Record<string, number[]> = { duckdb: [], http: [], http_10: [], http_304: [] };
      const ask = async (index: number, headers: Record<string, string> = {}): Promise<Response> => {
        const response = await fetch(
          `${listening.url}/api/analytics/datasets/fct_transactions/query?start_date=2025-01-01&end_date=2025-06-30&limit=100`,
          {
            headers: { authorization: `Bearer ${tokens[index % tokens.length] ?? ''}`, ...headers },
          },
        );
        await response.arrayBuffer();
        if (response.status !== 200 && response.status !== 304) throw new Error(`status ${response.status}`);
        return response;
      };
      for (let round = 0; round < rounds; round++) {
        for (let index = 0; index < REQUESTS; index++) {
          const user = users[index % users.length];
          const sql = `select * from (select * from gold.main.fct_transactions where org_id = ${user?.org ?? '0'} and user_id = ${user?.sub ?? '0'}) where booking_date between date '2025-01-01' and date '2025-06-30' order by transaction_id limit 101`;
          figures['duckdb']?.push((await time(() => db.rows(sql))).ms);
          figures['http']?.push((await time(() => ask(index))).ms);
        }
        const etag = (await ask(0)).headers.get('etag') ?? '';
        for (let index = 0; index < REQUESTS; index++)
          figures['http_304']?.push((await time(() => ask(0, { 'if-none-match': etag }))).ms);
        await Promise.all(
          Array.from({ length: 10 }, async (_, client) => {
            for (let index = client; index < REQUESTS; index += 10)
              figures['http_10']?.push((await time(() => ask(index))).ms);
          }),
        );
      }
      const shown = Object.entries(figures).map(([name, ms]) => ({
        name,
        requests: ms.length,
        p50_ms: round(quantile(ms, 0.5), 2),
        p95_ms: round(quantile(ms, 0.95), 2),
        p99_ms: round(quantile(ms, 0.99), 2),
      }));
      console.table(shown);
      const p95 = (name: string): number => quantile(figures[name] ?? [], 0.95);
      return {
        scale,
        transactions: loaded.rows.transactions,
        ratio_http_to_duckdb_p50: round(quantile(figures['http'] ?? [], 0.5) / quantile(figures['duckdb'] ?? [], 0.5)),
        ratio_http_to_duckdb_p95: round(p95('http') / p95('duckdb')),
        http_p95_ms: round(p95('http'), 1),
        http_10_clients_p95_ms: round(p95('http_10'), 1),
        http_304_p95_ms: round(p95('http_304'), 1),
      };
    } finally {
      await listening.close();
      await serving.close();
      db.close();
    }
  });
}
