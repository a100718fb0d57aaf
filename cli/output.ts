import { styleText } from 'node:util';
import { ERROR_CODES, exitCodeOf, isSluiceError, messageOf } from '../warehouse/core/errors.ts';

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
    interactive: !options.json && process.stderr.isTTY === true,
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

export const bold = (text: string): string => styleText('bold', text, { stream: process.stdout });
export const dim = (text: string): string => styleText('dim', text, { stream: process.stdout });
export const green = (text: string): string => styleText('green', text, { stream: process.stdout });
export const red = (text: string): string => styleText('red', text, { stream: process.stderr });

/** Reports a failure, never a stack trace unless SLUICE_LOG_LEVEL is debug; returns the exit code. */
export function reportFailure(error: unknown, options: { readonly json: boolean; readonly debug: boolean }): number {
  const known = isSluiceError(error);
  const code = known ? error.code : 'INTERNAL';
  const message = known ? error.message : `Unexpected failure: ${messageOf(error)}`;
  const remedy = known
    ? error.remedy
    : 'This is a defect in Sluice. Run again with SLUICE_LOG_LEVEL=debug and report what it prints.';
  if (options.json) {
    process.stdout.write(
      `${toJson({ error: { code, message, remedy, retryable: known && error.retryable, details: known ? error.details : {} } })}\n`,
    );
  } else {
    process.stderr.write(`${red(`error ${code}`)} ${message}\n`);
    if (remedy !== undefined) process.stderr.write(`  ${remedy.replaceAll('\n', '\n  ')}\n`);
    process.stderr.write(`  More: docs/errors.md#${code.toLowerCase()}\n`);
  }
  if (options.debug && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  return known ? ERROR_CODES[error.code].exit : exitCodeOf(error);
}
