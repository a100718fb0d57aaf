import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { openProject } from '../../infra/project.ts';
import { messageOf } from '../../warehouse/core/errors.ts';
import type { CommandContext, CommandHost } from '../context.ts';
import { dim } from '../output.ts';
import { formatAnswer, readAnswer, type SqlAnswer, stripComments } from '../sql-answer.ts';
import { openWarehouseSession, type WarehouseSession } from '../warehouse-session.ts';

const HISTORY_LINES = 500;
const SHOWN_ROWS = 100;

export function registerShell({ program, action }: CommandHost): void {
  program
    .command('shell')
    .summary('a DuckDB prompt with bronze, silver, gold and as_of()')
    .description(
      'Opens DuckDB, read-only, on the current release and on bronze as it stands now. Statements end with ; and may span lines. Statements on standard input run one after another; the first that fails ends the shell.',
    )
    .option('--private <name>', 'open this private release instead (sluice build --private)')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice shell\n  $ echo "from gold.dim_tags limit 3; select as_of();" | sluice shell',
    )
    .action(
      action<{ private?: string }>(async (context, options) => {
        const session = await openWarehouseSession(openProject(context.config, context.log), options.private);
        try {
          return process.stdin.isTTY ? await prompt(context, session) : await runScript(context, session);
        } finally {
          await session.close();
        }
      }),
    );
}

async function prompt({ config, signal }: CommandContext, session: WarehouseSession): Promise<number> {
  const historyFile = join(config.stateDir, 'shell-history');
  const history = await readFile(historyFile, 'utf8').then(
    (text) => text.split('\n').filter(Boolean),
    () => [],
  );
  const lines = createInterface({
    input: process.stdin,
    output: process.stdout,
    history: history.toReversed(),
    historySize: HISTORY_LINES,
    signal,
  });
  const remembered = [...history];
  lines.on('line', (line) => {
    if (line.trim() !== '') remembered.push(line);
  });
  process.stdout.write(
    `${dim(`release ${session.release.number}, as of ${session.release.asOf}; read-only. Statements end with ; — Ctrl-C ends a query, .tables lists tables, .quit leaves.`)}\n`,
  );
  let text = '';
  let running = new AbortController();
  // Ctrl-C ends the query that runs, and throws away what was typed; Ctrl-D leaves.
  lines.on('SIGINT', () => {
    running.abort();
    text = '';
    lines.setPrompt('sluice> ');
    process.stdout.write('\n');
    lines.prompt();
  });
  lines.setPrompt('sluice> ');
  lines.prompt();
  for await (const line of lines) {
    const trimmed = line.trim();
    if (text === '' && (trimmed === '.quit' || trimmed === '.exit')) break;
    text = text === '' && trimmed === '.tables' ? `${TABLES_SQL};` : `${text}${line}\n`;
    const { complete, rest } = splitStatements(text);
    text = rest.trim() === '' ? '' : rest;
    for (const statement of complete) {
      running = new AbortController();
      const interrupt = AbortSignal.any([running.signal, signal]);
      await show(session, statement, interrupt).catch((error: unknown) =>
        process.stdout.write(`${messageOf(error)}\n`),
      );
    }
    lines.setPrompt(text === '' ? 'sluice> ' : '   ...> ');
    lines.prompt();
  }
  lines.close();
  await mkdir(config.stateDir, { recursive: true });
  await writeFile(historyFile, `${remembered.slice(-HISTORY_LINES).join('\n')}\n`, { mode: 0o600 });
  return 0;
}

async function runScript({ output, signal }: CommandContext, session: WarehouseSession): Promise<number> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  const { complete, rest } = splitStatements(Buffer.concat(chunks).toString('utf8'));
  const answers: SqlAnswer[] = [];
  for (const statement of [...complete, rest]) {
    if (stripComments(statement).trim() === '') continue;
    const answer = await readAnswer(session.db, statement, SHOWN_ROWS, signal);
    output.line(`${formatAnswer(answer)}\n`);
    if (output.json) answers.push(answer);
  }
  const { number, asOf } = session.release;
  output.result({
    release: number,
    as_of: asOf,
    answers: answers.map(({ columns, rows, more }) => ({ columns, rows, truncated: more })),
  });
  return 0;
}

async function show(session: WarehouseSession, statement: string, signal: AbortSignal): Promise<void> {
  const answer = await readAnswer(session.db, statement, SHOWN_ROWS, signal);
  process.stdout.write(`${formatAnswer(answer)}\n\n`);
}

const TABLES_SQL = `select database_name || case when schema_name = 'main' then '' else '.' || schema_name end || '.' || table_name as "table"
from (select database_name, schema_name, table_name from duckdb_tables() union all select database_name, schema_name, view_name from duckdb_views() where not internal)
where database_name in ('bronze', 'silver', 'gold') order by 1`;

/** Cuts text at the semicolons that end statements: not those in strings, quoted names, dollar quotes or comments. */
function splitStatements(text: string): { readonly complete: readonly string[]; readonly rest: string } {
  const complete: string[] = [];
  let start = 0;
  const token = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\/|;|['"]|\/\*/g;
  for (const match of text.matchAll(token)) {
    // A quote or comment that is still open runs to the end: more lines will close it.
    if (match[0] === "'" || match[0] === '"' || match[0] === '/*') break;
    if (match[0] !== ';') continue;
    const statement = text.slice(start, match.index);
    if (statement.trim() !== '') complete.push(statement);
    start = match.index + 1;
  }
  return { complete, rest: text.slice(start) };
}
