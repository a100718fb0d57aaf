import pg from 'pg';
import { measure, readJob } from './measure.ts';

/** What the server alone needs: it writes the rows in binary to nowhere, and nothing crosses the connection. */

const { url, selectSql } = readJob() as { readonly url: string; readonly selectSql: string };

await measure(async () => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`copy (${selectSql}) to '/dev/null' (format binary)`);
  await client.end();
  return [];
});
