import assert from 'node:assert/strict';
import { isSluiceError, type SluiceError } from '../../../warehouse/core/errors.ts';
import {
  type BronzeTableFacts,
  type CompiledProject,
  compileProject,
  type Diagnostic,
  formatLocation,
  type ProjectFiles,
  toModelFile,
} from '../../../warehouse/transform/index.ts';

/** Small projects written in the test itself: path → text. */

export function filesOf(texts: Readonly<Record<string, string>>): ProjectFiles {
  const entries = Object.entries(texts).map(([file, text]) => ({ file, text }));
  return {
    models: entries
      .filter(({ file }) => /^sql\/(silver|gold)\//.test(file))
      .map(({ file, text }) => {
        return toModelFile({ file, text }, file.startsWith('sql/gold/') ? 'gold' : 'silver');
      }),
    macros: entries.filter(({ file }) => file.startsWith('sql/macros/')),
    tests: entries.filter(({ file }) => file.startsWith('sql/tests/')),
  };
}

export function bronzeTable(
  name: string,
  columns: Readonly<Record<string, string>>,
  key: readonly string[] = [],
): BronzeTableFacts {
  const [source = '', table = ''] = name.split('.');
  return {
    source,
    table,
    contract: {
      key,
      columns: Object.entries(columns).map(([column, duckdbType]) => ({
        name: column,
        postgresType: duckdbType.toLowerCase(),
        duckdbType,
        nullable: !key.includes(column),
        policy: 'error',
      })),
    },
  };
}

/** Two tables that most tests can work with. */
export const BRONZE: readonly BronzeTableFacts[] = [
  bronzeTable(
    'app.accounts',
    { id: 'UUID', user_id: 'BIGINT', org_id: 'BIGINT', name: 'VARCHAR', currency: 'VARCHAR' },
    ['id'],
  ),
  bronzeTable(
    'app.payments',
    {
      id: 'BIGINT',
      account_id: 'UUID',
      user_id: 'BIGINT',
      paid_on: 'DATE',
      amount: 'DECIMAL(14,2)',
      note: 'VARCHAR',
      tags: 'VARCHAR[]',
    },
    ['id'],
  ),
];

export async function compile(
  texts: Readonly<Record<string, string>>,
  bronzeTables: readonly BronzeTableFacts[] = BRONZE,
): Promise<CompiledProject> {
  return compileProject({ files: filesOf(texts), bronzeTables });
}

/** What is left when the files with problems, fewer than `most` at a time, are taken out. */
export async function compileAccepted(
  texts: Readonly<Record<string, string>>,
  bronzeTables: readonly BronzeTableFacts[],
  most: number,
): Promise<CompiledProject> {
  try {
    return await compile(texts, bronzeTables);
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    const refused = new Set((error.details['diagnostics'] as readonly Diagnostic[]).map(({ at }) => at.file));
    assert.ok(refused.size > 0 && refused.size < most, error.message);
    const accepted = Object.entries(texts).filter(([file]) => !refused.has(file));
    return compileAccepted(Object.fromEntries(accepted), bronzeTables, most);
  }
}

export function modelText(sql: string, header: readonly string[] = []): string {
  return `/*\n${['description: a test', ...header].join('\n')}\n*/\n${sql}\n`;
}

/** The error a project must give, and its problems as `file:line:column: message`. */
export async function problemsOf(
  texts: Readonly<Record<string, string>>,
  bronzeTables: readonly BronzeTableFacts[] = BRONZE,
): Promise<{ error: SluiceError; problems: readonly string[]; diagnostics: readonly Diagnostic[] }> {
  try {
    await compile(texts, bronzeTables);
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    const diagnostics = error.details['diagnostics'] as readonly Diagnostic[];
    return { error, diagnostics, problems: diagnostics.map(({ at, message }) => `${formatLocation(at)}: ${message}`) };
  }
  return assert.fail('the project compiled');
}
