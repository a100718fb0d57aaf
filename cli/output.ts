import { styleText } from 'node:util';
import { exitCodeOf, isSluiceError, mapSystemError, messageOf, SluiceError } from '../warehouse/core/errors.ts';
import type { TestResult } from '../warehouse/core/release.ts';
import { formatTable } from './table.ts';

/** Where a command's words go: results to standard output, everything else to standard error; with --json one JSON object and nothing else. */
export interface Output {
  readonly json: boolean;
  /** True when a person watches standard error. */
  readonly interactive: boolean;
  /** A line for people; silent with --json. */
  line(text?: string): void;
  /** A heading for people. */
  heading(text: string): void;
  /** The command's result for machines; printed with --json only. */
  result(value: unknown): void;
  /** A remark beside the result, on standard error. */
  note(text: string): void;
}

export function createOutput(options: { readonly json: boolean }): Output {
  return {
    json: options.json,
    // A terminal that does not know its height (some CI systems) cannot be drawn on.
    interactive: !options.json && process.stderr.isTTY && process.stderr.rows > 0,
    line: (text = '') => {
      if (!options.json) process.stdout.write(`${text}\n`);
    },
    heading: (text) => {
      if (!options.json) process.stdout.write(`\n${bold(text)}\n`);
    },
    result: (value) => {
      if (options.json) process.stdout.write(`${toJson(value)}\n`);
    },
    note: (text) => {
      if (!options.json) process.stderr.write(`${text}\n`);
    },
  };
}

/** JSON with bigints as decimal strings. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? item.toString() : item));
}

/** The same value with its fields as JSON names them: as_of for asOf. Keys that are data (tables, sources) are lower-case already. */
export function toSnakeCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toSnakeCase);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      /^[a-z]+([A-Z][a-z0-9]*)+$/.test(name) ? name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name,
      toSnakeCase(item),
    ]),
  );
}

export const bold = (text: string): string => styleText('bold', text, { stream: process.stdout });
export const dim = (text: string): string => styleText('dim', text, { stream: process.stdout });
export const green = (text: string): string => styleText('green', text, { stream: process.stdout });
export const red = (text: string): string => styleText('red', text, { stream: process.stderr });

/** Reports a failure, never a stack trace unless SLUICE_LOG_LEVEL is debug; returns the exit code. */
export function reportFailure(thrown: unknown, options: { readonly json: boolean; readonly debug: boolean }): number {
  const error = toSluiceError(thrown);
  const { code, message, remedy, retryable, details } = error;
  if (options.json) {
    process.stdout.write(`${toJson({ error: { code, message, remedy, retryable, details } })}\n`);
  } else {
    process.stderr.write(`${red(`error ${code}`)} ${message}\n`);
    if (code === 'TESTS_FAILED') process.stderr.write(formatFailedTests(details['tests']));
    if (remedy !== undefined) process.stderr.write(`  ${remedy.replaceAll('\n', '\n  ')}\n`);
    process.stderr.write(`  More: docs/errors.md#${code.toLowerCase()}\n`);
  }
  if (options.debug && thrown instanceof Error) process.stderr.write(`${thrown.stack ?? ''}\n`);
  return exitCodeOf(error);
}

/** Failures of the operating system that a user can mend get their code; whatever else nobody expected is a defect. */
function toSluiceError(thrown: unknown): SluiceError {
  const error = mapSystemError(thrown, 'the command');
  if (isSluiceError(error)) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(code)) {
    return new SluiceError('LAKE_UNREACHABLE', `A file or folder cannot be used: ${messageOf(error)}.`, {
      remedy: 'Give this user the right to read and write there, or point SLUICE_LAKE and SLUICE_CACHE elsewhere.',
      cause: error,
    });
  }
  return new SluiceError('INTERNAL', `Unexpected failure: ${messageOf(error)}`, {
    remedy: 'This is a defect in Sluice. Run again with SLUICE_LOG_LEVEL=debug and report what it prints.',
    cause: error,
  });
}

/** Each failed test with its first rows, as a table. */
function formatFailedTests(tests: unknown): string {
  return (Array.isArray(tests) ? (tests as TestResult[]) : [])
    .map(({ name, model, failures, sample }) => {
      const titles = [...new Set(sample.flatMap((row) => Object.keys(row)))];
      const columns = titles.map((title) => ({
        title,
        value: (row: Readonly<Record<string, string | null>>) => row[title] ?? 'NULL',
      }));
      const of = model === name ? '' : ` of ${model}`;
      const rows = sample.length < failures ? `, the first ${sample.length} of ${failures} rows` : '';
      return `\n  ${name}${of}${rows}:\n    ${formatTable(sample, columns).replaceAll('\n', '\n    ')}\n\n`;
    })
    .join('');
}

let guarded = false;

/** Last resorts of the process: a reader that went away changes nothing, a failure that nobody awaited is reported like any other. */
export function guardProcess(options: { readonly json: boolean }): void {
  if (guarded) return;
  guarded = true;
  const onStreamError = (error: NodeJS.ErrnoException): void => {
    // `sluice run | head`: nobody reads any more, and the work goes on to its end.
    if (error.code !== 'EPIPE') process.exit(reportFailure(error, { json: false, debug: false }));
  };
  process.stdout.on('error', onStreamError);
  process.stderr.on('error', () => undefined);
  process.on('uncaughtException', (error) => {
    process.exit(reportFailure(error, { json: options.json, debug: false }));
  });
}
