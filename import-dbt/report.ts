import type { Finding } from './findings.ts';
import type { Imported } from './import-project.ts';

/** IMPORT.md: what was carried, what changed on the way, what somebody must look at. */
export function writeReport(imported: Imported): string {
  const { project, carried, findings, headerTests, bronze } = imported;
  const changed = findings.list.filter(({ kind }) => kind === 'changed');
  const left = findings.list.filter(({ kind }) => kind === 'left_out');
  const count = (kind: string): number => carried.filter((item) => item.kind === kind).length;
  return `${[
    `# Import of the dbt project ${project.name}`,
    '',
    `Carried: ${count('model')} models, ${count('snapshot')} snapshots, ${count('seed')} seeds, ${count('macro')} macros, ${count('test') + headerTests} tests (${headerTests} in headers).`,
    `Carried with a change: ${changed.length}. Not carried: ${left.length}. Files and lines are those of the dbt project.`,
    '',
    '## Not carried',
    '',
    left.length === 0 ? 'Nothing.' : toTable(left),
    '',
    '## Carried with a change',
    '',
    changed.length === 0 ? 'Nothing.' : toTable(changed),
    '',
    '## Carried',
    '',
    '| what | name | from | to |',
    '|---|---|---|---|',
    ...carried.map(({ kind, name, from, to }) => `| ${kind} | ${name} | ${from} | ${to} |`),
    '',
    '## Bronze that the models read',
    '',
    ...(bronze.length === 0
      ? ['None.']
      : [
          ...bronze.map((name) => `- ${name}`),
          '',
          'Each is a table of a file in models/sources: `npx sluice init --from postgres://… --schema <schema>` writes it.',
        ]),
  ].join('\n')}\n`;
}

function toTable(findings: readonly Finding[]): string {
  const rows = sortFindings(findings).map(
    ({ file, line, subject, what, remedy }) =>
      `| ${file}:${line} | ${cell(subject)} | ${cell(what)} | ${cell(remedy)} |`,
  );
  return ['| place | of | what | what to do |', '|---|---|---|---|', ...rows].join('\n');
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ');

/** By file and line. */
export function sortFindings(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line));
}
