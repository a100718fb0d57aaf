import type { ColumnProposal, SourceProposal, TableProposal } from './propose-source.ts';

/** A proposal as the text of models/sources/<name>.ts, as biome would format it: what a person would have written, with the reasons as comments. */

export interface RenderOptions {
  /** What SourceDefinition is imported from, seen from the file. */
  readonly engine: string;
  /** Where the proposal comes from, e.g. the database shop on Postgres 18.4. */
  readonly origin: string;
}

export function renderSource(source: SourceProposal, options: RenderOptions): string {
  return `${[
    `import type { SourceDefinition } from ${literal(options.engine)};`,
    '',
    '/**',
    ` * Proposed by \`sluice init\` from the schema ${inBlock(source.schema)} of ${inBlock(options.origin)}. Yours to change: docs/sources.md tells what each word does.`,
    ' * Masked columns leave Postgres as a keyed hash only, columns that are not listed not at all; both by their names, until told otherwise.',
    ' */',
    `export const ${variableOf(source.name)} = {`,
    "  kind: 'postgres',",
    `  name: ${literal(source.name)},`,
    `  schema: ${literal(source.schema)},`,
    '  tables: {',
    ...source.tables.flatMap(renderTable),
    ...source.leftOut.map(({ table, why }) => `    // ${inLine(table)} left out: ${inLine(why)}`),
    '  },',
    '} as const satisfies SourceDefinition;',
  ]
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

function renderTable(table: TableProposal): string[] {
  const masked = table.columns.filter((column) => column.treatment === 'hash');
  return [
    ...(inLine(table.comment ?? '') === '' ? [] : [`    // ${inLine(table.comment ?? '')}`]),
    `    // ${table.mode}: ${inLine(table.why)}.`,
    ...table.hints.map((hint) => `    // ${inLine(hint)}`),
    `    ${property(table.table)}: {`,
    `      mode: '${table.mode}',`,
    ...renderKey(table.key),
    '      columns: [',
    ...table.columns.map(renderColumn),
    '      ],',
    ...(table.cursor === null ? [] : [`      cursor: { column: ${literal(table.cursor)}, setBy: 'database' },`]),
    ...(masked.length === 0
      ? []
      : [
          '      mask: {',
          ...masked.map((column) => `        ${property(column.name)}: 'hash', // ${inLine(column.why ?? '')}`),
          '      },',
        ]),
    '    },',
  ];
}

/** The comment at its end keeps each column on a line of its own, whatever the width of its name. */
function renderColumn(column: ColumnProposal): string {
  const type = inLine(column.type);
  if (column.treatment === 'leave out')
    return `        // ${inLine(column.name)} (${type}) left out: ${inLine(column.why ?? '')}`;
  return `        ${literal(column.name)}, // ${type}`;
}

const LINE_WIDTH = 120;

/** On one line where it fits. How wide other scripts print is the formatter's own affair: there a comment keeps the lines apart. */
function renderKey(key: readonly string[]): string[] {
  const line = `      key: [${key.map(literal).join(', ')}],`;
  const isAscii = /^[\x20-\x7e]*$/.test(line);
  if (isAscii && line.length <= LINE_WIDTH) return [line];
  return [
    '      key: [',
    ...(isAscii ? [] : ['        // in this order']),
    ...key.map((column) => `        ${literal(column)},`),
    '      ],',
  ];
}

/** A string literal in the quotes that need fewer escapes, single ones where that is the same. What cannot be seen is escaped. */
function literal(text: string): string {
  const [single, double] = ["'", '"'].map((mark) => text.split(mark).length - 1);
  const quote = (single ?? 0) > (double ?? 0) ? '"' : "'";
  const escaped = text.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`);
  return `${quote}${escaped.replaceAll(UNSEEN, escapeMark)}${quote}`;
}

const escapeMark = (mark: string): string => `\\u{${(mark.codePointAt(0) ?? 0).toString(16)}}`;

/** Controls, format marks (which turn text around or hide it), line separators, and spaces that are not the space bar's. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff]/gu;

/**
 * Without quotes where the language takes it so, in any script, as biome writes it. Letters that Unicode got of late are known to biome and not to
 * tsc: written as escapes they keep their quotes.
 */
function property(name: string): string {
  if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) || new RegExp(UNSEEN).test(name)) return literal(name);
  return RARE.test(name) ? literal(name).replaceAll(new RegExp(RARE, 'gu'), escapeMark) : name;
}

/** Planes beyond the first, and the blocks of it that still grow: Arabic, Telugu, Kannada, Cyrillic, Latin. */
const RARE = /[\u0860-\u08ff\u0c5c\u0cdc\u1c80-\u1c8f\ua720-\ua7ff\u{10000}-\u{10ffff}]/u;

const inLine = (text: string): string => text.replaceAll(UNSEEN, ' ').replaceAll(/ +/g, ' ').trim();
const inBlock = (text: string): string => inLine(text).replaceAll('*/', '* /');

/** Names of sources are identifiers but for the words of the language. */
function variableOf(name: string): string {
  return WORDS.has(name) ? `${name}_source` : name;
}

const WORDS: ReadonlySet<string> = new Set(
  `abstract any arguments as async await break case catch class const constructor continue debugger declare default delete do else enum eval export extends false
   finally for from function get global globalthis if implements import in instanceof interface is let module namespace never new null number object of package private
   protected public return satisfies set static string super switch symbol this throw true try type typeof undefined unknown using var void while with yield`.split(
    /\s+/,
  ),
);
